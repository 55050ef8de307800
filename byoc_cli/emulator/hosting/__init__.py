"""The room of hosting: models, endpoint configurations, endpoints, and what is asked of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, ClassVar

from byoc_cli.emulator.emulator import Room
from byoc_cli.emulator.hosting import endpoint_configs, limits, models
from byoc_cli.emulator.hosting.async_invocations import AsyncInvocations
from byoc_cli.emulator.hosting.calls import Answer, call
from byoc_cli.emulator.hosting.containers import FOLDERS, Profile
from byoc_cli.emulator.hosting.endpoints import Endpoints
from byoc_cli.emulator.hosting.instances import Instance
from byoc_cli.emulator.hosting.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug import Request, Response

    from byoc_cli.emulator.api import Operation
    from byoc_cli.emulator.emulator import Emulator


class Hosting(Room):
    """The room.

    Args:
        emulator: that it is of.
    """

    done: ClassVar[Mapping[str, frozenset[str]]] = {"CreateEndpointConfig": endpoint_configs.DONE}
    not_emulated: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "CreateModel": models.NOT_EMULATED,
        "CreateEndpointConfig": endpoint_configs.NOT_EMULATED,
    }

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        bounds = limits.Limits.from_environ()
        self._models = models.Models(emulator)
        self._configs = endpoint_configs.EndpointConfigs(emulator, self._models)
        self._endpoints = Endpoints(emulator, self._models, self._configs, bounds)
        self._runtime = Runtime(self._endpoints, AsyncInvocations(emulator), bounds, emulator.region)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {**self._models.operations, **self._configs.operations, **self._endpoints.operations}

    def start_instance(
        self,
        model: str,
        *,
        group: str,
        stream: str,
        environment: Mapping[str, str] | None = None,
        seconds: float = limits.STARTUP_SECONDS,
        instance_type: str = "",
    ) -> Instance:
        """Start the containers of a model; return them when they are healthy: the caller's to `close`.

        Args:
            model: its name.
            group: of the log: ``TransformJobs``.
            stream: of the log: ``name/i-0123``.
            environment: variables beside those of the model, and before them.
            seconds: within which they must be healthy.
            instance_type: one with a GPU has this machine's.

        Raises:
            ApiError: there is no such model.
            StartError: they do not come up; the message is a FailureReason.
        """
        profile = Profile(group, stream, environment=environment or {}, seconds=seconds, instance_type=instance_type)
        instance = Instance(self.emulator, self._models.find(model), profile)
        instance.start()
        return instance

    def runtime(self, request: Request) -> Response:
        """Answer what comes for an endpoint."""
        return self._runtime.answer(request)

    def look(self, endpoint: str, path: str, seconds: float) -> Answer:
        """Return what a route of the container that an endpoint's requests come to answers to GET.

        Raises:
            ApiError: there is no such endpoint, or it does not serve yet.
            CallError: it does not answer.
        """
        live, _ = self._endpoints.serving(endpoint)
        with live.lent() as (_, instance):
            return call(instance.url, "GET", path, seconds=seconds)

    def resume(self) -> None:
        """Start again the endpoints that an earlier emulator had."""
        self._clear()
        self._endpoints.resume()

    def close(self) -> None:
        """Leave no files of containers behind; the engine ends the containers themselves."""
        self._clear()

    def _clear(self) -> None:
        for folder in self.emulator.folder.glob(f"work/{FOLDERS}-*"):
            shutil.rmtree(folder, ignore_errors=True)
