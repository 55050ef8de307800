"""Checkpoints, copied from S3 before a job runs, and to S3 while it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc_cli.emulator.storage import below, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from byoc_cli.emulator.storage import Storage

    # What tells a file that has changed.
    State = tuple[int, int]

DEFAULT_PATH = "/opt/ml/checkpoints"


class Checkpoints:
    """The checkpoints of one attempt at a job.

    Args:
        storage: has them.
        config: the request's CheckpointConfig.
        folders: each host's; all of them have one prefix on S3.
    """

    def __init__(self, storage: Storage, config: Mapping[str, str], folders: Sequence[Path]) -> None:
        self._storage = storage
        self._uri = config["S3Uri"].rstrip("/")
        self._known: dict[Path, dict[str, State]] = {folder: {} for folder in folders}

    def restore(self) -> None:
        """Copy what is on S3 into each folder.

        Raises:
            StorageError: it cannot be had.
        """
        bucket, prefix = split(self._uri + "/")
        keys = self._storage.keys(self._uri + "/")
        for folder in self._known:
            folder.mkdir(parents=True, exist_ok=True)
            for key in keys:
                self._storage.download(f"s3://{bucket}/{key}", below(folder, key.removeprefix(prefix)))
            self._known[folder] = dict(_states(folder))

    def save(self) -> None:
        """Copy what is new or changed to S3, and delete there what a host has deleted here.

        Raises:
            StorageError: it cannot be written.
        """
        for folder, known in self._known.items():
            found = dict(_states(folder))
            for name, state in found.items():
                if known.get(name) == state:
                    continue
                try:
                    self._storage.upload(folder / name, f"{self._uri}/{name}")
                except FileNotFoundError:
                    continue  # a temporary file that was renamed meanwhile
                except PermissionError:
                    continue  # a container's root may keep it to itself until the end, when it becomes ours
                known[name] = state
            for name in known.keys() - found.keys():
                self._storage.delete(f"{self._uri}/{name}")
                del known[name]


def _states(folder: Path) -> Iterator[tuple[str, State]]:
    """Yield each file's path and what would change with its content."""
    for path in sorted(folder.rglob("*")):
        try:
            status = path.stat()
        except OSError:
            continue
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), (status.st_size, status.st_mtime_ns)
