"""Checkpoints: what a job needs to go on after an interruption, such as that of a spot instance.

SageMaker mounts a folder for them where the job asks by ``CheckpointConfig``, copies it to S3 while the job runs, and
puts it back before the job runs again. Elsewhere nothing is saved and nothing found.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from byoc.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

log = logging.getLogger(__name__)

# How many of a job's checkpoints stay: the newest, and one to fall back to.
KEPT = 2
# How many a host tells the others of, where they have to go on from the same one.
MOST_TOLD = 16
# The step, the job it belongs to and the hash of the content; the name comes last and whole, by a rename, so that a
# file is either sound or told by its own name not to be.
NAME = re.compile(r"(?P<step>\d{12})\.(?P<key>[\w-]+)\.(?P<digest>[0-9a-f]{64})\.checkpoint")


@dataclass(frozen=True)
class Checkpoint:
    """A saved state; ``step`` counts what the algorithm counts, ``key`` tells what it belongs to."""

    step: int
    key: str
    digest: str
    file: Path

    def is_sound(self) -> bool:
        """Whether the file can be read and holds what was written."""
        try:
            return _digest(self.file) == self.digest
        except OSError:
            return False


class Checkpoints:
    """The checkpoints of one host in one folder; several hosts have one folder each.

    Args:
        folder: where they are; where it does not exist, or is None, the job has none.
        host: names this host's own part of the folder, "" where there is only one host.
        keeps: False only calls what is to be saved, where another rank keeps it: all may have to take part in that.
        common: the names that count beside what is saved here, since all ranks have them; None where all do.

    """

    def __init__(
        self, folder: Path | None, host: str = "", *, keeps: bool = True, common: Iterable[str] | None = None
    ) -> None:
        self._root = folder
        self._keeps = keeps
        self._common = None if common is None else frozenset(common)
        self._folder = folder / host if folder is not None else None
        self._saved: list[Path] = []

    @property
    def enabled(self) -> bool:
        """Whether the job keeps checkpoints."""
        return self._root is not None and self._root.is_dir()

    def save(self, step: int, content: bytes | Callable[[Path], object], key: str = "any") -> None:
        """Save a state, atomically, and remove the oldest of the same key.

        A disk that is full or read-only is told in the log and does not end the training.

        Args:
            step: a count from 0, higher for later states.
            content: the state; or a function that writes it into the file it is given.
            key: what the state belongs to, in letters, digits, ``_`` and ``-``: a hash of data and hyperparameters.

        """
        if self._folder is not None and not self._keeps:
            _call(content)
            return
        if not self.enabled or self._folder is None:
            return
        unfinished = self._folder / f".{step:012d}.{os.getpid()}.unfinished"
        try:
            self._folder.mkdir(exist_ok=True)
            if callable(content):
                content(unfinished)
            else:
                unfinished.write_bytes(content)
            digest = _digest(unfinished, to_disk=True)
            self._saved.append(unfinished.rename(self._folder / f"{step:012d}.{key}.{digest}.checkpoint"))
            self._prune(key)
        except (OSError, ModelError) as error:
            log.warning("the checkpoint of step %d is not saved in %s: %s", step, self._folder, error)

    def latest(self, key: str = "any") -> Checkpoint | None:
        """Return the newest sound checkpoint of the key, None where there is none; what is passed over is told."""
        found = sorted(self._find(), key=lambda each: each.step, reverse=True)
        others = [each for each in found if each.key != key]
        if others:
            log.warning(
                "%d checkpoints in %s are of other data, hyperparameters or library versions and passed over",
                len(others),
                self._folder,
            )
        own = {file.name for file in self._saved}
        for checkpoint in found:
            if checkpoint.key == key:
                if self._common is not None and checkpoint.file.name not in self._common | own:
                    log.warning("checkpoint %s is not on every host, or not sound, and passed over", checkpoint.file)
                    continue
                if checkpoint.is_sound():
                    return checkpoint
                log.warning("checkpoint %s is damaged and passed over", checkpoint.file)
        return None

    def sound(self) -> list[str] | None:
        """Return the names of the newest sound checkpoints, of all keys; None where the job keeps none."""
        if not self.enabled:
            return None
        newest = sorted(self._find(), key=lambda each: each.file.stat().st_mtime_ns, reverse=True)
        return [each.file.name for each in newest[:MOST_TOLD] if each.is_sound()]

    def _find(self) -> Iterator[Checkpoint]:
        if self.enabled and self._folder is not None and self._folder.is_dir():
            for file in self._folder.iterdir():
                if match := NAME.fullmatch(file.name):
                    yield Checkpoint(int(match["step"]), match["key"], match["digest"], file)

    def _prune(self, key: str) -> None:
        """Keep what was saved last: a damaged file of an earlier run may have a higher step than it."""
        assert self._folder is not None
        own = {each.file: each.step for each in self._find() if each.key == key}
        order = {file: number for number, file in enumerate(self._saved)}
        for file in sorted(own, key=lambda file: (order.get(file, -1), own[file]), reverse=True)[KEPT:]:
            file.unlink(missing_ok=True)
        for file in self._folder.glob(".*.unfinished"):  # of a process that was killed
            file.unlink(missing_ok=True)


def _call(content: bytes | Callable[[Path], object]) -> None:
    """Have the state written, to no purpose but what happens on the way."""
    if callable(content):
        with tempfile.TemporaryDirectory() as folder:
            content(Path(folder) / "state")


def _digest(file: Path, *, to_disk: bool = False) -> str:
    """Return the SHA-256 of a file; before it is given its name, what it holds has to be on the disk."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        if to_disk:
            os.fsync(content.fileno())
    return digest
