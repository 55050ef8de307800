"""`byoc sagemaker delete-endpoint`: what is deleted and what it costs, before it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from byoc_cli.sagemaker import autoscale, endpoint, prices
from byoc_cli.sagemaker.errors import Refused
from byoc_cli.sagemaker.options import cloud_options, endpoint_argument, wait_option
from byoc_cli.sagemaker.watch import Watch

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Cloud

GONE = "Gone"
EPILOG = """\b
Examples:
  byoc sagemaker delete-endpoint churn               the endpoint alone; its config and model cost nothing
  byoc sagemaker delete-endpoint churn --all --yes   with its config and its models
  byoc sagemaker delete-endpoint churn --dry-run
"""


@click.command("delete-endpoint", epilog=EPILOG)
@endpoint_argument
@click.option("--all", "with_parts", is_flag=True, help="Its config and models too; what is on S3 stays.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@wait_option
@cloud_options
def delete_endpoint_command(cloud: Cloud, endpoint_name: str, *, with_parts: bool, yes: bool, no_wait: bool) -> None:
    """Delete an endpoint."""
    current = endpoint.describe(cloud, endpoint_name)
    config = current.config.get("EndpointConfigName") if with_parts else None
    models = sorted(current.models) if with_parts else []
    deleted = [
        f"endpoint {endpoint_name}",
        *([f"config {config}"] if config else []),
        *(f"model {each}" for each in models),
    ]
    cloud.say(f"This deletes {', '.join(deleted)}")
    if current.description["EndpointStatus"] == endpoint.IN_SERVICE:
        cloud.say(f"While it runs, it {prices.running_cost(cloud, current.running)}")
    if not (yes or cloud.dry_run):
        click.confirm("Go on?", abort=True, err=True)
    unscale(cloud, endpoint_name, [each["VariantName"] for each in current.variants])
    cloud.call("sagemaker", "DeleteEndpoint", EndpointName=endpoint_name)
    if config:
        cloud.call("sagemaker", "DeleteEndpointConfig", EndpointConfigName=config)
    for each in models:
        cloud.call("sagemaker", "DeleteModel", ModelName=each)
    if not (no_wait or cloud.dry_run):
        until_gone(cloud, endpoint_name)
    result = {"EndpointName": endpoint_name, "EndpointConfigName": config, "ModelNames": models}
    cloud.finish(result, f"{'Being deleted' if no_wait else 'Deleted'}: {', '.join(deleted)}")


def unscale(cloud: Cloud, name: str, variants: list[str]) -> None:
    """Take autoscaling away, which would outlive the endpoint; not to be allowed to is no reason to stop."""
    try:
        for variant in variants:
            autoscale.unscale(cloud, f"endpoint/{name}/variant/{variant}")
    except Refused as error:
        cloud.say(f"Whether it is scaled could not be found out: {error.message.splitlines()[0]}")


def until_gone(cloud: Cloud, name: str) -> None:
    """Wait until there is no such endpoint.

    Raises:
        click.ClickException: it could not be deleted.
    """
    watch = Watch(
        what=f"endpoint {name}",
        describe=lambda: cloud.find("sagemaker", "DescribeEndpoint", EndpointName=name) or {"EndpointStatus": GONE},
        is_over=lambda answer: answer["EndpointStatus"] != "Deleting",
        state=lambda answer: str(answer["EndpointStatus"]),
    )
    ended = watch.until_over()
    if ended["EndpointStatus"] != GONE:
        reason = ended.get("FailureReason", "SageMaker gives no reason")
        raise click.ClickException(f"endpoint {name} is {ended['EndpointStatus']}, not deleted: {reason}")
