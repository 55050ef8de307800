"""What tells one kind of model file from another where their names do not; nothing is loaded for that."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# In UBJSON the length of a name stands before it.
XGBOOST = re.compile(rb'\s*\{\s*"learner"\s*:|\{.{1,12}learner\{', re.DOTALL)


def any_content(_file: Path) -> bool:
    """Accept the file by its name alone."""
    return True


def of_tabular(file: Path) -> bool:
    """Tell whether a ``schema.json`` was written by the sample algorithm: it names the estimator, or is damaged."""
    try:
        return "estimator" in json.loads(file.read_bytes()).get("created", {})
    except (OSError, ValueError, AttributeError):
        return True


def of_xgboost(file: Path) -> bool:
    """Tell whether a file was written by XGBoost, as JSON or UBJSON: an object whose first name is its own."""
    return XGBOOST.match(_head(file)) is not None


def of_lightgbm(file: Path) -> bool:
    """Tell whether a file was written by LightGBM, as text: it begins with its trees' name and version."""
    return _head(file).startswith(b"tree\nversion=")


def of_pickle(file: Path) -> bool:
    """Tell whether a file is a pickle of protocol 2 or later."""
    return _head(file).startswith(b"\x80")


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(256)
    except OSError:
        return b""
