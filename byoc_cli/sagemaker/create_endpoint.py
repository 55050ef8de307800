"""`byoc sagemaker create-endpoint`: a model, a config and an endpoint, and waiting until it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker import endpoint, permissions, prices
from byoc_cli.sagemaker.bucket import Bucket
from byoc_cli.sagemaker.cloud import Cloud, named
from byoc_cli.sagemaker.hosting import Hosting, hosting_options
from byoc_cli.sagemaker.model import ModelOptions, model_options
from byoc_cli.sagemaker.options import bucket_option, cloud_options, read_name, wait_option
from byoc_cli.sagemaker.watch import failure, outcome

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Answer

EPILOG = """\b
Examples:
  byoc sagemaker create-endpoint --training-job churn-20260728-101500-123
  byoc sagemaker create-endpoint -i churn:1.4 --model-url s3://bucket/model.tar.gz --arn ml-role
  byoc sagemaker create-endpoint -i churn --model-url local_test/test_dir/model --endpoint-name churn
  byoc sagemaker create-endpoint -i churn --model-url model.tar.gz --serverless --memory 4096
  byoc sagemaker create-endpoint -i churn --model-url model.tar.gz --async
  byoc sagemaker create-endpoint -i churn --model-url s3://bucket/models/ --multi-model --instance-count 2
  byoc sagemaker create-endpoint -i churn --model-url model.tar.gz --gpu --dry-run
"""


@click.command("create-endpoint", epilog=EPILOG)
@model_options
@hosting_options
@click.option(
    "-e",
    "--endpoint-name",
    "name",
    callback=read_name,
    help="Name of the endpoint. [default: the image's or the job's]",
)
@bucket_option
@wait_option
@cloud_options
def create_endpoint_command(
    cloud: Cloud, asked: ModelOptions, hosting: Hosting, name: str | None, bucket: str | None, *, no_wait: bool
) -> None:
    """Serve a model: real-time, serverless, async or multi-model."""
    hosting.check_new(multi_model=asked.multi_model)
    name = name or _plain(asked.stem)
    if cloud.find("sagemaker", "DescribeEndpoint", EndpointName=name) is not None:
        raise click.ClickException(
            f"there is an endpoint {name} already; byoc sagemaker update-endpoint changes it while it serves, "
            "--endpoint-name makes another"
        )
    made, store = named(name), Bucket(cloud, bucket)
    cloud.call("sagemaker", "CreateModel", **asked.request(cloud, store, made))
    try:
        variants = create_config(cloud, store, name, made, hosting)
        cloud.call("sagemaker", "CreateEndpoint", EndpointName=name, EndpointConfigName=made)
    except click.ClickException:
        remove(cloud, made)
        raise
    if cloud.dry_run or no_wait:
        cloud.finish(
            {"EndpointName": name, "EndpointStatus": "Creating"},
            f"{name} is being created; byoc sagemaker status {name}",
        )
        return
    finish(cloud, name, asked, endpoint.until_settled(cloud, name), variants)


def create_config(cloud: Cloud, store: Bucket, name: str, made: str, hosting: Hosting) -> list[dict[str, Any]]:
    """Make the config of a new endpoint; return its variants.

    Args:
        cloud: where it is.
        store: for an async endpoint's answers.
        name: the endpoint's.
        made: the model's, which the config has too.
        hosting: how it is to run.
    """
    variants = [hosting.variant(made)]
    config = hosting.async_config(lambda: store.uri("async", name))
    more = {"AsyncInferenceConfig": config} if config else {}
    cloud.call("sagemaker", "CreateEndpointConfig", EndpointConfigName=made, ProductionVariants=variants, **more)
    return variants


def remove(cloud: Cloud, made: str) -> None:
    """Take away a config and a model that have come to nothing."""
    if cloud.dry_run:
        return
    for operation, member in (("DeleteEndpointConfig", "EndpointConfigName"), ("DeleteModel", "ModelName")):
        try:
            cloud.find("sagemaker", operation, **{member: made})
        except click.ClickException as error:
            cloud.say(f"{made} is left behind: {error.message}")


def finish(cloud: Cloud, name: str, asked: ModelOptions, description: Answer, variants: list[dict[str, Any]]) -> None:
    """Tell of an endpoint that has come to be.

    Raises:
        click.ClickException: it has not.
    """
    result = {member: description[member] for member in ("EndpointName", "EndpointArn", "EndpointStatus")}
    if description["EndpointStatus"] == endpoint.IN_SERVICE:
        target = " -tm MODEL.tar.gz" if asked.multi_model else ""
        cloud.finish(
            result,
            f"{name} is in service; it {prices.running_cost(cloud, variants)}",
            f"Next: byoc sagemaker test-endpoint {name}{target} -mm text/csv -b @rows.csv",
            f"End:  byoc sagemaker delete-endpoint {name} --all",
        )
        return
    reason = description.get("FailureReason", "")
    advice = [
        permissions.of_role(reason),
        f"To look for the cause here: byoc doctor {asked.image.local or 'IMAGE'} --only hosting",
        f"It can only be deleted now: byoc sagemaker delete-endpoint {name} --all",
    ]
    text, last = failure(
        f"Endpoint {name} {outcome(description['EndpointStatus'])}",
        reason,
        endpoint.log_of(cloud, name),
        advice=[*filter(None, advice)],
    )
    if cloud.as_json:
        cloud.finish({**result, "FailureReason": reason, "Log": last})
    raise click.ClickException(text)


def _plain(stem: str) -> str:
    """Return a name that SageMaker takes, made of an image's."""
    plain = "".join(each if each.isascii() and each.isalnum() else "-" for each in stem)
    return plain[:63].strip("-") or "byoc"
