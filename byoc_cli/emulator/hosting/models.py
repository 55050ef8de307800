"""Models: what CreateModel is told, for endpoints and batch transform to start containers of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import invalid
from byoc_cli.emulator.hosting import parameters
from byoc_cli.emulator.storage import split
from byoc_cli.emulator.store import page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoc_cli.emulator.api import Operation
    from byoc_cli.emulator.emulator import Emulator

MOST_VARIABLES = 100
LARGEST_ENVIRONMENT = 32 << 10
DONE = {
    "ContainerHostname",
    "Image",
    "ImageConfig",
    "Mode",
    "ModelDataUrl",
    "ModelDataSource",
    "AdditionalModelDataSources",
    "Environment",
    "MultiModelConfig",
}
OF_SOURCE = {"S3Uri", "S3DataType", "CompressionType"}
EXCUSED_OF_SOURCE = {"ModelAccessConfig": "nobody is asked for consent here"}
NOT_EMULATED = {
    "VpcConfig": "containers are in no VPC",
    "EnableNetworkIsolation": "a container keeps the engine's network; byoc doctor proves that yours needs none",
}


@dataclass(frozen=True)
class Model:
    """A model as it is hosted.

    Attributes:
        name: of it.
        containers: their definitions, as CreateModel is given them.
        direct: whether a request names the one container that it is for; else it goes through all of them.
    """

    name: str
    containers: Sequence[Mapping[str, Any]]
    direct: bool

    @property
    def is_multi(self) -> bool:
        """Whether one of its containers holds many models."""
        return any(each.get("Mode") == "MultiModel" for each in self.containers)


class Models:
    """The models there are.

    Args:
        emulator: keeps their records and tags.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._table = emulator.table("model", "model")

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {
            "CreateModel": self._create,
            "DescribeModel": lambda request: self._table.get(request["ModelName"]),
            "ListModels": self._list,
            "DeleteModel": self._delete,
        }

    def find(self, name: str) -> Model:
        """Return a model by its name.

        Raises:
            ApiError: there is none.
        """
        record = self._table.get(name)
        mode = record.get("InferenceExecutionConfig", {}).get("Mode")
        return Model(name, record.get("Containers") or [record["PrimaryContainer"]], mode == "Direct")

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        check(request)
        name = request["ModelName"]
        record = {key: value for key, value in request.items() if key != "Tags"}
        for each in containers_of(record):
            each.setdefault("Mode", "SingleModel")
        record.setdefault("EnableNetworkIsolation", False)
        self._table.add(name, {**record, "ModelArn": self._table.arn(name)})
        self._emulator.tags.add(self._table.arn(name), request.get("Tags"))
        return {"ModelArn": self._table.arn(name)}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return page(self._table.all(), request, "Models", ("ModelName", "ModelArn", "CreationTime"), "ModelName")

    def _delete(self, request: dict[str, Any]) -> None:
        self._table.remove(request["ModelName"])
        self._emulator.tags.remove(self._table.arn(request["ModelName"]))


def containers_of(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the definitions of a model's containers, its only one or all of its chain."""
    return request.get("Containers") or [each for each in [request.get("PrimaryContainer")] if each]


def check(request: Mapping[str, Any]) -> None:
    """Refuse what no model can be.

    Raises:
        ApiError: it cannot.
    """
    containers = containers_of(request)
    if not containers or ("PrimaryContainer" in request and "Containers" in request):
        raise invalid("Exactly one of PrimaryContainer and Containers must be given, with at least one container")
    for each in containers:
        _check_container(each)
    if sum(each.get("Mode") == "MultiModel" for each in containers) > 1:
        raise invalid("At most one container of a model can have the Mode MultiModel")
    hosts = [each["ContainerHostname"] for each in containers if "ContainerHostname" in each]
    if len(set(hosts)) < len(hosts):
        raise invalid(f"ContainerHostname must be unique within a model: {', '.join(hosts)}")
    if request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct" and len(hosts) < len(containers):
        raise invalid("InferenceExecutionConfig.Mode Direct needs a ContainerHostname for each container")
    size = sum(len(key) + len(value) for each in containers for key, value in each.get("Environment", {}).items())
    if size > LARGEST_ENVIRONMENT:
        raise invalid(f"Environment of all containers together has {size} bytes; {LARGEST_ENVIRONMENT} are the most")


def _check_container(container: Mapping[str, Any]) -> None:
    parameters.check("ContainerDefinition", container, DONE, {})
    if "Image" not in container:
        raise invalid("Image must be given for each container")
    if container.get("ImageConfig", {}).get("RepositoryAccessMode") == "Vpc":
        raise invalid("ImageConfig.RepositoryAccessMode Vpc is not emulated here: images are those of this machine")
    if len(container.get("Environment", {})) > MOST_VARIABLES:
        raise invalid(f"Environment can have at most {MOST_VARIABLES} entries")
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise invalid("Only one of ModelDataUrl and ModelDataSource can be given")
    if container.get("Mode") == "MultiModel" and "ModelDataUrl" not in container:
        raise invalid("Mode MultiModel needs ModelDataUrl, the prefix that the models are below")
    sources = [container.get("ModelDataSource", {}), *container.get("AdditionalModelDataSources", [])]
    for source in (each["S3DataSource"] for each in sources if "S3DataSource" in each):
        parameters.check("S3DataSource", source, OF_SOURCE, EXCUSED_OF_SOURCE)
        split(source["S3Uri"])
    if "ModelDataUrl" in container:
        split(container["ModelDataUrl"])
