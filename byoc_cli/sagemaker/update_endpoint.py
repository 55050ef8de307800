"""`byoc sagemaker update-endpoint`: blue/green, so that the old one serves until the new one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker import endpoint, permissions, prices
from byoc_cli.sagemaker.bucket import Bucket
from byoc_cli.sagemaker.cloud import Cloud, named
from byoc_cli.sagemaker.create_endpoint import remove
from byoc_cli.sagemaker.hosting import Hosting, hosting_options
from byoc_cli.sagemaker.model import ModelOptions, model_options
from byoc_cli.sagemaker.options import bucket_option, cloud_options, endpoint_argument, wait_option
from byoc_cli.sagemaker.watch import failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.sagemaker.cloud import Answer
    from byoc_cli.sagemaker.endpoint import Endpoint

EPILOG = """\b
Examples:
  byoc sagemaker update-endpoint churn -i churn:1.5
  byoc sagemaker update-endpoint churn --training-job churn-20260801-070000-001
  byoc sagemaker update-endpoint churn --model-url model.tar.gz --env MODEL_SERVER_WORKERS=4
  byoc sagemaker update-endpoint churn --instance-type ml.c5.xlarge --instance-count 2
  byoc sagemaker update-endpoint churn -i churn:1.5 --canary 10 --bake 600 --alarm churn-errors
"""


@click.command("update-endpoint", epilog=EPILOG)
@endpoint_argument
@model_options
@hosting_options
@click.option("--variant", help="The variant that is changed. [default: the only one]")
@click.option(
    "--canary", type=click.IntRange(1, 50), metavar="PERCENT", help="First send so much of the requests to it."
)
@click.option(
    "--bake", type=click.IntRange(0, 3600), default=300, show_default=True, help="Seconds that a canary is watched."
)
@click.option("--alarm", "alarms", multiple=True, metavar="NAME", help="CloudWatch alarm that takes the update back.")
@click.option("--delete-old", is_flag=True, help="Delete the old config and model once the new ones serve.")
@bucket_option
@wait_option
@cloud_options
def update_endpoint_command(
    cloud: Cloud, endpoint_name: str, asked: ModelOptions, hosting: Hosting, bucket: str | None, **given: Any
) -> None:
    """Change an endpoint while it serves. What is not named stays; nothing old is deleted before the new one serves.

    The number of instances stays as autoscaling has it, unless --instance-count is given.
    """
    if not (asked or hosting):
        raise click.UsageError("nothing is to change; name an image, a model, a variable or how it runs")
    if given["no_wait"] and given["delete_old"]:
        raise click.UsageError("--delete-old waits until the new one serves: leave --no-wait out")
    current = endpoint.describe(cloud, endpoint_name)
    check(current, asked, endpoint_name)
    store, made = Bucket(cloud, bucket), named(endpoint_name)
    try:
        variant = new_parts(cloud, store, made, current, pick(current, given["variant"]), asked, hosting)
        kept = {"RetainAllVariantProperties": True}
        counted = {"ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredInstanceCount"}]}
        more = {**kept, **(counted if hosting.instance_count else {})} if "InstanceType" in variant else {}
        rollout = deployment(given["canary"], given["bake"], given["alarms"])
        names = {"EndpointName": endpoint_name, "EndpointConfigName": made}
        cloud.call("sagemaker", "UpdateEndpoint", **names, **more, **rollout)
    except click.ClickException:
        remove(cloud, made)
        raise
    if cloud.dry_run or given["no_wait"]:
        cloud.finish(
            {"EndpointName": endpoint_name, "EndpointStatus": "Updating", "EndpointConfigName": made},
            f"{endpoint_name} is being updated, and serves meanwhile; byoc sagemaker status {endpoint_name}",
        )
        return
    description = endpoint.until_settled(cloud, endpoint_name)
    if description["EndpointConfigName"] != made or description["EndpointStatus"] != endpoint.IN_SERVICE:
        fail(cloud, current, made, description)
    if given["delete_old"]:
        delete_old(cloud, current, made)
    cloud.finish(
        {"EndpointName": endpoint_name, "EndpointStatus": endpoint.IN_SERVICE, "EndpointConfigName": made},
        f"{endpoint_name} serves by its new config {made}; it {prices.running_cost(cloud, [variant])}",
        *(
            []
            if given["delete_old"]
            else [f"The old config {current.config.get('EndpointConfigName')} is kept, to go back to"]
        ),
    )


def check(current: Endpoint, asked: ModelOptions, name: str) -> None:
    """Refuse what cannot be updated.

    Raises:
        click.ClickException: it is not in service, or parts of it are gone.
    """
    status = current.description["EndpointStatus"]
    if status == "Failed":
        raise click.ClickException(
            f"endpoint {name} has failed and serves nothing, so there is nothing to update; delete it (byoc sagemaker "
            f"delete-endpoint {name}) and create it again"
        )
    if status != endpoint.IN_SERVICE:
        raise click.ClickException(f"endpoint {name} is {status}; wait until it is {endpoint.IN_SERVICE}")
    if not current.config:
        raise click.ClickException(
            f"the config {current.description['EndpointConfigName']} of endpoint {name} has been deleted, so what it "
            "was cannot be told; make a new config and update the endpoint by boto3"
        )
    if asked and not current.models:
        raise click.ClickException(f"the model of endpoint {name} has been deleted; make another endpoint")


def pick(current: Endpoint, named_one: str | None) -> Mapping[str, Any]:
    """Return the variant that is changed.

    Raises:
        click.UsageError: it is not clear which.
    """
    names = [each["VariantName"] for each in current.variants]
    if named_one is None and len(names) > 1:
        raise click.UsageError(f"there are several variants; add --variant, one of {', '.join(names)}")
    for each in current.variants:
        if named_one in (None, each["VariantName"]):
            return each
    raise click.UsageError(f"there is no variant {named_one}; there is {', '.join(names)}")


def new_parts(
    cloud: Cloud,
    store: Bucket,
    made: str,
    current: Endpoint,
    variant: Mapping[str, Any],
    asked: ModelOptions,
    hosting: Hosting,
) -> dict[str, Any]:
    """Make the new config, and the new model where it changes; return the new variant."""
    model = variant["ModelName"]
    if asked:
        cloud.call("sagemaker", "CreateModel", **asked.changed(cloud, store, made, current.models[model]))
        model = made
    new = hosting.variant(model, variant)
    members = cloud.client("sagemaker").meta.service_model.operation_model("CreateEndpointConfig").input_shape.members
    config = {name: value for name, value in current.config.items() if name in members and value not in (None, [], {})}
    config["EndpointConfigName"] = made
    config["ProductionVariants"] = [
        new if each["VariantName"] == new["VariantName"] else each for each in current.variants
    ]
    name = current.description["EndpointName"]
    asynchronous = hosting.async_config(lambda: store.uri("async", name), config.get("AsyncInferenceConfig"))
    cloud.call(
        "sagemaker",
        "CreateEndpointConfig",
        **{**config, **({"AsyncInferenceConfig": asynchronous} if asynchronous else {})},
    )
    return new


def deployment(canary: int | None, bake: int, alarms: tuple[str, ...]) -> dict[str, Any]:
    """Return UpdateEndpoint's DeploymentConfig; without a canary and alarms AWS's own, all at once."""
    if canary is None and not alarms:
        return {}
    routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": bake}
    if canary is not None:
        routing |= {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": canary}}
    found: dict[str, Any] = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    if alarms:
        found["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return {"DeploymentConfig": found}


def fail(cloud: Cloud, current: Endpoint, made: str, description: Answer) -> None:
    """Tell of an update that came to nothing.

    Raises:
        click.ClickException: always.
    """
    name, status = description["EndpointName"], description["EndpointStatus"]
    reason = description.get("FailureReason", "")
    serves = status == endpoint.IN_SERVICE
    old = current.description["EndpointConfigName"]
    advice = [
        permissions.of_role(reason),
        f"The old one still serves, by its config {old}" if serves else f"It is {status}: look at it in the console",
        "To look for the cause here: byoc doctor IMAGE --only hosting",
    ]
    text, last = failure(
        f"The update of {name} failed", reason, endpoint.log_of(cloud, name), advice=[*filter(None, advice)]
    )
    if serves:
        remove(cloud, made)
    if cloud.as_json:
        cloud.finish({**description, "FailureReason": reason, "StillServes": serves, "Log": last})
    raise click.ClickException(text)


def delete_old(cloud: Cloud, current: Endpoint, made: str) -> None:
    """Delete the config and the models that served before, but for those that still do."""
    cloud.call("sagemaker", "DeleteEndpointConfig", EndpointConfigName=current.config["EndpointConfigName"])
    now = cloud.read("sagemaker", "DescribeEndpointConfig", EndpointConfigName=made)
    kept = {each["ModelName"] for each in now["ProductionVariants"]}
    for model in sorted(current.models.keys() - kept):
        cloud.call("sagemaker", "DeleteModel", ModelName=model)
