"""What a container is told: its config files and its environment, as the platform writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.training import hosts as machines
from byoc_cli.emulator.training.checkpoints import DEFAULT_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.training.channels import Channel
    from byoc_cli.emulator.training.hosts import Host

    Record = Mapping[str, Any]


def write(ml: Path, job: Record, channels: Sequence[Channel], hosts: Sequence[Host], host: Host) -> None:
    """Make a host's ``/opt/ml``, with its config files.

    Real jobs have more of those, such as ``trainingjobconfig.json``; what is in them nobody documents.
    """
    for folder in ("input/config", "input/data", "model", "output/data"):
        (ml / folder).mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {
        "hyperparameters": job.get("HyperParameters", {}),
        "inputdataconfig": {channel.name: channel.config for channel in channels if channel.goes_to(host)},
        "resourceconfig": machines.resources(hosts, host),
    }
    if "CheckpointConfig" in job:
        files["checkpointconfig"] = {"LocalPath": DEFAULT_PATH, **job["CheckpointConfig"]}
    for name, value in files.items():
        (ml / "input" / "config" / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")


def environment(emulator: Emulator, job: Record, host: Host) -> dict[str, str]:
    """Return a host's variables; with what is needed to reach the emulator's S3, unless the job is isolated."""
    return {
        "AWS_REGION": emulator.region,
        # What the platform sets where there is no GPU; an image made for one would look for it otherwise.
        **({} if is_gpu(host.instance_type) else {"NVIDIA_VISIBLE_DEVICES": "void"}),
        **({} if job.get("EnableNetworkIsolation") else emulator.inside_environment),
        **job.get("Environment", {}),
        "TRAINING_JOB_NAME": job["TrainingJobName"],
        "TRAINING_JOB_ARN": job["TrainingJobArn"],
    }


def is_gpu(instance_type: str) -> bool:
    """Whether instances of a type have NVIDIA's GPUs: ``ml.g5.xlarge``, ``ml.p4d.24xlarge``."""
    return instance_type.startswith(("ml.g", "ml.p"))
