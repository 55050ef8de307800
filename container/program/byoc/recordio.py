"""RecordIO: records one after the other, each in a frame, as SageMaker's pipes and its own algorithms use it.

A frame is a magic number, a word of a flag (3 bits) and a length (29 bits), the content, and zeros up to four bytes. A
record that holds the magic number itself may be cut there into several frames, without the number; the flag tells a
whole record from the first, a middle and the last part of one.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING

from byoc.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = 0xCED7230A
HEADER = struct.Struct("<II")
WHOLE, FIRST, MIDDLE, LAST = range(4)
LENGTH = (1 << 29) - 1


def records(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the records of a stream, put together again; the zeros behind the last one may be missing.

    Raises:
        RowError: the stream is no RecordIO, or ends within a record.

    """
    number, parts = 1, list[bytes]()
    while header := stream.read(HEADER.size):
        if len(header) < HEADER.size:
            raise RowError("ends within its RecordIO header", number)
        magic, word = HEADER.unpack(header)
        part, length = word >> 29, word & LENGTH
        if magic != MAGIC or part > LAST or (part in (MIDDLE, LAST)) != bool(parts):
            raise RowError("does not begin as RecordIO does", number)
        padded = stream.read(length + -length % 4)
        if len(padded) < length:
            raise RowError("is cut short", number)
        parts.append(padded[:length])
        if part in (WHOLE, LAST):
            yield MAGIC.to_bytes(4, "little").join(parts)
            number, parts = number + 1, []
    if parts:
        raise RowError("is cut short", number)


def frame(record: bytes) -> bytes:
    """Return the record in one frame, of less than 512 MiB: not every reader knows of records in several."""
    return HEADER.pack(MAGIC, len(record)) + record + bytes(-len(record) % 4)
