"""Endpoints: made, updated without a lost request, described, deleted, and started again with the emulator."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import ApiError, invalid
from byoc_cli.emulator.hosting import limits
from byoc_cli.emulator.hosting.containers import StartError
from byoc_cli.emulator.hosting.deployments import Deployment, Live
from byoc_cli.emulator.hosting.updates import check_change, check_deployment_config, retained
from byoc_cli.emulator.hosting.variants import Variant
from byoc_cli.emulator.store import page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoc_cli.emulator.api import Operation
    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.hosting.endpoint_configs import EndpointConfigs
    from byoc_cli.emulator.hosting.limits import Limits
    from byoc_cli.emulator.hosting.models import Models

log = logging.getLogger(__name__)

LISTED = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
OF_CONFIG = ("EndpointConfigName", "ProductionVariants", "AsyncInferenceConfig")


class Endpoints:
    """The endpoints there are.

    Args:
        emulator: keeps their records and tags, and runs their containers.
        models: that are served.
        configs: by which they are.
        bounds: of their containers.
    """

    def __init__(self, emulator: Emulator, models: Models, configs: EndpointConfigs, bounds: Limits) -> None:
        self._emulator = emulator
        self._models = models
        self._configs = configs
        self._memory = bounds.memory
        self._table = emulator.table("endpoint", "endpoint")
        self._live: dict[str, Live] = {name: Live() for name in self._table.names()}
        # One change of an endpoint at a time, and none of two requests for it overlooked.
        self._changing = threading.Lock()

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {
            "CreateEndpoint": self._create,
            "UpdateEndpoint": self._update,
            "UpdateEndpointWeightsAndCapacities": self._resize,
            "DescribeEndpoint": self._describe,
            "ListEndpoints": lambda request: page(self._table.all(), request, "Endpoints", LISTED, "EndpointName"),
            "DeleteEndpoint": self._delete,
        }

    def serving(self, name: str) -> tuple[Live, dict[str, Any]]:
        """Return what answers for an endpoint, and the configuration by which it does.

        Raises:
            ApiError: there is no such endpoint, or it does not serve yet.
        """
        live = self._live.get(name)
        deployment = live.deployment if live is not None else None
        if live is None or deployment is None:
            account = self._table.arn(name).split(":")[4]
            raise ApiError("ValidationError", f"Endpoint {name} of account {account} not found.")
        return live, dict(deployment.config)

    def resume(self) -> None:
        """Start again what an earlier emulator served, and finish what it deleted."""
        for record in self._table.all():
            name = record["EndpointName"]
            if record["EndpointStatus"] == "Deleting":
                self._table.remove(name)
            elif record["EndpointStatus"] != "Failed":
                self._table.update(name, EndpointStatus="Creating", PendingDeploymentSummary=None)
                self._change(name, lambda name=name, record=record: self._deploy(name, record["_Config"]))  # type: ignore[misc]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        if "DeploymentConfig" in request:
            check_deployment_config(request["DeploymentConfig"])
        name, config = request["EndpointName"], self._configs.find(request["EndpointConfigName"])
        arn = self._table.arn(name)
        record = {"EndpointName": name, "EndpointArn": arn, "EndpointStatus": "Creating", "_Config": config}
        with self._changing:
            self._table.add(name, {**record, "EndpointConfigName": config["EndpointConfigName"]})
            self._live[name] = Live()
        self._emulator.tags.add(arn, request.get("Tags"))
        self._change(name, lambda: self._deploy(name, config))
        return {"EndpointArn": arn}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        if "DeploymentConfig" in request:
            check_deployment_config(request["DeploymentConfig"])
        name, config = request["EndpointName"], self._configs.find(request["EndpointConfigName"])
        self._begin(name, "Updating", PendingDeploymentSummary={"EndpointConfigName": config["EndpointConfigName"]})
        deployment = self._live[name].deployment
        if request.get("RetainAllVariantProperties") and deployment is not None:
            excluded = [each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties", [])]
            config = retained(config, deployment, excluded)
        self._change(name, lambda: self._deploy(name, config))
        return {"EndpointArn": self._table.arn(name)}

    def _resize(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        self._table.get(name)
        deployment = self._live[name].deployment
        variants = {each.name: each for each in deployment.variants} if deployment is not None else {}
        changes = [(each["VariantName"], each) for each in request["DesiredWeightsAndCapacities"]]
        for variant, change in changes:
            if variant not in variants:
                raise invalid(f'The variant name(s) "{variant}" is/are not present within endpoint "{name}".')
            check_change(change, is_serverless=variants[variant].serverless is not None)
        self._begin(name, "Updating")

        def resize() -> None:
            for variant, change in changes:
                variants[variant].change(change)

        self._change(name, resize)
        return {"EndpointArn": self._table.arn(name)}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        record = self._table.get(request["EndpointName"])
        return {key: value for key, value in record.items() if not key.startswith("_")}

    def _delete(self, request: dict[str, Any]) -> None:
        name = request["EndpointName"]
        self._begin(name, "Deleting", allowed=("InService", "Failed"))
        live = self._live[name]

        def delete() -> None:
            deployment = live.change(None)
            if deployment is not None:
                live.retire(deployment, limits.ANSWER_SECONDS)
            self._emulator.tags.remove(self._table.arn(name))
            self._live.pop(name, None)
            self._table.remove(name)

        self._emulator.background(delete, f"deletion of endpoint {name}")

    def _begin(self, name: str, status: str, allowed: tuple[str, ...] = ("InService",), **values: Any) -> None:
        """Begin a change of an endpoint.

        Raises:
            ApiError: there is no such endpoint, or it cannot be changed now.
        """
        with self._changing:
            current = self._table.get(name)["EndpointStatus"]
            if current in ("Creating", "Updating", "Deleting"):
                raise invalid(f'Cannot update in-progress endpoint "{self._table.arn(name)}".')
            if current not in allowed:
                raise invalid(f'Cannot update endpoint "{self._table.arn(name)}" in status {current}; delete it')
            self._table.update(name, EndpointStatus=status, **values)

    def _change(self, name: str, change: Callable[[], None]) -> None:
        """Do what changes an endpoint, in the background; what cannot be done is told by FailureReason."""

        def run() -> None:
            reason = None
            try:
                change()
            except (StartError, ApiError) as error:
                reason = error.message if isinstance(error, ApiError) else str(error)
            except Exception as error:
                log.exception("endpoint %s", name)
                reason = f"the emulator failed: {error}; its log has the cause"
            if not self._emulator.closing.is_set():
                self._end(name, reason)

        self._emulator.background(run, f"endpoint {name}")

    def _end(self, name: str, reason: str | None) -> None:
        """End a change: an endpoint that served before goes on as it was."""
        deployment = self._live[name].deployment
        if reason is not None:
            log.warning("endpoint %s: %s", name, reason)
        values: dict[str, Any] = {"FailureReason": reason, "PendingDeploymentSummary": None}
        if deployment is None:
            self._table.update(name, EndpointStatus="Failed", **values)
            return
        config = deployment.config
        told = {key: config.get(key) for key in OF_CONFIG} | {"ProductionVariants": deployment.summaries()}
        self._table.update(name, EndpointStatus="InService", **values, **told, _Config=retained(config, deployment, ()))

    def _deploy(self, name: str, config: dict[str, Any]) -> None:
        """Start what a configuration says; once it is healthy, it serves, and what served before is stopped.

        Raises:
            StartError: it did not come up.
            ApiError: a model is gone.
        """
        variants = [
            Variant(self._emulator, name, each, self._models.find(each["ModelName"]), self._memory)
            for each in config["ProductionVariants"]
        ]
        deployment, live = Deployment(config, variants), self._live[name]
        deployment.start()
        before = live.change(deployment)
        for each in variants:
            self._emulator.background(each.watch, f"{name}/{each.name} is watched")
        if before is not None:
            self._emulator.background(
                lambda: live.retire(before, limits.LONGEST_SECONDS), f"the old instances of {name}"
            )
