"""What the processes of one server share: a folder for sockets and the notice board, and the reason of an end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from byoc.errors import UserError
from byoc.serving.board import Board

if TYPE_CHECKING:
    from collections.abc import Callable

# Set by the supervisor for its children.
VARIABLE = "BYOC_RUNTIME_DIR"
REASON = "reason"
STOPPING = "stopping"
# gunicorn's master ends with the code of a worker that could not load its app, and starts no other.
CANNOT_LOAD = 4


def folder() -> Path:
    """Return the folder that the supervisor made for this server."""
    return Path(os.environ[VARIABLE])


def board() -> Board:
    """Return the server's notice board."""
    return Board(folder() / "board")


def listener(folder: Path, worker: int) -> Path:
    """Return the socket that gunicorn's master makes for one of its workers."""
    return folder / f"gunicorn-{worker}.sock"


def door(folder: Path, worker: int) -> Path:
    """Return the path under which nginx finds a worker's socket, there only while a worker stands behind it.

    Where it is missing nginx cannot connect, and asks another worker at once instead of waiting for a new one.
    """
    return folder / f"worker-{worker}.sock"


def manager(folder: Path) -> Path:
    """Return the socket of the manager of many models."""
    return folder / "manager.sock"


def model(folder: Path, name: str) -> Path:
    """Return the socket of one of many models, there while its process serves."""
    return folder / "models" / f"{name}.sock"


def open_door(worker: int) -> None:
    """Let nginx find the worker."""
    own = door(folder(), worker)
    own.unlink(missing_ok=True)
    own.symlink_to(listener(folder(), worker))


def close_door(worker: int) -> None:
    """Have nginx send requests to other workers; the last door stays open, since a short wait beats a refusal."""
    own = door(folder(), worker)
    if any(other != own for other in folder().glob(own.name.replace(str(worker), "*"))):
        own.unlink(missing_ok=True)


def tell_reason(text: str) -> bool:
    """Leave the reason for which the server cannot go on, its last line; tell whether it is the first."""
    if VARIABLE in os.environ:
        try:
            with (folder() / REASON).open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            return False
    return True


def reason(folder: Path) -> str:
    """Return the reason that a child left for its end, "" if none did."""
    file = folder / REASON
    return file.read_text(encoding="utf-8") if file.exists() else ""


def tell_stopping(folder: Path) -> None:
    """Tell the workers that the server stops: conversations, which nginx would wait for, are to end."""
    (folder / STOPPING).touch()


def is_stopping() -> bool:
    """Tell whether the server stops."""
    return (folder() / STOPPING).exists()


def load_or_end(load: Callable[[], None]) -> None:
    """Load a worker's model; one that cannot be loaded ends the server, since no other try would be better."""
    try:
        load()
    except UserError as error:
        # The code ends gunicorn's master; once more, while it is ending, it would end in a traceback.
        sys.exit(CANNOT_LOAD if tell_reason(str(error)) else 1)
