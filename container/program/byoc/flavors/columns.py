"""The columns of models whose files say how many there are or what they are called, and little more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from byoc.errors import RowError
from byoc.schema import Column, Schema

if TYPE_CHECKING:
    from collections.abc import Sequence


def numbers(columns: int | Sequence[str], *, missing: bool = True, classes: Sequence[Any] = ()) -> Schema:
    """Return the schema of rows of numbers.

    Args:
        columns: their names, or how many there are; then they are called ``column_0`` and so on.
        missing: whether values may be missing.
        classes: the labels of a classifier.

    """
    names = [f"column_{number}" for number in range(columns)] if isinstance(columns, int) else columns
    return of(tuple(Column(name, "number", missing) for name in names), classes)


def of(columns: tuple[Column, ...], classes: Sequence[Any] = ()) -> Schema:
    """Return the schema of columns, of a classifier where there are classes."""
    return Schema(columns, problem_type="classification" if classes else "regression", classes=tuple(classes))


def named(table: Any, names: Sequence[str]) -> Any:
    """Return a table's columns of these names, in this order; those without names go by position.

    Raises:
        RowError: a column is missing.

    """
    if list(table.columns) == list(range(len(names))):
        return table.set_axis(list(names), axis="columns")
    for name in names:
        if name not in table.columns:
            raise RowError("is not in the request", column=name)
    return table[list(names)]
