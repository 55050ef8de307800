"""An object's content as records, records as the bodies of requests, and the answers as one object again."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoc_cli.emulator.transform.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# dmlc's RecordIO, which MXNet made and SageMaker's own algorithms read.
MAGIC = 0xCED7230A
LENGTH_BITS = 29
# A record in parts has flags: begins, goes on, ends.
WHOLE, BEGINS, ENDS = 0, 1, 3
TFRECORD_HEAD, TFRECORD_TAIL = 12, 4
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Record:
    """A record.

    Attributes:
        framed: as it stands in the object, which is how it goes with others.
        alone: without what frames it, which is how it goes by itself.
    """

    framed: bytes
    alone: bytes


@dataclass(frozen=True)
class Batch:
    """The body of a request.

    Attributes:
        body: of the request.
        first: the position of its first record among the object's.
        count: of its records.
    """

    body: bytes
    first: int
    count: int


def split(content: bytes, split_type: str) -> list[Record]:
    """Return the records of an object.

    Args:
        content: of the object.
        split_type: of the request: None, Line, RecordIO or TFRecord.

    Raises:
        DataError: it is not in that format.
    """
    if split_type == "Line":
        return [Record(line, line) for line in _lines(content)]
    if split_type == "RecordIO":
        return list(_of_recordio(content))
    if split_type == "TFRecord":
        return list(_of_tfrecord(content))
    return [Record(content, content)]


def batches(records: Sequence[Record], *, single: bool, megabytes: int) -> Iterator[Batch]:
    """Yield the bodies of requests: a record each, or as many as go into one.

    Args:
        records: of one object; those of several are never mixed.
        single: whether each goes alone.
        megabytes: of a body at most; 0 is without limit.

    Raises:
        DataError: one record is larger than that.
    """
    limit = megabytes * MEGABYTE or float("inf")
    first, size = 0, 0
    for position, record in enumerate(records):
        own = len(record.alone if single else record.framed)
        if own > limit:
            raise DataError(
                f"record {position + 1} has {own:,} bytes, more than MaxPayloadInMB={megabytes}; "
                "set SplitType, or a larger MaxPayloadInMB (at most 100)"
            )
        if position > first and (single or size + own > limit):
            yield _batch(records, first, position, single=single)
            first, size = position, 0
        size += own
    if records:
        yield _batch(records, first, len(records), single=single)


def assemble(answers: Iterable[bytes], assemble_with: str) -> bytes:
    """Return an output object: the answers one after another, with `Line` each on lines of its own.

    An answer that ends with a line's end keeps that one: AWS's XGBoost ends its answers so, and its outputs have no
    empty lines between them.
    """
    if assemble_with != "Line":
        return b"".join(answers)
    return b"".join(answer if answer.endswith(b"\n") else answer + b"\n" for answer in answers)


def _batch(records: Sequence[Record], first: int, end: int, *, single: bool) -> Batch:
    body = records[first].alone if single else b"".join(record.framed for record in records[first:end])
    return Batch(body, first, end - first)


def _lines(content: bytes) -> list[bytes]:
    """Return the lines with their ends; other than `splitlines`, at line feeds only."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _of_recordio(content: bytes) -> Iterator[Record]:
    at, framed, alone = 0, b"", b""
    while at < len(content):
        try:
            magic, word = struct.unpack_from("<II", content, at)
        except struct.error:
            raise DataError(f"the RecordIO ends within a record's head, at byte {at}") from None
        if magic != MAGIC:
            raise DataError(f"there is no RecordIO record at byte {at}: its magic number is missing")
        flag, length = word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)
        end = at + 8 + length + -length % 4
        if at + 8 + length > len(content):
            raise DataError(f"the RecordIO ends within the record at byte {at}")
        # Where the payload has the magic number in it, the writer cuts it there and leaves it out.
        joint = struct.pack("<I", MAGIC) if flag not in (WHOLE, BEGINS) else b""
        framed, alone, at = framed + content[at:end], alone + joint + content[at + 8 : at + 8 + length], end
        if flag in (WHOLE, ENDS):
            yield Record(framed, alone)
            framed = alone = b""
    if framed:
        raise DataError("the RecordIO ends within a record of several parts")


def _of_tfrecord(content: bytes) -> Iterator[Record]:
    at = 0
    while at < len(content):
        if at + TFRECORD_HEAD > len(content):
            raise DataError(f"the TFRecord ends within a record's head, at byte {at}")
        (length,) = struct.unpack_from("<Q", content, at)
        end = at + TFRECORD_HEAD + length + TFRECORD_TAIL
        if end > len(content):
            raise DataError(f"the TFRecord ends within the record at byte {at}")
        yield Record(content[at:end], content[at + TFRECORD_HEAD : end - TFRECORD_TAIL])
        at = end
