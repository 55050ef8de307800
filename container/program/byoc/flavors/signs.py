"""What tells one kind of model file from another where their names do not; nothing is loaded for that."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def any_content(_file: Path) -> bool:
    """Accept the file by its name alone."""
    return True


def of_tabular(file: Path) -> bool:
    """Tell whether a ``schema.json`` was written by the sample algorithm: it names the estimator, or is damaged."""
    try:
        return "estimator" in json.loads(file.read_bytes()).get("created", {})
    except (OSError, ValueError, AttributeError):
        return True


def of_mojo(file: Path) -> bool:
    """Tell whether a ``*.zip`` is a MOJO of H2O-3's: it has a ``model.ini``, or is damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return "model.ini" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return True
