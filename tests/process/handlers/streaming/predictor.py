"""A model that answers piece by piece: each row is a word and its argument, such as ``count,3``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from byoc.serving.context import Context
    from byoc.serving.formats.records import Records

FORK_SAFE = True


def model_fn(model_dir: str) -> Path:
    """Return the folder in which the generators leave traces."""
    return Path(model_dir)


def predict_fn(data: Records, model: Path, context: Context) -> Iterator[Any]:
    """Do what each row says."""
    try:
        for word, argument in data.cells:
            yield from ACTIONS[word](argument, context)
        if context.custom_attributes:
            yield context.custom_attributes
    finally:
        (model / f"closed-{context.inference_id}").touch()


def count(argument: str, _context: Context) -> Iterator[object]:
    """Yield numbers."""
    for number in range(int(argument)):
        yield {"number": number}


def tick(argument: str, _context: Context) -> Iterator[object]:
    """Yield text, with a tenth of a second between."""
    for number in range(int(argument)):
        yield f"{number}\n"
        time.sleep(0.1)


def fail(argument: str, _context: Context) -> Iterator[object]:
    """Yield a value and raise."""
    if argument != "at once":
        yield "a piece\n"
    raise ValueError("canary")


def remember(argument: str, context: Context) -> Iterator[object]:
    """Add to the session, and yield what is in it."""
    assert context.session is not None
    context.session["words"] = [*context.session.get("words", []), argument]
    yield context.session["words"]


def attributes(argument: str, context: Context) -> Iterator[object]:
    """Answer the custom attributes and a header."""
    context.custom_attributes = argument
    context.response_headers |= {"X-Own": "own", "content-type": "text/own"}
    context.status = 202
    yield context.custom_attributes


ACTIONS: dict[str, Callable[[str, Context], Iterator[object]]] = {
    "count": count,
    "tick": tick,
    "raise": fail,
    "remember": remember,
    "attributes": attributes,
}
