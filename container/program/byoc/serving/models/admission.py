"""Which models are let in: by their name, by the place of their files, and by the memory that is left."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from byoc import machine
from byoc.serving.errors import RequestError, bad_request
from byoc.serving.settings import MEBIBYTE

if TYPE_CHECKING:
    from pathlib import Path

    from byoc.env import Paths

# nginx.conf knows the same names: they become those of sockets, so nothing in them may lead to another folder.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Memory that stays free for requests; a model that would leave less is not let in.
RESERVE = 64 * MEBIBYTE


def check_name(name: object) -> str:
    """Return the name of a model.

    Raises:
        RequestError: 400, it is none.

    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise bad_request(f"model_name must be text that matches {NAME.pattern}")
    return name


def find(url: object, paths: Paths) -> Path:
    """Return the folder that a model's url names, every link resolved.

    Raises:
        RequestError: 400, it is no folder below ``/opt/ml/models``, or a link in it leads out of there.

    """
    root = (paths.base / "models").resolve()
    try:
        folder = paths.local(url if isinstance(url, str) else "").resolve()
        is_below = folder != root and folder.is_relative_to(root)
        if is_below and folder.is_dir() and all(_leads_below(root, file) for file in folder.rglob("*")):
            return folder
    except (OSError, RuntimeError, ValueError):
        # Links in a circle, a zero byte, a name that is too long.
        is_below = False
    why = "is not a folder, or holds links that lead elsewhere" if is_below else "is not below /opt/ml/models"
    raise bad_request(f"url {why}")


def _leads_below(root: Path, file: Path) -> bool:
    return not file.is_symlink() or file.resolve().is_relative_to(root)


def check_memory(folder: Path | None = None) -> None:
    """Check that the files of a model fit into the memory that is left; without a folder, that enough is left.

    Raises:
        RequestError: 507, they do not.

    """
    needed = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder else 0
    left = machine.memory_left()
    if left < needed + RESERVE:
        raise no_memory(
            f"{left / MEBIBYTE:.0f} MB of memory are left; {(needed + RESERVE) / MEBIBYTE:.0f} MB are needed at least"
        )


def no_memory(why: str) -> RequestError:
    """Return a 507, on which the platform unloads other models and tries again."""
    return RequestError(507, "insufficient_memory", why)
