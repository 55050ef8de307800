"""``text/event-stream``: an answer in pieces, an event a record, each sent as soon as it is known; answers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from byoc.serving.formats import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

MEDIA_TYPE = "text/event-stream"


def encode(predictions: Any, outputs: Sequence[str]) -> bytes:
    """Return an event a prediction: ``data:`` and a JSON value."""
    return b"".join(event(answers.to_json(row)) for row in answers.rows(predictions, outputs))


def event(data: bytes) -> bytes:
    """Return one event; text of several lines is one event, too."""
    return b"".join(b"data: %b\n" % line for line in data.split(b"\n")) + b"\n"
