"""The room of transform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc_cli.emulator.emulator import Room

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.emulator.api import Operation


class TransformJobs(Room):
    """To be written."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {}
