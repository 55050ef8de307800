"""Endpoint configurations: which models, on how many instances, at what share of the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import invalid
from byoc_cli.emulator.hosting import parameters
from byoc_cli.emulator.storage import split
from byoc_cli.emulator.store import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.emulator.api import Operation
    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.hosting.models import Models

DONE = frozenset({"EndpointConfigName", "ProductionVariants", "AsyncInferenceConfig", "ExecutionRoleArn", "Tags"})
NOT_EMULATED = {
    "KmsKeyId": "nothing is encrypted",
    "VpcConfig": "containers are in no VPC",
    "EnableNetworkIsolation": "a container keeps the engine's network; byoc doctor proves that yours needs none",
    "MetricsConfig": "there is no CloudWatch",
}
OF_VARIANT = {
    "VariantName",
    "ModelName",
    "InitialInstanceCount",
    "InstanceType",
    "InitialVariantWeight",
    "ServerlessConfig",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "RoutingConfig",
}
EXCUSED_OF_VARIANT = {
    "VolumeSizeInGB": "containers write to this machine's disk",
    "ModelDataDownloadTimeoutInSeconds": "models come from this machine",
    "EnableSSMAccess": "docker exec reaches a container",
    "InferenceAmiVersion": "this machine's system is under the containers",
    "CoreDumpConfig": "no core is dumped",
}
OF_SERVERLESS = {"MemorySizeInMB", "MaxConcurrency"}
EXCUSED_OF_SERVERLESS = {"ProvisionedConcurrency": "the container is always warm"}
ROUTES = ("RANDOM", "LEAST_OUTSTANDING_REQUESTS")
GIGABYTE = 1024
LISTED = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")


class EndpointConfigs:
    """The configurations there are.

    Args:
        emulator: keeps their records and tags.
        models: that they name.
    """

    def __init__(self, emulator: Emulator, models: Models) -> None:
        self._emulator = emulator
        self._models = models
        self._table = emulator.table("endpoint-config", "endpoint configuration")

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {
            "CreateEndpointConfig": self._create,
            "DescribeEndpointConfig": lambda request: self.find(request["EndpointConfigName"]),
            "ListEndpointConfigs": self._list,
            "DeleteEndpointConfig": self._delete,
        }

    def find(self, name: str) -> dict[str, Any]:
        """Return a configuration by its name.

        Raises:
            ApiError: there is none.
        """
        return self._table.get(name)

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name, variants = request["EndpointConfigName"], request["ProductionVariants"]
        names = [each["VariantName"] for each in variants]
        if len(set(names)) < len(names):
            raise invalid(f"VariantName must be unique within an endpoint configuration: {', '.join(names)}")
        for each in variants:
            self._check_variant(each)
            each.setdefault("InitialVariantWeight", 1.0)
        if "AsyncInferenceConfig" in request:
            _check_async(request["AsyncInferenceConfig"], variants)
        record = {key: value for key, value in request.items() if key != "Tags"}
        self._table.add(name, {**record, "EndpointConfigArn": self._table.arn(name)})
        self._emulator.tags.add(self._table.arn(name), request.get("Tags"))
        return {"EndpointConfigArn": self._table.arn(name)}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return page(self._table.all(), request, "EndpointConfigs", LISTED, "EndpointConfigName")

    def _delete(self, request: dict[str, Any]) -> None:
        self._table.remove(request["EndpointConfigName"])
        self._emulator.tags.remove(self._table.arn(request["EndpointConfigName"]))

    def _check_variant(self, variant: Mapping[str, Any]) -> None:
        parameters.check("ProductionVariants", variant, OF_VARIANT, EXCUSED_OF_VARIANT)
        if "ModelName" not in variant:
            raise invalid("ModelName must be given: inference components are not emulated here")
        strategy = variant.get("RoutingConfig", {}).get("RoutingStrategy", ROUTES[0])
        if strategy not in ROUTES:
            raise invalid(f"RoutingStrategy {strategy} is not emulated here; these are: {', '.join(ROUTES)}")
        model = self._models.find(variant["ModelName"])
        if (serverless := variant.get("ServerlessConfig")) is None:
            if "InstanceType" not in variant or not variant.get("InitialInstanceCount"):
                raise invalid("InstanceType and InitialInstanceCount must be given where ServerlessConfig is not")
            return
        parameters.check("ServerlessConfig", serverless, OF_SERVERLESS, EXCUSED_OF_SERVERLESS)
        if serverless["MemorySizeInMB"] % GIGABYTE:
            raise invalid("ServerlessConfig.MemorySizeInMB must be 1024, 2048, 3072, 4096, 5120 or 6144")
        if {"InstanceType", "InitialInstanceCount"} & set(variant):
            raise invalid("InstanceType and InitialInstanceCount must not be given beside ServerlessConfig")
        if model.is_multi or len(model.containers) > 1:
            raise invalid("A serverless endpoint takes models of one container in Mode SingleModel only")


def _check_async(config: Mapping[str, Any], variants: list[dict[str, Any]]) -> None:
    output = config["OutputConfig"]
    parameters.check("OutputConfig", output, {"S3OutputPath", "S3FailurePath"}, {"KmsKeyId": "nothing is encrypted"})
    if "S3OutputPath" not in output:
        raise invalid("AsyncInferenceConfig.OutputConfig.S3OutputPath must be given")
    for path in ("S3OutputPath", "S3FailurePath"):
        split(output.get(path, output["S3OutputPath"]))
    if len(variants) > 1 or "ServerlessConfig" in variants[0]:
        raise invalid("An asynchronous endpoint has one production variant, on instances")
