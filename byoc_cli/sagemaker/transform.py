"""`byoc sagemaker transform`: predictions for whole files, by a model that exists for as long as that takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker import endpoint, permissions
from byoc_cli.sagemaker.bucket import Bucket, download
from byoc_cli.sagemaker.cloud import Cloud, named
from byoc_cli.sagemaker.log_tail import LogTail
from byoc_cli.sagemaker.model import ModelOptions, model_options
from byoc_cli.sagemaker.options import bucket_option, cloud_options, read_name, wait_option
from byoc_cli.sagemaker.transform_job import transform_options, transform_request
from byoc_cli.sagemaker.watch import Watch, failure, outcome, over_when

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Answer

EPILOG = """\b
Examples:
  byoc sagemaker transform rows.csv --training-job churn-20260728-101500-123 --download answers
  byoc sagemaker transform s3://bucket/rows/ --endpoint-name churn --output s3://bucket/answers/
  byoc sagemaker transform rows.csv -i churn --model-url model.tar.gz --input-filter '$[1:]' --join-source Input
  byoc sagemaker transform rows.jsonl --model-name churn --content-type application/jsonlines --strategy SingleRecord
"""


@click.command("transform", epilog=EPILOG)
@click.argument("source", metavar="PATH|S3_URI")
@model_options
@click.option("--model-name", metavar="NAME", help="A model that SageMaker has already.")
@click.option("-e", "--endpoint-name", metavar="NAME", help="The model of this endpoint.")
@transform_options
@click.option("-o", "--output", metavar="S3_URI", help="Prefix for the answers. [default: in the bucket]")
@click.option(
    "--download",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the answers into this folder too, once they are there.",
)
@click.option("--name", callback=read_name, help="Name of the job. [default: the model's, with the time]")
@bucket_option
@wait_option
@cloud_options
def transform_command(
    cloud: Cloud, source: str, asked: ModelOptions, name: str | None, bucket: str | None, **given: Any
) -> None:
    """Predict for whole files: local ones are uploaded, the answers are FILE.out."""
    given["model_name"] = model = existing_model(cloud, asked, given)
    if given["no_wait"] and given["folder"]:
        raise click.UsageError("--download waits for the answers: leave --no-wait out")
    store, name = Bucket(cloud, bucket), name or named(given["endpoint_name"] or model or asked.stem)
    made = None if model else make_model(cloud, store, name, asked)
    uploaded = store.data(source, "transform", name, "input")
    output = given["output"] or store.uri("transform", name, "output")
    request = transform_request(name, model or name, uploaded, output, given)
    if model and asked.environment:
        request["Environment"] = dict(asked.environment)
    try:
        cloud.call("sagemaker", "CreateTransformJob", **request)
        if cloud.dry_run or given["no_wait"]:
            left = f"; the model {made} was made for it and stays" if made else ""
            result = {"TransformJobName": name, "TransformJobStatus": "InProgress", "S3OutputPath": output}
            cloud.finish(result, f"{name} is running{left}; byoc sagemaker status {name}")
            made = None
            return
        finish(cloud, follow(cloud, name), asked, given["folder"])
    except click.exceptions.Exit:
        made = None  # Ctrl-C: the job goes on, and needs its model
        raise
    finally:
        if made:
            cloud.call("sagemaker", "DeleteModel", ModelName=made)


def existing_model(cloud: Cloud, asked: ModelOptions, given: dict[str, Any]) -> str | None:
    """Return the name of the model that there is; None where one is to be made.

    Raises:
        click.UsageError: several were named, or one that does not transform.
    """
    if asked.multi_model:
        raise click.UsageError("a transform job takes one model: leave --multi-model out")
    new = asked.image or asked.url or asked.training_job
    if sum(map(bool, (new, given["model_name"], given["endpoint_name"]))) > 1:
        raise click.UsageError("name the model once: by --model-name, --endpoint-name, or what a new one is made of")
    if not given["endpoint_name"]:
        return str(given["model_name"]) if given["model_name"] else None
    found = endpoint.describe(cloud, given["endpoint_name"])
    if found.kind == "multi-model":
        raise click.ClickException(
            f"{given['endpoint_name']} has many models, and a transform job takes one: --model-url"
        )
    return str(found.variants[0]["ModelName"])


def make_model(cloud: Cloud, store: Bucket, name: str, asked: ModelOptions) -> str:
    """Make the job's own model; return its name."""
    cloud.call("sagemaker", "CreateModel", **asked.request(cloud, store, name))
    return name


def follow(cloud: Cloud, name: str) -> Answer:
    """Wait for a job's end; return its description."""
    watch = Watch(
        what=f"transform job {name}",
        describe=lambda: cloud.read("sagemaker", "DescribeTransformJob", TransformJobName=name),
        is_over=over_when("TransformJobStatus", ("InProgress", "Stopping")),
        state=lambda job: str(job["TransformJobStatus"]),
        to_stop=f"byoc sagemaker stop {name}",
    )
    return watch.until_over()


def finish(cloud: Cloud, job: Answer, asked: ModelOptions, folder: Path | None) -> None:
    """Tell of a job that has ended, and download what it has written.

    Raises:
        click.ClickException: it failed, or was stopped.
    """
    name, status, output = job["TransformJobName"], job["TransformJobStatus"], job["TransformOutput"]["S3OutputPath"]
    result = {"TransformJobName": name, "TransformJobStatus": status, "S3OutputPath": output}
    if status == "Completed":
        files = [str(file) for file in download(cloud, output, folder)] if folder else []
        more = {"Files": files} if folder else {}
        cloud.finish({**result, **more}, f"Answers  {output}", *(f"         {file}" for file in files))
        return
    reason = job.get("FailureReason", "")
    tail = LogTail(cloud, "TransformJobs", f"{name}/")
    image = asked.image.local or "IMAGE"
    advice = [permissions.of_role(reason), f"To look for the cause here: byoc doctor {image} --only batch"]
    text, last = failure(f"Transform job {name} {outcome(status)}", reason, tail, advice=[*filter(None, advice)])
    if cloud.as_json:
        cloud.finish({**result, "FailureReason": reason, "Log": last})
    raise click.ClickException(text)
