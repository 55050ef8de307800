"""Pipe mode: FIFOs ``<channel>_<epoch>``, each fed by a thread until its reader has had enough."""

from __future__ import annotations

import errno
import gzip
import os
import struct
import threading
from typing import TYPE_CHECKING

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from byoc_cli.emulator.storage import Storage
    from byoc_cli.emulator.training.channels import Channel

POLL_SECONDS = 0.02
MAGIC = 0xCED7230A
# The three bits above the length tell the parts of a divided record; AWS's readers know whole ones only.
LONGEST = (1 << 29) - 1


class Feeder:
    """Feeds a channel to a host, an epoch after the other, for as long as there are readers.

    Args:
        channel: in Pipe mode.
        objects: the host's share.
        folder: where the host's channels are.
        storage: has the objects.

    Attributes:
        error: why it gave up; None while all is well.
    """

    def __init__(self, channel: Channel, objects: Sequence[tuple[str, str]], folder: Path, storage: Storage) -> None:
        self.error: Exception | None = None
        self._channel = channel
        self._objects = objects
        self._folder = folder
        self._storage = storage
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pipe {channel.name}", daemon=True)
        # The first one is there before the container is.
        self._make(0)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the readers must be gone."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        epoch = 0
        try:
            while (descriptor := self._opened(epoch)) is not None:
                # A reader that asks for the next epoch at once is to find it.
                self._make(epoch + 1)
                self._feed(descriptor, epoch)
                epoch += 1
        except (StorageError, ApiError, OSError, EOFError) as error:
            self.error = error

    def _make(self, epoch: int) -> None:
        os.mkfifo(self._path(epoch))

    def _path(self, epoch: int) -> Path:
        return self._folder / f"{self._channel.name}_{epoch}"

    def _opened(self, epoch: int) -> int | None:
        """Return the pipe's end for writing once there is a reader; None where it is too late for one."""
        while not self._done.is_set():
            try:
                descriptor = os.open(self._path(epoch), os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                self._done.wait(POLL_SECONDS)
            else:
                os.set_blocking(descriptor, True)
                return descriptor
        return None

    def _feed(self, descriptor: int, epoch: int) -> None:
        """Write an epoch and close the pipe; a reader that closes early has had what it wanted."""
        try:
            with os.fdopen(descriptor, "wb") as pipe:
                pipe.writelines(self.contents(epoch))
        except BrokenPipeError:
            pass

    def contents(self, epoch: int) -> Iterator[bytes]:
        """Yield what goes through the pipe in an epoch, object by object.

        Raises:
            StorageError: an object cannot be had.
        """
        for item, _ in self._channel.shuffled(self._objects, epoch):
            for record in self._channel.records(self._storage, item):
                plain = gzip.decompress(record) if self._channel.compression == "Gzip" else record
                yield framed(plain) if self._channel.wrapper == "RecordIO" else plain


def framed(record: bytes) -> bytes:
    """Return a record in RecordIO's frame: magic number and length, little endian, then itself, padded to four bytes.

    Raises:
        StorageError: it is too long for one frame.
    """
    if len(record) > LONGEST:
        raise StorageError(f"an object of {len(record)} bytes does not go into a RecordIO frame of {LONGEST} at most")
    return struct.pack("<II", MAGIC, len(record)) + record + bytes(-len(record) % 4)
