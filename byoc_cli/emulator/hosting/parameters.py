"""Parameters within parameters: what is not emulated there is refused or said, as `Api` does for those on top."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

log = logging.getLogger(__name__)


def check(where: str, given: Mapping[str, Any], done: Container[str], excused: Mapping[str, str]) -> None:
    """Check the members of a structure.

    Args:
        where: names it: ``ProductionVariants``.
        given: its members.
        done: those that are emulated.
        excused: those that do nothing here, with the reason, which the log tells.

    Raises:
        ApiError: there is another one.
    """
    for name, value in given.items():
        if value in (None, [], {}, False) or name in done:
            continue
        if name not in excused:
            raise invalid(f"{where}.{name} is not emulated here; leave it out")
        log.warning("%s.%s does nothing here: %s", where, name, excused[name])
