"""Pipe mode: data as a stream, one named pipe an epoch, its objects framed as RecordIO where a job asks for that."""

from __future__ import annotations

import logging
import time
from typing import IO, TYPE_CHECKING

from byoc import recordio
from byoc.errors import DataError, RowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

# Seconds to wait for a pipe that is not there yet, and between two looks at it.
PATIENCE = 600.0
POLL = 0.1


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

    Raises:
        DataError: the stream is no RecordIO, or ends within a record.

    """
    try:
        yield from recordio.records(stream)
    except RowError as error:
        raise DataError(
            f"record {error.row} of the stream {error.message}; is its RecordWrapperType RecordIO?"
        ) from error
