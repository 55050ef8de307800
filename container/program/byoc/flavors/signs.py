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


def of_torchscript(file: Path) -> bool:
    """Tell whether a ``*.pt`` holds TorchScript: a zip archive with code in it."""
    return any(name.partition("/")[2].startswith("code/") for name in _names(file))


def of_torch_pickle(file: Path) -> bool:
    """Tell whether a file of PyTorch's is a pickle: a checkpoint, or a module saved whole."""
    return not of_torchscript(file)


def _names(file: Path) -> list[str]:
    """Return what is in a zip archive, [] where the file is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []
