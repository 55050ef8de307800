"""How an endpoint is to run: its variant, made of a command's options or of a variant there is."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INSTANCE_TYPE = "ml.m5.large"
# The cheapest with a GPU that nearly every region has.
GPU_INSTANCE_TYPE = "ml.g4dn.xlarge"
GPU_FAMILIES = ("ml.g", "ml.p")
MEMORY = ("1024", "2048", "3072", "4096", "5120", "6144")
DEFAULT_MEMORY = 2048
DEFAULT_CONCURRENCY = 5
# What only variants with instances have.
OF_INSTANCES = (
    "InstanceType",
    "InitialInstanceCount",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "ModelDataDownloadTimeoutInSeconds",
    "VolumeSizeInGB",
    "RoutingConfig",
    "ManagedInstanceScaling",
)


def hosting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let it be said how an endpoint runs: `hosting` is a Hosting."""

    @click.option("--instance-type", help=f"[default: {INSTANCE_TYPE}]")
    @click.option("--instance-count", type=click.IntRange(min=1), help="[default: 1]")
    @click.option("--gpu", is_flag=True, help=f"An instance type with a GPU: {GPU_INSTANCE_TYPE}, unless you name one.")
    @click.option("--serverless", is_flag=True, help="No instances: paid by use, with a cold start after idle time.")
    @click.option(
        "--memory", type=click.Choice(MEMORY), help=f"MB of a serverless endpoint. [default: {DEFAULT_MEMORY}]"
    )
    @click.option(
        "--max-concurrency",
        type=click.IntRange(1, 1000),
        help=f"Requests at a time, of a serverless endpoint [default: {DEFAULT_CONCURRENCY}] or an async instance.",
    )
    @click.option("--async", "is_async", is_flag=True, help="Requests and answers by S3: up to 1 GB and an hour.")
    @click.option("--output", metavar="S3_URI", help="Prefix of an async endpoint's answers. [default: in the bucket]")
    @click.option(
        "--startup-timeout",
        type=click.IntRange(60, 3600),
        help="Seconds until /ping must answer. [default: AWS's, 480]",
    )
    @functools.wraps(command)
    def with_hosting(**given: Any) -> None:
        own = {name: given.pop(name) for name in Hosting.__dataclass_fields__}
        command(hosting=Hosting(**own), **given)

    return with_hosting


@dataclass(frozen=True)
class Hosting:
    """How an endpoint is to run, as it was said on the command line; None is not said.

    Attributes:
        instance_type: SageMaker's name.
        instance_count: how many.
        gpu: whether they must have one.
        serverless: whether there are none.
        memory: MB, of a serverless endpoint.
        max_concurrency: requests at a time, of a serverless endpoint or of an async one's instance.
        is_async: whether it takes requests from S3.
        output: prefix of an async endpoint's answers.
        startup_timeout: seconds.
    """

    instance_type: str | None
    instance_count: int | None
    gpu: bool
    serverless: bool
    memory: str | None
    max_concurrency: int | None
    is_async: bool
    output: str | None
    startup_timeout: int | None

    def __post_init__(self) -> None:
        with_instances = {
            "--instance-type": self.instance_type,
            "--instance-count": self.instance_count,
            "--gpu": self.gpu,
            "--async": self.is_async,
            "--startup-timeout": self.startup_timeout,
        }
        clash = next((option for option, value in with_instances.items() if value), None)
        if self.serverless and clash:
            raise click.UsageError(f"a serverless endpoint has no {clash}: leave one of the two out")
        if self.gpu and self.instance_type and not self.instance_type.startswith(GPU_FAMILIES):
            raise click.UsageError(f"{self.instance_type} has no GPU; leave --instance-type out, or --gpu")

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return any(getattr(self, name) not in (None, False) for name in self.__dataclass_fields__)

    def check_new(self, *, multi_model: bool) -> None:
        """Refuse what makes no sense for a new endpoint.

        Raises:
            click.UsageError: it is that.
        """
        if self.memory and not self.serverless:
            raise click.UsageError("--memory is of serverless endpoints: add --serverless")
        if self.max_concurrency and not (self.serverless or self.is_async):
            raise click.UsageError(
                "--max-concurrency is of serverless and async endpoints: add --serverless or --async"
            )
        if self.output and not self.is_async:
            raise click.UsageError("--output is of async endpoints: add --async")
        if multi_model and self.serverless:
            raise click.UsageError("SageMaker has no serverless multi-model endpoints: leave one of the two out")

    def variant(self, model: str, current: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a ProductionVariant.

        Args:
            model: its name.
            current: the one that it is like, but for what was said.
        """
        found: dict[str, Any] = dict(current or {"VariantName": "AllTraffic", "InitialVariantWeight": 1.0})
        found["ModelName"] = model
        size = found.get("ServerlessConfig", {})
        if self.serverless or (size and not (self.instance_type or self.gpu)):
            memory = int(self.memory or size.get("MemorySizeInMB", DEFAULT_MEMORY))
            most = self.max_concurrency or size.get("MaxConcurrency", DEFAULT_CONCURRENCY)
            found["ServerlessConfig"] = {**size, "MemorySizeInMB": memory, "MaxConcurrency": most}
            return {name: value for name, value in found.items() if name not in OF_INSTANCES}
        found.pop("ServerlessConfig", None)
        has_gpu = str(found.get("InstanceType", "")).startswith(GPU_FAMILIES)
        wanted = self.instance_type or (GPU_INSTANCE_TYPE if self.gpu and not has_gpu else None)
        found["InstanceType"] = wanted or found.get("InstanceType", INSTANCE_TYPE)
        found["InitialInstanceCount"] = self.instance_count or found.get("InitialInstanceCount", 1)
        if self.startup_timeout:
            found["ContainerStartupHealthCheckTimeoutInSeconds"] = self.startup_timeout
        return found

    def async_config(self, place: Callable[[], str], current: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return an AsyncInferenceConfig; None for an endpoint that answers itself.

        Args:
            place: makes the prefix of its answers.
            current: the one that it is like, but for what was said.
        """
        if not (self.is_async or current):
            return None
        found: dict[str, Any] = dict(current or {})
        if self.output or not current:
            output = (self.output or place()).rstrip("/")
            kept = found.get("OutputConfig", {})
            found["OutputConfig"] = {**kept, "S3OutputPath": f"{output}/", "S3FailurePath": f"{output}-failures/"}
        if self.max_concurrency:
            found["ClientConfig"] = {"MaxConcurrentInvocationsPerInstance": self.max_concurrency}
        return found
