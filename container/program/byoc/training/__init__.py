"""Training: a job is read, the user's ``fit`` runs, the model is put in place or the failure is told."""

from byoc.training.job import Job, run

__all__ = ["Job", "run"]
