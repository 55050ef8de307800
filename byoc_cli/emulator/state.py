"""The state folder: which emulator has it, and how to reach that one."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "emulator.json"
# Held for as long as an emulator lives: a process id alone may be another program's by now.
LOCK = "lock"
LOCK_SECONDS = 10
# What AWS_DATA_PATH is to name.
MODELS = "models"


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Have the folder for oneself; one that ends at this moment is waited for.

    Raises:
        click.ClickException: an emulator has it.
    """
    end = time.monotonic() + LOCK_SECONDS
    with (state / LOCK).open("a") as lock:
        while not _locked(lock.fileno()):
            if time.monotonic() > end:
                raise click.ClickException(f"an emulator is running with the state folder {state} (byoc emulator stop)")
            time.sleep(0.1)
        yield


def write(state: Path, address: str, region: str) -> None:
    """Say that an emulator is ready."""
    beside = state / f"{FILE}.new"
    beside.write_text(json.dumps({"pid": os.getpid(), "address": address, "region": region}))
    beside.replace(state / FILE)


def read(state: Path) -> dict[str, Any] | None:
    """Return what the emulator of a state folder said of itself; None where there is none, or it is gone."""
    try:
        told = json.loads((state / FILE).read_bytes())
        with (state / LOCK).open("a") as lock:
            if _locked(lock.fileno()):
                return None
    except (OSError, ValueError):
        return None
    return dict(told)


def running_one(state: Path) -> dict[str, Any]:
    """Return what is known of the running emulator.

    Raises:
        click.ClickException: there is none.
    """
    running = read(state)
    if running is None:
        raise click.ClickException("no emulator is running; start one: byoc emulator start --background")
    return running


def forget(state: Path) -> None:
    """Remove all that an emulator keeps."""
    for path in state.glob("*") if state.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _locked(descriptor: int) -> bool:
    """Whether the lock could be had; it is given back when the file is closed, as all of a process's are at its end."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
