"""What a training job is to be: the parameters of CreateTrainingJob, made of a command's options."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker import metric_definitions
from byoc_cli.sagemaker.role import find_role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoc_cli.sagemaker.bucket import Bucket
    from byoc_cli.sagemaker.cloud import Cloud
    from byoc_cli.sagemaker.options import Image

DATA_CHANNEL = "training"
DAY = 24 * 3600


@dataclass(frozen=True)
class Resources:
    """What a job runs on, and how long it may.

    Attributes:
        instance_type: SageMaker's name.
        instance_count: how many.
        volume: GB for data and model.
        max_runtime: seconds.
        spot: take spare capacity, which may be taken back.
        max_wait: seconds that a spot job may wait and run, all in all; None for twice max_runtime.
        checkpoint: URI; "" for a place of the job's own; None for no checkpoints.
    """

    instance_type: str
    instance_count: int
    volume: int
    max_runtime: int
    spot: bool
    max_wait: int | None
    checkpoint: str | None

    def parameters(self, place: Callable[[], str]) -> dict[str, Any]:
        """Return these parameters of CreateTrainingJob; `place` makes the URI of the checkpoints."""
        stopping = {"MaxRuntimeInSeconds": self.max_runtime}
        found: dict[str, Any] = {
            "ResourceConfig": {
                "InstanceType": self.instance_type,
                "InstanceCount": self.instance_count,
                "VolumeSizeInGB": self.volume,
            },
            "StoppingCondition": stopping,
        }
        if self.spot:
            stopping["MaxWaitTimeInSeconds"] = self.max_wait or 2 * self.max_runtime
            found["EnableManagedSpotTraining"] = True
        if self.checkpoint is not None:
            found["CheckpointConfig"] = {"S3Uri": self.checkpoint or place()}
        return found


def resource_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let the resources be named."""
    for option in reversed(
        [
            click.option("--instance-type", default="ml.m5.large", show_default=True),
            click.option("--instance-count", type=click.IntRange(min=1), default=1, show_default=True),
            click.option("--volume", type=click.IntRange(min=1), default=30, show_default=True, help="GB of disk."),
            click.option(
                "--max-runtime",
                type=click.IntRange(min=1),
                default=DAY,
                show_default=True,
                help="Seconds, then it is stopped.",
            ),
            click.option(
                "--spot", is_flag=True, help="Spare capacity: cheaper, and may be taken back; see --checkpoint."
            ),
            click.option(
                "--max-wait",
                type=click.IntRange(min=1),
                help="Seconds for a spot job in all. [default: 2 x --max-runtime]",
            ),
            click.option(
                "--checkpoint",
                is_flag=False,
                flag_value="",
                metavar="[S3_URI]",
                help="Keep what the program writes to /opt/ml/checkpoints; without a URI, in the bucket.",
            ),
        ]
    ):
        command = option(command)
    return command


def training_request(cloud: Cloud, store: Bucket, name: str, image: Image, given: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of CreateTrainingJob; local data is uploaded.

    Args:
        cloud: where it is going to run.
        store: for data and model.
        name: the job's.
        image: the job's.
        given: the command's other options.

    Raises:
        click.UsageError: a channel is named twice.
    """
    channels = dict(given["channels"])
    if given["data"]:
        if DATA_CHANNEL in channels:
            raise click.UsageError(f"--data is the channel {DATA_CHANNEL}, which --channel names too")
        channels = {DATA_CHANNEL: given["data"], **channels}
    values = {**_of_file(given["hyperparameters"]), **given["pairs"]}
    role = find_role(cloud, given["role"])
    metrics = [{"Name": key, "Regex": regex} for key, regex in given["metrics"].items()]
    metrics = metrics or metric_definitions.of_image(image)
    resources = Resources(**{field: given[field] for field in Resources.__dataclass_fields__})
    sharing = "ShardedByS3Key" if given["shard"] else "FullyReplicated"
    inputs = []
    for channel, path in channels.items():
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": store.data(path, "data", name, channel),
            "S3DataDistributionType": sharing,
        }
        media_type = {"ContentType": given["content_type"]} if given["content_type"] else {}
        inputs.append({"ChannelName": channel, "DataSource": {"S3DataSource": source}, **media_type})
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": image.uri(cloud),
            "TrainingInputMode": given["input_mode"],
            **({"MetricDefinitions": metrics} if metrics else {}),
        },
        "RoleArn": role,
        **({"InputDataConfig": inputs} if inputs else {}),
        "OutputDataConfig": {"S3OutputPath": given["output"] or store.uri("training")},
        **resources.parameters(lambda: store.uri("checkpoints", name)),
        **({"HyperParameters": values} if values else {}),
        **({"Environment": given["environment"]} if given["environment"] else {}),
    }


def _of_file(file: Path | None) -> dict[str, str]:
    """Return hyperparameters as SageMaker takes them: all values are text.

    Raises:
        click.BadParameter: the file has no JSON object.
    """
    if file is None:
        return {}
    try:
        values = json.loads(file.read_bytes())
    except ValueError as error:
        raise click.BadParameter(f"{file} is no JSON: {error}", param_hint="--hyperparameters") from error
    if not isinstance(values, dict):
        raise click.BadParameter(f'{file} must hold an object like {{"epochs": 3}}', param_hint="--hyperparameters")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
