"""The little of Protocol Buffers' wire format that SageMaker's records need, read and written without a schema.

A message is a series of fields: a number, how its value is written, the value. What is not known is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# How a value is written.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_VARINT_BYTES = 10

Value = int | bytes


class WireError(ValueError):
    """The bytes are not a message."""


def fields(message: bytes) -> Iterator[tuple[int, int, Value]]:
    """Yield the number, the wire type and the value of each field: an integer for VARINT, else its bytes.

    Raises:
        WireError: the message is damaged or ends too early.

    """
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, position = _varint(message, position)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, position = _varint(message, position)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise WireError(f"wire type {wire} is not known")
        if length > len(message) - position:
            raise WireError("a field is longer than its message")
        yield number, wire, message[position : position + length]
        position += length


def floats(value: Value, wire: int, dtype: str) -> NDArray[np.float64]:
    """Return the numbers of a repeated field, packed or one of them, each as wide as the type: ``<f4`` or ``<f8``.

    Raises:
        WireError: the field does not hold such numbers.

    """
    alone = FIXED32 if dtype == "<f4" else FIXED64
    if not isinstance(value, bytes) or wire not in (BYTES, alone) or len(value) % np.dtype(dtype).itemsize:
        raise WireError("a list of numbers is of another type")
    return np.frombuffer(value, dtype).astype(np.float64)


def integers(value: Value) -> list[int]:
    """Return the whole numbers of a repeated field, packed or one of them.

    Raises:
        WireError: the field does not hold such numbers.

    """
    if isinstance(value, int):
        return [value]
    found, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        found.append(number)
    return found


def signed(number: int) -> int:
    """Return the int32 that a varint stands for: negative ones are written as their 64-bit two's complement."""
    return ((number & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def field(number: int, value: bytes) -> bytes:
    """Write a field of bytes: text, a message or packed numbers."""
    return _write_varint(number << 3 | BYTES) + _write_varint(len(value)) + value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Read seven bits a byte, the lowest first, as long as the highest bit is set; return also where it ends."""
    number = 0
    for count, byte in enumerate(message[position : position + MOST_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:  # noqa: PLR2004
            return number & 0xFFFFFFFFFFFFFFFF, position + count + 1
    raise WireError("a number does not end")


def _write_varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
