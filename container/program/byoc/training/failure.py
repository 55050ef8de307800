"""The failure file: the first 1,024 characters of it become the job's FailureReason."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING

from byoc.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIMIT = 1024
# Describe* calls show the failure text to everybody who may call them.
SECRET = re.compile(r"key|token|secret|passw|credential|licen[cs]e", re.IGNORECASE)
SHORTEST_SECRET = 6


def describe(error: BaseException, environ: Mapping[str, str]) -> str:
    """Return the text for the failure file: the cause first, then as much of the traceback as fits 1,024 characters.

    A mistake of the user's needs no traceback. Values of environment variables whose names tell of secrets are
    replaced by the names.
    """
    # Masked before it is cut: half a secret is not replaced.
    text = _mask(f"{type(error).__name__}: {error}", environ)
    if not isinstance(error, UserError):
        frames = _mask("".join(traceback.format_tb(error.__traceback__)), environ)
        text = f"{text[: LIMIT // 2]}\n\nTraceback (most recent call last):\n"
        text += frames[-(LIMIT - len(text)) :]
    return text[:LIMIT]


def is_secret(name: str) -> bool:
    """Whether the name of a variable or hyperparameter tells that its value is nobody's business."""
    return bool(SECRET.search(name))


def _mask(text: str, environ: Mapping[str, str]) -> str:
    for name, value in environ.items():
        if is_secret(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, f"<{name}>")
    return text


def write(file: Path, text: str) -> None:
    """Write the failure file, unless a child process has already told a cause nearer to the fault."""
    if file.exists() and file.stat().st_size > 0:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", errors="replace")
