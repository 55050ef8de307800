"""What a transform job can fail with."""

from __future__ import annotations


class DataError(Exception):
    """An object that cannot be transformed; the message becomes part of the job's FailureReason."""


class AlgorithmError(DataError):
    """The same, where it is the container's fault."""
