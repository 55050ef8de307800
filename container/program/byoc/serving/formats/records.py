"""What a request holds once decoded, whatever its media type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from byoc.errors import RowError
from byoc.schema import MISSING, UNSEEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from byoc.schema import Schema


@dataclass(frozen=True)
class Copied:
    """What the answer to a request of H2O's forms repeats of it; see `score_table`.

    Attributes:
        names: the fields that are repeated.
        cells: their values, a list a row: text, or None where it is missing.
        tells_names: whether the answer names its fields.
        is_object: whether the request is one object of named values, which others than H2O's models answer otherwise.

    """

    names: tuple[str, ...]
    cells: Sequence[Sequence[str | None]]
    tells_names: bool = True
    is_object: bool = False

    def __getitem__(self, rows: slice) -> Copied:
        return Copied(self.names, self.cells[rows], self.tells_names, self.is_object)


@dataclass(frozen=True)
class Records:
    """Rows of a request.

    Attributes:
        matrix: (n, features) float64 where the model has a schema, as `byoc.schema` describes, or where the media type
            holds nothing but numbers; else None.
        cells: without a matrix, the rows as they came: lists of text or JSON values.
        names: without a matrix, the columns' names where the request gave them.
        copied: where the request is in one of H2O's forms, what its answer repeats of it.

    """

    matrix: NDArray[np.float64] | None
    cells: Sequence[Sequence[Any]] = ()
    names: tuple[str, ...] | None = None
    schema: Schema | None = None
    copied: Copied | None = None

    def __len__(self) -> int:
        return len(self.cells) if self.matrix is None else len(self.matrix)

    def __getitem__(self, rows: slice) -> Records:
        if self.matrix is not None:
            return Records(self.matrix[rows], schema=self.schema, copied=self.copied and self.copied[rows])
        return Records(None, self.cells[rows], self.names)

    @property
    def layout(self) -> Any:
        """Equal for records that may be put together into one call of the model."""
        if self.matrix is not None:
            return ("matrix", self.matrix.shape[1])
        return self.names or (len(self.cells[0]) if self.cells else 0)

    def array(self) -> NDArray[np.float64]:
        """Return the rows as numbers, (n, features) float64.

        Raises:
            RowError: a cell is not a number.

        """
        if self.matrix is not None:
            return self.matrix
        try:
            return np.array([[_number(cell) for cell in row] for row in self.cells], dtype=np.float64)
        except (TypeError, ValueError):
            row, column = next(
                (r, c)
                for r, cells in enumerate(self.cells, 1)
                for c, cell in enumerate(cells, 1)
                if not _is_number(cell)
            )
            name = column if self.names is None else self.names[column - 1]
            raise RowError("is not a number", row, name) from None

    def frame(self) -> pd.DataFrame:
        """Return the rows as a table with names, text where the data has text.

        With a schema its names and categories; without one the request's names, or positions from 0, and numbers
        wherever a whole column is numbers.
        """
        import pandas as pd  # noqa: PLC0415 - half a second that models fed with arrays are spared

        if self.schema is None and self.matrix is not None:
            return pd.DataFrame(self.matrix)
        if self.schema is None or self.matrix is None:
            table = pd.DataFrame(list(self.cells), columns=None if self.names is None else list(self.names))
            present = table.mask(table.isin(list(MISSING)))
            for name in table.columns:
                numbers = pd.to_numeric(present[name], errors="coerce")
                if numbers.notna().equals(present[name].notna()):
                    table[name] = numbers
            return table
        return pd.DataFrame(
            {
                column.name: _texts(self.matrix[:, position], column.categories)
                if column.kind == "text"
                else self.matrix[:, position]
                for position, column in enumerate(self.schema.columns)
            }
        )


def join(parts: Sequence[Records]) -> Records:
    """Put records of the same layout together, in their order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if first.matrix is not None:
        joined = np.concatenate([part.matrix for part in parts if part.matrix is not None])
        return Records(joined, schema=first.schema)
    return Records(None, [row for part in parts for row in part.cells], first.names)


def build(rows: Sequence[Sequence[Any]], names: Sequence[str] | None, schema: Schema | None) -> Records:
    """Hold rows against the schema; without one, only against each other.

    Raises:
        RowError: names the row and column that does not fit.

    """
    if not rows:
        raise RowError("the request holds no rows")
    if schema is not None:
        return Records(schema.matrix(rows, names), schema=schema)
    width = len(rows[0] if names is None else names)
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise RowError(f"has {len(row)} values, not {width} as the others", number)
    return Records(None, rows, None if names is None else tuple(names))


def from_matrix(matrix: NDArray[Any], schema: Schema | None) -> Records:
    """Hold a matrix of numbers, (records, features), against the schema where there is one.

    Raises:
        RowError: names the row and column that does not fit.

    """
    if not len(matrix) or not matrix.shape[1]:
        raise RowError("the request holds no rows")
    if schema is not None:
        return Records(schema.adopt(matrix), schema=schema)
    return Records(np.array(matrix, dtype=np.float64, order="C"))


def _number(cell: Any) -> float:
    return np.nan if cell is None or cell in MISSING else float(cell)


def _is_number(cell: Any) -> bool:
    try:
        _number(cell)
    except (TypeError, ValueError):
        return False
    return True


def _texts(codes: NDArray[np.float64], categories: Sequence[str]) -> NDArray[np.object_]:
    """Return the texts of a column of codes: None where it is missing or was not seen in training."""
    texts = np.array([*categories, None], dtype=object)
    known = np.isfinite(codes) & (codes != UNSEEN)
    return texts[np.where(known, codes, len(categories)).astype(np.intp)]
