"""Records that name only some of their values, by position; all others are 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized


def check(keys: Sequence[int], values: Sized, width: int, row: int) -> None:
    """Hold a record's positions, counted from 0, against its values and its width.

    Raises:
        RowError: they do not fit.

    """
    if len(keys) != len(values):
        raise RowError(f"has {len(keys)} positions for {len(values)} values", row)
    if len(set(keys)) != len(keys):
        raise RowError("gives a position twice", row)
    strange = next((key for key in keys if not 0 <= key < width), None)
    if strange is not None:
        raise RowError(f"has a value at position {strange}, and positions go from 0 to {width - 1}", row)
