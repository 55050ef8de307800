"""The smallest application that gunicorn can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def app(_environ: object, start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Answer everything alike."""
    start_response("200 OK", [("Content-Type", "text/csv")])
    return [b"setosa\n"]
