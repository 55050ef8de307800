"""SageMaker's own records, ``aialgs.data.Record``: protobuf messages with two maps of tensors, features and label.

A tensor is a list of float32, float64 or int32, all its values or, with keys and a shape, those that are not 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from byoc import protobuf
from byoc.errors import RowError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEDIA_TYPE = "application/x-recordio-protobuf"

# Numbers of the fields: of a record, of a map's entry, of a value, of a tensor.
FEATURES, LABEL = 1, 2
KEY, VALUE = 1, 2
FLOAT32, FLOAT64, INT32, TEXTS = 2, 3, 7, 9
VALUES, KEYS, SHAPE = 1, 2, 3
# What the maps are called in messages to users.
NAMES = {FEATURES: "features", LABEL: "label"}


@dataclass(frozen=True)
class Tensor:
    """The numbers of a record.

    Attributes:
        keys: the numbers' positions, from 0; None where all are there.
        numbers: float64, one a key, or all.
        width: how many numbers there are once zeros are written out.

    """

    keys: list[int] | None
    numbers: NDArray[np.float64]
    width: int


def tensor(record: bytes, field: int, row: int) -> Tensor:
    """Return what stands under the key ``values`` in one of the record's maps, `FEATURES` or `LABEL`.

    Whether a sparse tensor's keys fit its values and width is for `byoc.sparse.check` to tell.

    Args:
        record: one message.
        field: the map.
        row: the record's number, for messages.

    Raises:
        RowError: the record is damaged, or has no numbers there.

    """
    try:
        return _tensor_in(record, field, row)
    except protobuf.WireError as error:
        raise RowError(f"is not a protobuf record: {error}", row) from None


def _tensor_in(record: bytes, field: int, row: int) -> Tensor:
    found = {}
    for number, _, entry in protobuf.fields(record):
        if number == field:
            parts = {part: content for part, _, content in protobuf.fields(_message(entry))}
            found[_message(parts.get(KEY, b""))] = _message(parts.get(VALUE, b""))
    if b"values" not in found:
        raise RowError(f'has no {NAMES[field]} under the key "values"', row)
    for number, _, content in protobuf.fields(found[b"values"]):
        if number in (FLOAT32, FLOAT64, INT32):
            return _numbers(_message(content), number, row)
    raise RowError(f"must hold its {NAMES[field]} as float32, float64 or int32", row)


def _numbers(message: bytes, kind: int, row: int) -> Tensor:
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
        return Tensor(None, numbers, len(numbers))
    if not shape:
        raise RowError("is sparse and needs a shape", row)
    return Tensor(keys, numbers, math.prod(shape))


def _message(value: protobuf.Value) -> bytes:
    if not isinstance(value, bytes):
        raise protobuf.WireError("a message is a number")
    return value
