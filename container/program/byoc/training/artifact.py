"""The model's files: written beside their place and renamed into it, so that it never holds half a model."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from byoc.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

# Inside the model folder, because that is a mount of its own and a rename does not cross mounts.
STAGING = ".staging"


def stage(folder: Path) -> Path:
    """Return an empty folder, on the model folder's own file system, for the model's files.

    Raises:
        ModelError: the model folder cannot be written; better told before the training than after it.

    """
    staging = folder / STAGING
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
    except OSError as error:
        raise ModelError(f"cannot write to the model folder {folder}: {error.strerror}") from error
    return staging


def publish(staging: Path) -> list[str]:
    """Move what was staged into the model folder; return the names, sorted.

    Raises:
        ModelError: nothing was written, or something that a ``model.tar.gz`` must not hold: a link, socket or device.

    """
    for path in staging.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelError(f"{path.relative_to(staging)} is a link or a special file; SageMaker refuses such a model")
    names = sorted(path.name for path in staging.iterdir())
    if not names:
        raise ModelError("fit() wrote no model; write it into job.model_dir")
    for name in names:
        target = staging.parent / name
        if target.is_dir():
            shutil.rmtree(target)
        (staging / name).rename(target)
    discard(staging)
    return names


def discard(staging: Path) -> None:
    """Remove what was staged."""
    shutil.rmtree(staging, ignore_errors=True)
