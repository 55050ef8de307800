"""The room of training: CreateTrainingJob and its kin, done by containers.

`room` has the operations, `request` what a request can be refused for. A `job` runs in a thread of its own: an
`attempt` at a time, each a container on every one of its `hosts`, with `config` files and `channels`, some of them
`pipes`. Meanwhile `metrics` are scraped and `checkpoints` copied; `outcome` says how it went and moves what it left.
"""

from byoc_cli.emulator.training.room import TrainingJobs

__all__ = ["TrainingJobs"]
