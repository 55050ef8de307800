"""Sparse records as matrices, within what a request of their size may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from byoc.errors import RowError
from byoc.serving.errors import RequestError
from byoc.sparse import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# A few bytes can stand for a record of any width, so what they may grow to is limited.
MOST_BYTES = 64 << 20
GROWTH = 8


def zeros(rows: int, width: int, size: int) -> NDArray[np.float64]:
    """Return a matrix of zeros, (rows, width).

    Args:
        rows: records.
        width: values in each.
        size: bytes of the request's body.

    Raises:
        RequestError: 413, it would be out of proportion to the body.

    """
    check_room(rows * width, size)
    return np.zeros((rows, width))


def check_room(cells: int, size: int) -> None:
    """Refuse to write out so many values for a body of so many bytes.

    Raises:
        RequestError: 413.

    """
    most = max(MOST_BYTES, GROWTH * size) // 8
    if cells > most:
        raise RequestError(
            413, "payload_too_large", f"the records hold more than {most} values once zeros are written out; send fewer"
        )


def matrix(
    records: Sequence[tuple[Sequence[int] | None, Sequence[float] | NDArray[np.float64]]], width: int, size: int
) -> NDArray[np.float64]:
    """Write records out.

    Args:
        records: positions and values of each; None for the positions of one that has all its values.
        width: values in each.
        size: bytes of the request's body.

    Returns:
        (records, width) float64.

    Raises:
        RowError, RequestError: as `check`, as `zeros`; a record is of another width.

    """
    dense = zeros(len(records), width, size)
    for row, (keys, values) in enumerate(records, 1):
        if keys is None:
            if len(values) != width:
                raise RowError(f"has {len(values)} values, not the {width} expected", row)
            dense[row - 1] = values
            continue
        check(keys, values, width, row)
        dense[row - 1, list(keys)] = values
    return dense
