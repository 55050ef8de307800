"""``application/x-recordio-protobuf``: SageMaker's own records, ``aialgs.data.Record``, framed as RecordIO.

A frame is a magic number, a length, the record, and zeros up to four bytes. A record has maps of tensors: the features
under the key ``values``; in answers, each output under its name in the map ``label``.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from byoc.errors import RowError
from byoc.serving.errors import bad_request
from byoc.serving.formats import answers, protobuf, records, sparse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "application/x-recordio-protobuf"

MAGIC = 0xCED7230A
HEADER = struct.Struct("<II")
# The upper three bits of a length: a whole record, or the first, a middle and the last part of one.
WHOLE, FIRST, MIDDLE, LAST = range(4)
LENGTH = (1 << 29) - 1

# Numbers of the fields: of a record, of a map's entry, of a value, of a tensor.
FEATURES, LABEL = 1, 2
KEY, VALUE = 1, 2
FLOAT32, FLOAT64, INT32, TEXTS = 2, 3, 7, 9
VALUES, KEYS, SHAPE = 1, 2, 3
# Up to here a float32 tells whole numbers apart.
FLOAT32_INTEGERS = 1 << 24

Tensor = tuple["list[int] | None", "NDArray[np.float64]", int]


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:  # noqa: ARG001
    """Return the records: dense tensors of float32, float64 or int32, or sparse ones with keys and a shape.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    found: list[tuple[list[int] | None, NDArray[np.float64]]] = []
    width = 0 if schema is None else len(schema.columns)
    for row, record in enumerate(_frames(body), 1):
        try:
            keys, values, told = _features(record, row)
        except protobuf.WireError as error:
            raise RowError(f"is not a protobuf record: {error}", row) from None
        width = width or told
        if told != width:
            raise RowError(f"has {told} values, not the {width} expected", row)
        found.append((keys, values))
    return records.from_matrix(sparse.matrix(found, width, len(body)), schema)


def encode(predictions: Any, outputs: Sequence[str]) -> bytes:
    """Return a record a prediction; text as bytes, numbers as float32, or float64 where those would not be exact."""
    rows = answers.rows(predictions, outputs)
    named = (row if isinstance(row, dict) else {"predicted_label": row} for row in rows)
    return b"".join(_frame(b"".join(_label(str(name), value) for name, value in row.items())) for row in named)


def _frames(body: bytes) -> Iterator[bytes]:
    """Yield the records; the zeros behind the last one may be missing.

    Raises:
        RequestError: the body is not framed as RecordIO.

    """
    position, row = 0, 1
    parts: list[bytes] = []
    while position < len(body):
        if len(body) - position < HEADER.size:
            raise bad_request("the body ends within a RecordIO header", row=row)
        magic, told = HEADER.unpack_from(body, position)
        part, length = told >> 29, told & LENGTH
        start = position + HEADER.size
        if magic != MAGIC or part > LAST or (part in (MIDDLE, LAST)) != bool(parts):
            raise bad_request("the body is not framed as RecordIO", row=row)
        if start + length > len(body):
            raise bad_request("the body ends within a record", row=row)
        parts.append(body[start : start + length])
        position = start + length + -length % 4
        if part in (WHOLE, LAST):
            # A record is parted where it holds the magic number itself.
            yield MAGIC.to_bytes(4, "little").join(parts)
            row, parts = row + 1, []
    if parts:
        raise bad_request("the body ends within a record", row=row)


def _features(record: bytes, row: int) -> Tensor:
    """Return the positions, None for all, the values and the width of a record's features.

    Raises:
        RowError: it has none that are numbers.
        WireError: it is no record.

    """
    found = {}
    for number, _, entry in protobuf.fields(record):
        if number == FEATURES:
            parts = {part: content for part, _, content in protobuf.fields(_message(entry))}
            found[_message(parts.get(KEY, b""))] = _message(parts.get(VALUE, b""))
    if b"values" not in found:
        raise RowError('has no features under the key "values"', row)
    for number, _, content in protobuf.fields(found[b"values"]):
        if number in (FLOAT32, FLOAT64, INT32):
            return _tensor(_message(content), number, row)
    raise RowError("has features that are not numbers", row)


def _tensor(message: bytes, kind: int, row: int) -> Tensor:
    keys: list[int] = []
    shape: list[int] = []
    values = [np.empty(0)]
    for number, wire, content in protobuf.fields(message):
        if number == KEYS:
            keys += protobuf.integers(content)
        elif number == SHAPE:
            shape += protobuf.integers(content)
        elif number == VALUES and kind == INT32:
            values.append(np.array([protobuf.signed(each) for each in protobuf.integers(content)], dtype=np.float64))
        elif number == VALUES:
            values.append(protobuf.floats(content, wire, "<f4" if kind == FLOAT32 else "<f8"))
    numbers = np.concatenate(values)
    # A sparse record of nothing but zeros has a shape and no keys.
    if not keys and (len(numbers) or not shape):
        return None, numbers, len(numbers)
    if not shape:
        raise RowError("is sparse and needs a shape", row)
    return keys, numbers, math.prod(shape)


def _message(value: protobuf.Value) -> bytes:
    if not isinstance(value, bytes):
        raise protobuf.WireError("a message is a number")
    return value


def _label(name: str, value: Any) -> bytes:
    """Write an entry of the map ``label``."""
    values = [each for each in (value if isinstance(value, list | tuple) else [value]) if each is not None]
    if any(isinstance(each, str) for each in values):
        content = protobuf.field(TEXTS, b"".join(protobuf.field(1, str(each).encode()) for each in values))
    else:
        is_exact = not any(isinstance(each, int) and abs(each) > FLOAT32_INTEGERS for each in values)
        packed = np.array(values, dtype="<f4" if is_exact else "<f8").tobytes()
        content = protobuf.field(FLOAT32 if is_exact else FLOAT64, protobuf.field(VALUES, packed))
    return protobuf.field(LABEL, protobuf.field(KEY, name.encode()) + protobuf.field(VALUE, content))


def _frame(record: bytes) -> bytes:
    return HEADER.pack(MAGIC, len(record)) + record + bytes(-len(record) % 4)
