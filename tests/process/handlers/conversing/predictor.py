"""A model that talks: it echoes what it is told, except for a few words that it obeys."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from byoc.serving import websocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

# Half an hour and ten seconds are longer than a test can wait.
websocket.LONGEST = float(os.environ.get("LONGEST", websocket.LONGEST))
websocket.GRACE = float(os.environ.get("GRACE", websocket.GRACE))


def model_fn(model_dir: str) -> Path:
    return Path(model_dir)


def predict_fn(data: np.ndarray, model: Path) -> np.ndarray:
    return data[:, 0]


def converse_fn(messages: Iterator[str | bytes], model: Path) -> Iterator[str | bytes]:
    """Leave a file where a test can see that the conversation was closed."""
    thread = threading.get_ident()
    (model / "open").touch()
    try:
        for message in messages:
            yield from ACTIONS.get(message, lambda message=message: [message])()
    finally:
        assert threading.get_ident() == thread
        (model / "open").unlink()


def fail() -> Iterator[str]:
    raise ValueError("secret of the model")


def tick() -> Iterator[str]:
    while True:
        yield "tick"
        time.sleep(0.02)


def wait() -> Iterator[str]:
    """Be busy until a test leaves a file; for less time than it waits for a frame."""
    file = Path(os.environ["SAGEMAKER_BASE_DIR"], "model/go_on")
    end = time.monotonic() + 10
    while not file.exists():
        if time.monotonic() > end:
            yield "waited in vain"
            return
        time.sleep(0.02)
    yield "waited"


ACTIONS = {
    "three": lambda: ["1", b"2", "3"],
    "fail": fail,
    "exit": lambda: sys.exit(1),
    "number": lambda: [5],
    "tick": tick,
    "wait": wait,
}
