"""`byoc sagemaker train`: a training job, from local data to the model, with its metrics and its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker import permissions
from byoc_cli.sagemaker.bucket import Bucket
from byoc_cli.sagemaker.cloud import Cloud, named
from byoc_cli.sagemaker.log_tail import LogTail
from byoc_cli.sagemaker.options import (
    Image,
    bucket_option,
    cloud_options,
    env_option,
    image_options,
    read_name,
    read_pairs,
    role_option,
    wait_option,
)
from byoc_cli.sagemaker.training_job import DATA_CHANNEL, resource_options, training_request
from byoc_cli.sagemaker.watch import Watch, failure, outcome, over_when

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoc_cli.sagemaker.cloud import Answer

GOING = ("InProgress", "Stopping")
EPILOG = """\b
Examples:
  byoc sagemaker train -i churn --data local_test/test_dir/input/data/training -hp max_iter=200
  byoc sagemaker train -i churn:1.4 --channel training=train.csv --channel validation=s3://bucket/validation/
  byoc sagemaker train -i churn --data s3://bucket/rows/ --instance-type ml.m5.4xlarge --spot --checkpoint
  byoc sagemaker train -i churn --data rows.csv --hyperparameters best.json --arn ml-role
  byoc sagemaker train -i churn --data rows.csv --dry-run
"""


@click.command("train", epilog=EPILOG)
@image_options
@click.option(
    "-d", "--data", metavar="PATH|S3_URI", help=f"The channel {DATA_CHANNEL}: a folder, a file, or what is on S3."
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="NAME=PATH|S3_URI",
    callback=read_pairs,
    help="One of several channels.",
)
@click.option("--input-mode", type=click.Choice(["File", "FastFile", "Pipe"]), default="File", show_default=True)
@click.option("--content-type", metavar="MIME", help="Media type of the channels, told to the program.")
@click.option("--shard", is_flag=True, help="Give each instance its share of the files, not all of them.")
@click.option("-hp", "pairs", multiple=True, metavar="NAME=VALUE", callback=read_pairs, help="A hyperparameter.")
@click.option(
    "--hyperparameters",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.json",
    help="An object of them; -hp wins.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=REGEX",
    callback=read_pairs,
    help="A metric in the log. [default: what the image says, where Docker has it here]",
)
@resource_options
@click.option("--name", callback=read_name, help="Name of the job. [default: the image's, with the time]")
@click.option("-o", "--output", metavar="S3_URI", help="Prefix for the model. [default: in the bucket]")
@env_option
@click.option("--no-logs", is_flag=True, help="Do not show what the program writes, unless it fails.")
@role_option
@bucket_option
@wait_option
@cloud_options
def train_command(cloud: Cloud, image: Image, name: str | None, bucket: str | None, **given: Any) -> None:
    """Train a model: local data is uploaded, and the job followed to its end."""
    if not image:
        raise click.UsageError("name the image: -i NAME, or --image-uri URI")
    store, name = Bucket(cloud, bucket), name or named(image.stem)
    request = training_request(cloud, store, name, image, given)
    cloud.call("sagemaker", "CreateTrainingJob", **request)
    if cloud.dry_run or given["no_wait"]:
        result = {"TrainingJobName": name, "TrainingJobStatus": "InProgress"}
        cloud.finish(result, f"{name} is being trained; byoc sagemaker status {name}")
        return
    follow(cloud, name, image.local, quiet=given["no_logs"])


def follow(cloud: Cloud, name: str, image: str, *, quiet: bool) -> None:
    """Wait for a job's end and tell of it.

    Raises:
        click.ClickException: it failed, or was stopped.
    """
    tail = LogTail(cloud, "TrainingJobs", f"{name}/")
    watch = Watch(
        what=f"training job {name}",
        describe=lambda: cloud.read("sagemaker", "DescribeTrainingJob", TrainingJobName=name),
        is_over=over_when("TrainingJobStatus", GOING),
        state=_state,
        tail=tail,
        follows=not quiet,
        news=_Metrics().news,
        to_stop=f"byoc sagemaker stop {name}",
    )
    job = watch.until_over()
    metrics = {each["MetricName"]: each["Value"] for each in job.get("FinalMetricDataList", [])}
    model = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    result = {
        "TrainingJobName": name,
        "TrainingJobStatus": job["TrainingJobStatus"],
        "ModelDataUrl": model,
        "Metrics": metrics,
        "BillableTimeInSeconds": job.get("BillableTimeInSeconds"),
    }
    if job["TrainingJobStatus"] == "Completed":
        seconds = f", {job['BillableTimeInSeconds']} s of it billed" if "BillableTimeInSeconds" in job else ""
        told = ", ".join(f"{metric}={value:.6g}" for metric, value in metrics.items())
        cloud.finish(
            result,
            f"Model    {model}{seconds}",
            *([f"Metrics  {told}"] if told else []),
            f"Next     byoc sagemaker create-endpoint --training-job {name}",
        )
        return
    reason = str(job.get("FailureReason") or job.get("SecondaryStatus", ""))
    advice = [permissions.of_role(reason), f"To look for the cause here: byoc doctor {image} --only training"]
    text, last = failure(
        f"Training job {name} {outcome(job['TrainingJobStatus'])}",
        reason,
        tail,
        advice=[*filter(None, advice)],
        shown=not quiet,
    )
    if cloud.as_json:
        cloud.finish({**result, "FailureReason": reason, "Log": last})
    raise click.ClickException(text)


def _state(job: Answer) -> str:
    """Say how a job is: its secondary status, and what SageMaker says of that."""
    transitions = job.get("SecondaryStatusTransitions") or [{}]
    message = transitions[-1].get("StatusMessage", "")
    secondary = job.get("SecondaryStatus", job["TrainingJobStatus"])
    return f"{secondary}: {message}" if message else str(secondary)


class _Metrics:
    """The metrics that have been told."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def news(self, job: Answer) -> Iterator[str]:
        """Yield those that are new or have changed."""
        for each in job.get("FinalMetricDataList", []):
            if self._told.get(each["MetricName"]) != each["Value"]:
                self._told[each["MetricName"]] = each["Value"]
                yield f"  {each['MetricName']} = {each['Value']:.6g}"
