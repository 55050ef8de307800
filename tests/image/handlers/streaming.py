"""Answers a letter of the body at a time, and fails at an exclamation mark."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def model_fn(model_dir: str) -> str:
    """Return no model."""
    return model_dir


def input_fn(body: bytes, content_type: str) -> str:
    """Return the text."""
    return body.decode()


def predict_fn(data: str, model: str) -> Iterator[str]:
    """Yield the letters, with a tenth of a second between; a dot ends the process."""
    for letter in data:
        if letter == "!":
            raise ValueError("no exclamation marks")
        if letter == ".":
            os._exit(1)
        yield f"{letter}\n"
        time.sleep(0.1)
