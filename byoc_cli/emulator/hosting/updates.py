"""What an update may ask for: how traffic is moved, and what is kept of the variants as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import invalid
from byoc_cli.emulator.hosting import parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from byoc_cli.emulator.hosting.deployments import Deployment

EXCUSED_OF_POLICY = {
    "TerminationWaitInSeconds": "the old instances stop when they have answered",
    "MaximumExecutionTimeoutInSeconds": "an update lasts as long as the new instances may take to be healthy",
}


def check_deployment_config(config: Mapping[str, Any]) -> None:
    """Refuse any way of moving traffic but all at once.

    Raises:
        ApiError: another one is asked for.
    """
    parameters.check("DeploymentConfig", config, {"BlueGreenUpdatePolicy"}, {})
    policy = config.get("BlueGreenUpdatePolicy", {})
    parameters.check("BlueGreenUpdatePolicy", policy, {"TrafficRoutingConfiguration"}, EXCUSED_OF_POLICY)
    kind = policy.get("TrafficRoutingConfiguration", {}).get("Type", "ALL_AT_ONCE")
    if kind != "ALL_AT_ONCE":
        raise invalid(f"TrafficRoutingConfiguration.Type {kind} is not emulated here; ALL_AT_ONCE is")


def retained(config: Mapping[str, Any], deployment: Deployment, excluded: Collection[str]) -> dict[str, Any]:
    """Return a configuration with the weights and the instance counts that its variants have now.

    Args:
        config: the new one.
        deployment: that serves now.
        excluded: ``DesiredInstanceCount``, ``DesiredWeight``: what is taken from the new one after all.
    """
    current = {each.name: each for each in deployment.variants}
    variants = []
    for each in config["ProductionVariants"]:
        own, now = dict(each), current.get(each["VariantName"])
        if now is not None and "DesiredWeight" not in excluded:
            own["InitialVariantWeight"] = now.weight
        if now is not None and "DesiredInstanceCount" not in excluded and "InitialInstanceCount" in own:
            own["InitialInstanceCount"] = len(now.instances)
        variants.append(own)
    return {**config, "ProductionVariants": variants}


def check_change(change: Mapping[str, Any], *, is_serverless: bool) -> None:
    """Refuse a change of a variant that it cannot take.

    Args:
        change: of UpdateEndpointWeightsAndCapacities.
        is_serverless: whether the variant is.

    Raises:
        ApiError: it cannot.
    """
    if is_serverless and "DesiredInstanceCount" in change:
        raise invalid("DesiredInstanceCount is not for serverless variants: ServerlessUpdateConfig is")
    if not is_serverless and "ServerlessUpdateConfig" in change:
        raise invalid("ServerlessUpdateConfig is for serverless variants only")
    if change.get("DesiredInstanceCount") == 0:
        raise invalid("DesiredInstanceCount must be 1 or more: scaling to zero is not emulated here")
    excused = {"ProvisionedConcurrency": "the container is always warm"}
    parameters.check("ServerlessUpdateConfig", change.get("ServerlessUpdateConfig", {}), {"MaxConcurrency"}, excused)
