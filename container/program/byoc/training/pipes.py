"""Pipe mode: data as a stream, one named pipe an epoch, and the framing of records that a job may ask for."""

from __future__ import annotations

import logging
import struct
import time
from typing import IO, TYPE_CHECKING

from byoc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

# Seconds to wait for a pipe that is not there yet, and between two looks at it.
PATIENCE = 600.0
POLL = 0.1
# What every frame of RecordIO begins with: this number and a word of a flag (3 bits) and the length (29 bits).
MAGIC = 0xCED7230A
HEADER = struct.Struct("<II")
WHOLE, FIRST, LAST = 0, 1, 3


def open_epoch(pipe: Path) -> IO[bytes]:
    """Open an epoch's pipe, once it is there and written to.

    Raises:
        DataError: it did not come within `PATIENCE`.

    """
    deadline = time.monotonic() + PATIENCE
    while not pipe.exists():
        if time.monotonic() > deadline:
            raise DataError(
                f"there is no {pipe} after {PATIENCE:.0f} s. Check that the channel's TrainingInputMode is Pipe "
                "and its S3 address is right"
            )
        time.sleep(POLL)
    log.info("reading %s", pipe)
    return pipe.open("rb")


def records(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the records of a stream in RecordIO, as ``RecordWrapperType=RecordIO`` makes it of S3 objects.

    A record that has the magic number in it is cut there into frames; it is put together again.

    Raises:
        DataError: the stream is no RecordIO, or ends within a record.

    """
    parts: list[bytes] = []
    number = 1
    while header := stream.read(HEADER.size):
        magic, word = HEADER.unpack(header) if len(header) == HEADER.size else (0, 0)
        if magic != MAGIC:
            raise DataError(f"record {number} does not begin as RecordIO does; is its RecordWrapperType RecordIO?")
        flag, length = word >> 29, word & ((1 << 29) - 1)
        padded = stream.read(length + -length % 4)
        if len(padded) < length or (flag in (WHOLE, FIRST)) is bool(parts):
            raise DataError(f"record {number} of the stream is cut short")
        parts.append(padded[:length])
        if flag in (WHOLE, LAST):
            yield struct.pack("<I", MAGIC).join(parts)
            parts, number = [], number + 1
    if parts:
        raise DataError(f"record {number} of the stream is cut short")
