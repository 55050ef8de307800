"""`byoc sagemaker autoscale`: instances follow the load of an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker import endpoint
from byoc_cli.sagemaker.options import cloud_options, endpoint_argument

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Cloud
    from byoc_cli.sagemaker.endpoint import Endpoint

SERVICE = "application-autoscaling"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
POLICY = "byoc-target-tracking"
EPILOG = """\b
Examples:
  byoc sagemaker autoscale churn --min 1 --max 4 --target 1000
  byoc sagemaker autoscale churn-later --min 0 --max 3 --target 5    an async endpoint: by its queue, down to none
  byoc sagemaker autoscale churn --remove
"""


@click.command("autoscale", epilog=EPILOG)
@endpoint_argument
@click.option("--min", "least", type=click.IntRange(min=0), help="Instances at least; 0 for async endpoints only.")
@click.option("--max", "most", type=click.IntRange(min=1), help="Instances at most.")
@click.option(
    "--target",
    type=click.FloatRange(min=0, min_open=True),
    help="Requests a minute that one instance is to have; of an async endpoint, requests that wait for one.",
)
@click.option("--scale-in-cooldown", type=click.IntRange(0, 3600), default=300, show_default=True, help="Seconds.")
@click.option("--scale-out-cooldown", type=click.IntRange(0, 3600), default=60, show_default=True, help="Seconds.")
@click.option("--variant", help="The variant. [default: the only one]")
@click.option("--remove", "removes", is_flag=True, help="Scale no more; the instances stay as many as they are.")
@cloud_options
def autoscale_command(cloud: Cloud, endpoint_name: str, variant: str | None, *, removes: bool, **given: Any) -> None:
    """Keep the load of each instance near a target, by adding and removing instances."""
    current = endpoint.describe(cloud, endpoint_name)
    names = [each["VariantName"] for each in current.variants]
    if variant is None and len(names) > 1:
        raise click.UsageError(f"there are several variants; add --variant, one of {', '.join(names)}")
    if variant is not None and variant not in names:
        raise click.UsageError(f"there is no variant {variant}; there is {', '.join(names)}")
    where = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint_name}/variant/{variant or names[0]}",
        "ScalableDimension": DIMENSION,
    }
    if removes:
        remove(cloud, where)
        return
    least, most = check(current, given["least"], given["most"], given["target"])
    cloud.call(SERVICE, "RegisterScalableTarget", **where, MinCapacity=least, MaxCapacity=most)
    policy = {"PolicyName": POLICY, "PolicyType": "TargetTrackingScaling", **where}
    tracking = {
        "TargetValue": given["target"],
        **metric(current, endpoint_name),
        "ScaleInCooldown": given["scale_in_cooldown"],
        "ScaleOutCooldown": given["scale_out_cooldown"],
    }
    cloud.call(SERVICE, "PutScalingPolicy", **policy, TargetTrackingScalingPolicyConfiguration=tracking)
    what = "waiting requests" if current.kind == "async" else "requests a minute"
    cloud.finish(
        {"ResourceId": where["ResourceId"], "MinCapacity": least, "MaxCapacity": most, "TargetValue": given["target"]},
        f"{endpoint_name} has {least} to {most} instances, so many that each has about {given['target']:g} {what}",
    )


def check(current: Endpoint, least: int | None, most: int | None, target: float | None) -> tuple[int, int]:
    """Return the bounds.

    Raises:
        click.UsageError: they are no bounds, or the endpoint cannot be scaled so.
    """
    if current.kind == "serverless":
        raise click.UsageError("a serverless endpoint scales by itself, up to its --max-concurrency")
    if most is None or target is None:
        raise click.UsageError("say how far and by what: --min 1 --max 4 --target 1000, or --remove")
    least = 1 if least is None else least
    if least == 0 and current.kind != "async":
        raise click.UsageError("only async endpoints can do without instances: --min 1 or more")
    if least > most:
        raise click.UsageError(f"--min {least} is more than --max {most}")
    return least, most


def metric(current: Endpoint, name: str) -> dict[str, Any]:
    """Return what is kept near the target: an async endpoint's requests wait in a queue, others come by the minute."""
    if current.kind != "async":
        return {"PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}
    return {
        "CustomizedMetricSpecification": {
            "MetricName": "ApproximateBacklogSizePerInstance",
            "Namespace": "AWS/SageMaker",
            "Dimensions": [{"Name": "EndpointName", "Value": name}],
            "Statistic": "Average",
        }
    }


def remove(cloud: Cloud, where: dict[str, str]) -> None:
    """Take autoscaling away.

    Raises:
        click.ClickException: there is none.
    """
    if not unscale(cloud, where["ResourceId"]):
        raise click.ClickException(f"{where['ResourceId']} is not scaled, so there is nothing to remove")
    cloud.finish({**where, "Removed": True}, f"{where['ResourceId']} is scaled no more")


def unscale(cloud: Cloud, resource: str) -> bool:
    """Take the policies and the target of a variant away; return whether there was one."""
    place = {"ServiceNamespace": "sagemaker"}
    found = cloud.read(SERVICE, "DescribeScalableTargets", **place, ResourceIds=[resource])["ScalableTargets"]
    for target in found:
        where = {**place, "ResourceId": resource, "ScalableDimension": target["ScalableDimension"]}
        for policy in cloud.read(SERVICE, "DescribeScalingPolicies", **where)["ScalingPolicies"]:
            cloud.call(SERVICE, "DeleteScalingPolicy", **where, PolicyName=policy["PolicyName"])
        cloud.call(SERVICE, "DeregisterScalableTarget", **where)
    return bool(found)
