"""The page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug import Request, Response

if TYPE_CHECKING:
    from byoc_cli.emulator.emulator import Emulator


class Page:
    """To be written."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def answer(self, request: Request) -> Response:
        """Answer a browser."""
        return Response(f"the emulator of {self._emulator.region}: {request.path}")
