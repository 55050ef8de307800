"""The room of hosting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug import Request, Response

from byoc_cli.emulator.emulator import Room

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.emulator.api import Operation


class Hosting(Room):
    """To be written."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {}

    def runtime(self, request: Request) -> Response:
        """Answer what comes for an endpoint."""
        return Response(status=404)
