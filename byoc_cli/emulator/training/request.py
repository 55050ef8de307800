"""What a CreateTrainingJob is refused for, beyond the shape of it, in AWS's words where they are known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.api import within
from byoc_cli.emulator.errors import ApiError, invalid
from byoc_cli.emulator.storage import StorageError, split
from byoc_cli.emulator.training.channels import AUGMENTED, Channel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoc_cli.emulator.emulator import Emulator

    Request = Mapping[str, Any]

DEFAULT_SECONDS = 86_400
# Within parameters that are emulated: what is refused, with the reason.
REFUSED = {
    "AlgorithmSpecification.AlgorithmName": "the emulator knows no algorithms by name; give a TrainingImage",
    "AlgorithmSpecification.TrainingImageConfig": "the emulator pulls no images; build it on this machine",
    "InputDataConfig.DataSource.FileSystemDataSource": "there is no EFS and no FSx here; put the data on S3",
    "InputDataConfig.DataSource.DatasetSource": "there is no hub here; put the data on S3",
    "InputDataConfig.DataSource.S3DataSource.HubAccessConfig": "there is no hub here",
    "InputDataConfig.DataSource.S3DataSource.ModelAccessConfig": "there is no model hub here",
    "ResourceConfig.TrainingPlanArn": "there are no training plans here",
    "ResourceConfig.InstancePlacementConfig": "there are no UltraServers here",
    "ResourceConfig.InstancePreferences": "name one InstanceType",
}


def check(emulator: Emulator, request: Request) -> None:
    """Refuse a request that cannot be done.

    Raises:
        ApiError: with the reason.
    """
    for path, reason in REFUSED.items():
        if any(True for _ in within(request, path)):
            raise invalid(f"{path} is not emulated here: {reason}")
    algorithm = request["AlgorithmSpecification"]
    if not algorithm.get("TrainingImage"):
        raise invalid("AlgorithmSpecification needs a TrainingImage")
    _check_metrics(algorithm.get("MetricDefinitions", []))
    _check_resources(request.get("ResourceConfig"))
    _check_times(request)
    _check_bucket(emulator, request["OutputDataConfig"]["S3OutputPath"], "OutputDataConfig")
    if "CheckpointConfig" in request:
        _check_bucket(emulator, request["CheckpointConfig"]["S3Uri"], "CheckpointConfig")
    entries = request.get("InputDataConfig", [])
    names = [entry["ChannelName"] for entry in entries]
    if len(set(names)) < len(names):
        raise invalid("the ChannelNames of InputDataConfig must be unique")
    for entry in entries:
        if "S3DataSource" not in entry["DataSource"]:
            raise invalid(f"channel {entry['ChannelName']} needs an S3DataSource")
        _check_channel(emulator, request, Channel.read(entry, algorithm["TrainingInputMode"]))


def _check_metrics(definitions: Iterable[Request]) -> None:
    for each in definitions:
        try:
            groups = re.compile(each["Regex"]).groups
        except re.error as error:
            raise invalid(f"the Regex of metric {each['Name']} cannot be read: {error}") from error
        if not groups:
            raise invalid(f"the Regex of metric {each['Name']} needs a group that holds the value: loss=([0-9.]+)")


def _check_resources(resources: Request | None) -> None:
    if not resources:
        raise invalid("ResourceConfig must not be null")
    if groups := resources.get("InstanceGroups"):
        if resources.get("InstanceType") or resources.get("InstanceCount"):
            raise invalid("InstanceType and InstanceCount cannot be given together with InstanceGroups")
        counts = [group["InstanceCount"] for group in groups]
    else:
        if not resources.get("InstanceType"):
            raise invalid("ResourceConfig needs an InstanceType and an InstanceCount, or InstanceGroups")
        counts = [resources.get("InstanceCount", 0)]
    if min(counts) < 1:
        raise invalid("InstanceCount must be 1 or more")


def _check_times(request: Request) -> None:
    condition = request.get("StoppingCondition", {})
    longest = condition.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if longest is not None:
            raise invalid("MaxWaitTimeInSeconds is only for jobs with EnableManagedSpotTraining")
    elif longest is None or longest < condition.get("MaxRuntimeInSeconds", DEFAULT_SECONDS):
        raise invalid(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )


def _check_bucket(emulator: Emulator, uri: str, what: str) -> None:
    bucket, _ = split(uri)
    if not emulator.storage.has(bucket):
        raise invalid(f"{what}: the bucket {bucket} does not exist in the emulator; make it: aws s3 mb s3://{bucket}")


def _check_channel(emulator: Emulator, request: Request, channel: Channel) -> None:
    source, uri = channel.source, channel.source["S3Uri"]
    where = f"channel {channel.name}"
    if source["S3DataType"] == "Converse":
        raise invalid(f"{where}: S3DataType Converse is not emulated here")
    if source["S3DataType"] == AUGMENTED and not (channel.is_pipe and source.get("AttributeNames")):
        raise invalid(f"{where}: an AugmentedManifestFile needs AttributeNames, and InputMode Pipe")
    if not channel.is_pipe and (channel.compression != "None" or channel.wrapper != "None"):
        raise invalid(f"{where}: CompressionType and RecordWrapperType are for InputMode Pipe")
    groups = {group["InstanceGroupName"] for group in request["ResourceConfig"].get("InstanceGroups", [])}
    if unknown := set(source.get("InstanceGroupNames", [])) - groups:
        raise invalid(f"{where}: there is no instance group {', '.join(sorted(unknown))}")
    bucket, _ = split(uri)
    try:
        found = emulator.storage.keys(uri)
    except StorageError:
        found = []
    if not found:
        raise ApiError(
            "ValidationException",
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
            f"exists in the selected region ({emulator.region}), that objects exist under that S3 prefix, and that the "
            f'role "{request["RoleArn"]}" has "s3:ListBucket" permissions on bucket "{bucket}".',
        )
