"""A model that does what each row says: a word and its argument, such as ``sleep,0.3``; it answers the argument."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoc.serving.formats.records import Records

FORK_SAFE = os.environ.get("FORK_SAFE", "true") == "true"
# Each request is a call of its own, so that a test knows how many run and how many wait.
BATCHABLE = False


def model_fn(model_dir: str) -> Callable[[str, str], object]:
    """Load, in the way that the variable WHILE_LOADING says, or the model's file; relative paths are its folder's."""
    os.chdir(model_dir)
    script = Path("while_loading")
    act(*(script.read_text() if script.exists() else os.environ.get("WHILE_LOADING", "echo,")).split(","))
    return act


def predict_fn(data: Records, model: Callable[[str, str], object]) -> list[object]:
    """Return one answer a row, except for rows that are to be forgotten."""
    answers = [model(*row) for row in data.cells]
    return [answer for answer in answers if answer is not None]


def act(word: str, argument: str) -> object:
    """Do as told."""
    return ACTIONS[word](argument)


def burn(argument: str) -> str:
    """Compute in Python for some seconds."""
    end = time.monotonic() + float(argument)
    while time.monotonic() < end:
        pass
    return argument


def hold(argument: str) -> str:
    """Do as compiled code does that does not release the interpreter's lock for some seconds."""
    ctypes.PyDLL(None).usleep(int(float(argument) * 1e6))
    return argument


def fail(argument: str) -> str:
    """Raise."""
    raise ValueError(argument)


def kill(argument: str) -> str:
    """Do as the kernel does when memory runs out; with an argument, only where there is a file of that name."""
    if not argument or Path(argument).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return argument


def allocate(argument: str) -> str:
    """Take so many megabytes of memory, and keep them."""
    KEPT.append(b"x" * (int(argument) << 20))
    return argument


def starve(argument: str) -> str:
    """Do as Python does that finds no memory."""
    raise MemoryError(argument)


KEPT: list[bytes] = []
ACTIONS: dict[str, Callable[[str], object]] = {
    "echo": str,
    "sleep": lambda argument: time.sleep(float(argument)) or argument,
    "burn": burn,
    "hold": hold,
    "raise": fail,
    "exit": sys.exit,
    "kill": kill,
    "allocate": allocate,
    "starve": starve,
    "forget": lambda _: None,
    "object": lambda _: object(),
}
