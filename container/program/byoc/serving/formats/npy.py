"""``application/x-npy``: an array as numpy.save writes it; requests only.

The header is read here, not by numpy, and the numbers are taken from the body where they lie: nothing is unpickled or
evaluated, and nothing is allocated on the word of a header.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from byoc.serving.errors import RequestError, bad_request
from byoc.serving.formats import records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "application/x-npy"

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
# What each key of a header may say: whole numbers, floats and booleans, in either order of their bytes.
TYPE = re.compile(rb"'descr'\s*:\s*'([<>|=]?(?:b1|[iu][1248]|f[248]))'")
ORDER = re.compile(rb"'fortran_order'\s*:\s*(True|False)")
SHAPE = re.compile(rb"'shape'\s*:\s*\(([\d\s,]*)\)")
TEXT = re.compile(rb"'descr'\s*:\s*'([<>|=]?[SU]\d{1,4})'")


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:  # noqa: ARG001
    """Return the records of an array: (records, features), or (features,) for one alone.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    return records.from_matrix(as_rows(read(body)), schema)


def as_rows(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as (records, features).

    Raises:
        RequestError: it has none or more than two dimensions.

    """
    if array.ndim == 1:
        return array[np.newaxis]
    if array.ndim != 2:  # noqa: PLR2004
        raise bad_request(f"the array must have 2 dimensions, records and features, not {array.ndim}")
    return array


def read(body: bytes, types: re.Pattern[bytes] = TYPE) -> NDArray[Any]:
    """Return a view of the array that the body holds.

    Args:
        body: a whole npy file.
        types: what the header may say of the type.

    Raises:
        RequestError: 400, it is no npy file, of another type, or its length is not what its header says.

    """
    if not body.startswith(MAGIC):
        raise bad_request("the body is not an npy file")
    width = 2 if body[6:7] == b"\x01" else 4
    start = 8 + width
    end = start + int.from_bytes(body[8:start], "little")
    if body[6:7] not in (b"\x01", b"\x02", b"\x03") or end - start > LONGEST_HEADER or end > len(body):
        raise bad_request("the npy file's header is damaged or too long")
    header = body[start:end]
    told = types.search(header)
    order, shape = ORDER.search(header), SHAPE.search(header)
    if told is None or order is None or shape is None:
        raise bad_request("the npy file must hold whole numbers, floats or booleans; objects are never unpickled")
    dtype = np.dtype(told[1].decode())
    sizes = _sizes(shape[1])
    if math.prod(sizes) * dtype.itemsize != len(body) - end:
        raise bad_request("the npy file's length is not what its header says")
    return np.frombuffer(body, dtype, offset=end).reshape(sizes, order="F" if order[1] == b"True" else "C")


def _sizes(text: bytes) -> tuple[int, ...]:
    """Return a shape's sizes.

    Raises:
        RequestError: it is none.

    """
    words = [word.strip() for word in text.split(b",") if word.strip()]
    if not all(re.fullmatch(rb"\d{1,18}", word) for word in words) or len(words) > 32:  # noqa: PLR2004
        raise RequestError(400, "bad_request", "the npy file's shape is not one")
    return tuple(map(int, words))
