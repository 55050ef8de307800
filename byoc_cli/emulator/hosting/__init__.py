"""The room of hosting: models, endpoint configurations, endpoints, and what is asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug import Request, Response

from byoc_cli.emulator.emulator import Room
from byoc_cli.emulator.hosting import models
from byoc_cli.emulator.hosting.containers import STARTUP_SECONDS, Profile
from byoc_cli.emulator.hosting.instances import Instance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.emulator.api import Operation
    from byoc_cli.emulator.emulator import Emulator


class Hosting(Room):
    """The room.

    Args:
        emulator: that it is of.
    """

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self.not_emulated = {"CreateModel": models.NOT_EMULATED}
        self._models = models.Models(emulator)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return self._models.operations

    def start_instance(
        self,
        model: str,
        *,
        group: str,
        stream: str,
        environment: Mapping[str, str] | None = None,
        seconds: float = STARTUP_SECONDS,
    ) -> Instance:
        """Start the containers of a model; return them when they are healthy: the caller's to `close`.

        Args:
            model: its name.
            group: of the log: ``TransformJobs``.
            stream: of the log: ``name/i-0123``.
            environment: variables beside those of the model, and before them.
            seconds: within which they must be healthy.

        Raises:
            ApiError: there is no such model.
            StartError: they do not come up; the message is a FailureReason.
        """
        profile = Profile(group, stream, environment=environment or {}, seconds=seconds)
        instance = Instance(self.emulator, self._models.find(model), profile)
        instance.start()
        return instance

    def runtime(self, request: Request) -> Response:
        """Answer what comes for an endpoint."""
        return Response(status=404)
