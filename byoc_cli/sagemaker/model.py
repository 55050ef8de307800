"""What a model is to be: image, data and variables, by a command's options or as a model has them that is there."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker.options import Image, env_option, image_options, role_option
from byoc_cli.sagemaker.role import find_role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoc_cli.sagemaker.bucket import Bucket
    from byoc_cli.sagemaker.cloud import Answer, Cloud


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a model be named: `asked` is a ModelOptions."""

    @image_options
    @click.option(
        "-m",
        "--model-url",
        metavar="S3_URI|PATH",
        help="The model: s3://….tar.gz, or a local archive or folder; with --multi-model the prefix of many.",
    )
    @click.option("--training-job", metavar="NAME", help="Take model, image and role of this job.")
    @click.option(
        "--multi-model", is_flag=True, help="Serve all models of the prefix, each loaded when it is asked for."
    )
    @env_option
    @role_option
    @functools.wraps(command)
    def with_model(
        image: Image,
        model_url: str | None,
        training_job: str | None,
        multi_model: bool,
        environment: Mapping[str, str],
        role: str | None,
        **rest: Any,
    ) -> None:
        command(asked=ModelOptions(image, model_url, training_job, multi_model, environment, role), **rest)

    return with_model


@dataclass(frozen=True)
class ModelOptions:
    """A model as it was named on the command line.

    Attributes:
        image: perhaps none.
        url: of the model: on S3 or here; None without one.
        training_job: whose model, image and role are taken.
        multi_model: whether the URL is a prefix of many.
        environment: the container's variables.
        role: ARN or name.
    """

    image: Image
    url: str | None
    training_job: str | None
    multi_model: bool
    environment: Mapping[str, str]
    role: str | None

    def __post_init__(self) -> None:
        if self.url and self.training_job:
            raise click.UsageError("--training-job names a model, and so does --model-url: leave one out")
        if self.multi_model and not self.url:
            raise click.UsageError("--multi-model needs the prefix of its models: --model-url s3://bucket/prefix/")

    def __bool__(self) -> bool:
        """Whether anything was asked for."""
        return bool(self.image or self.url or self.training_job or self.environment or self.role)

    @property
    def stem(self) -> str:
        """What to make names of."""
        return self.image.stem or self.training_job or "byoc"

    def request(self, cloud: Cloud, store: Bucket, name: str) -> dict[str, Any]:
        """Return the parameters of CreateModel; a local model is uploaded.

        Args:
            cloud: where it is.
            store: for the upload.
            name: the model's.

        Raises:
            click.UsageError: there is no image.
        """
        if not self.image and not self.training_job:
            raise click.UsageError("name the image: -i NAME, --image-uri URI, or a --training-job that has one")
        job = self._job(cloud)
        role = find_role(cloud, self.role or job.get("RoleArn"))
        image = self.image.uri(cloud) if self.image else job["AlgorithmSpecification"]["TrainingImage"]
        container = {"Image": image, **self._data(store, name, job, many=self.multi_model)}
        if self.environment:
            container["Environment"] = dict(self.environment)
        return {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": role}

    def changed(self, cloud: Cloud, store: Bucket, name: str, current: Answer) -> dict[str, Any]:
        """Return the parameters of CreateModel for a model like another, but for what was asked.

        Args:
            cloud: where it is.
            store: for an upload.
            name: the new model's.
            current: the other's description.

        Raises:
            click.ClickException: it is a pipeline of several containers.
        """
        if current.get("Containers"):
            raise click.ClickException(
                f"{current['ModelName']} is a pipeline of {len(current['Containers'])} containers, of which this "
                "command changes none; make a model by boto3's create_model, and a config for it"
            )
        job = self._job(cloud)
        container = dict(current["PrimaryContainer"])
        _tell_once(container)
        if self.url or self.training_job:
            container.pop("ModelDataSource", None)
        if self.image:
            container["Image"] = self.image.uri(cloud)
        elif self.training_job:
            container["Image"] = job["AlgorithmSpecification"]["TrainingImage"]
        many = self.multi_model or container.get("Mode") == "MultiModel"
        container |= self._data(store, name, job, many=many)
        container["Environment"] = {**container.get("Environment", {}), **self.environment}
        kept = {member: current[member] for member in ("VpcConfig", "EnableNetworkIsolation") if current.get(member)}
        role = find_role(cloud, self.role) if self.role else current["ExecutionRoleArn"]
        return {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": role, **kept}

    def _job(self, cloud: Cloud) -> Answer:
        if not self.training_job:
            return {}
        job = cloud.read("sagemaker", "DescribeTrainingJob", TrainingJobName=self.training_job)
        if "ModelArtifacts" not in job:
            raise click.ClickException(
                f"training job {self.training_job} is {job['TrainingJobStatus']} and has left no model"
            )
        return job

    def _data(self, store: Bucket, name: str, job: Answer, *, many: bool) -> dict[str, str]:
        """Return where the model is, or the many are, as members of a container."""
        if many and self.url:
            return {"ModelDataUrl": store.models(self.url, "models", name), "Mode": "MultiModel"}
        if self.url:
            return {"ModelDataUrl": store.model(self.url, "models", name)}
        return {"ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]} if job else {}


def _tell_once(container: dict[str, Any]) -> None:
    """Keep one of the two members that DescribeModel tells the model's place by, of which CreateModel takes one."""
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    if "ModelDataUrl" in container and source:
        del container["ModelDataUrl" if source.get("CompressionType") == "None" else "ModelDataSource"]
