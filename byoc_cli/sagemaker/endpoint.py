"""An endpoint that is there: its parts, and waiting for what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker.log_tail import LogTail
from byoc_cli.sagemaker.watch import Watch, over_when

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Answer, Cloud

GOING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
IN_SERVICE = "InService"


@dataclass(frozen=True)
class Endpoint:
    """What there is of an endpoint.

    Attributes:
        description: DescribeEndpoint's.
        config: DescribeEndpointConfig's; {} where it has been deleted.
        models: DescribeModel's of each model that is still there, by name.
    """

    description: Answer
    config: Answer
    models: dict[str, Answer]

    @property
    def variants(self) -> list[dict[str, Any]]:
        """The variants of its config, or what is known of them without."""
        return list((self.config or self.description).get("ProductionVariants") or [])

    @property
    def running(self) -> list[dict[str, Any]]:
        """The variants with the number of instances that they have now."""
        now = {each["VariantName"]: each for each in self.description.get("ProductionVariants", [])}
        return [{**variant, **now.get(variant["VariantName"], {})} for variant in self.variants]

    @property
    def kind(self) -> str:
        """How it is asked: real-time, async, serverless or multi-model."""
        if self.config.get("AsyncInferenceConfig"):
            return "async"
        if any("ServerlessConfig" in variant for variant in self.variants):
            return "serverless"
        modes = [model.get("PrimaryContainer", {}).get("Mode") for model in self.models.values()]
        return "multi-model" if "MultiModel" in modes else "real-time"


def describe(cloud: Cloud, name: str) -> Endpoint:
    """Return what there is of an endpoint.

    Raises:
        click.ClickException: there is none of that name.
    """
    description = cloud.find("sagemaker", "DescribeEndpoint", EndpointName=name)
    if description is None:
        raise click.ClickException(f"there is no endpoint {name} in {cloud.region}; byoc sagemaker status lists them")
    config = cloud.find("sagemaker", "DescribeEndpointConfig", EndpointConfigName=description["EndpointConfigName"])
    models = {}
    for model in {each["ModelName"] for each in (config or {}).get("ProductionVariants", []) if "ModelName" in each}:
        found = cloud.find("sagemaker", "DescribeModel", ModelName=model)
        if found is not None:
            models[model] = found
    return Endpoint(description, config or {}, models)


def log_of(cloud: Cloud, name: str) -> LogTail:
    """Return the log of an endpoint."""
    return LogTail(cloud, f"Endpoints/{name}")


def until_settled(cloud: Cloud, name: str) -> Answer:
    """Wait until an endpoint is in service or has failed; return its description."""
    watch = Watch(
        what=f"endpoint {name}",
        describe=lambda: cloud.read("sagemaker", "DescribeEndpoint", EndpointName=name),
        is_over=over_when("EndpointStatus", GOING),
        state=_state,
        to_stop=f"byoc sagemaker delete-endpoint {name}",
    )
    return watch.until_over()


def _state(description: Answer) -> str:
    """Say how an endpoint is, and what its update is at."""
    pending = description.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    steps = [status["Status"] for variant in pending for status in variant.get("VariantStatus", [])[-1:]]
    return " ".join([description["EndpointStatus"], *(f"({step})" for step in steps)])
