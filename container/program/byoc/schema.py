"""What a model's rows look like: learned in training, kept as ``schema.json``, held against every request.

A row is a vector of float64, one number a feature, whatever its kind: numbers as they are, booleans as 0 and 1, text
as the index of its category. Missing values are NaN, text never seen in training is -1. So the path from a request to
the model holds nothing but arrays of numbers.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from byoc.errors import ModelError, RowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Kind = Literal["number", "boolean", "text"]

FILE = "schema.json"
VERSION = 1
UNSEEN = -1.0

# Of a sample's cells where values may be missing.
SHARE_MISSING = 0.1

# How files and requests spell a missing value: pandas' list, and the question mark of the UCI data sets.
MISSING = frozenset(
    ["", "?", "#N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "na", "nan", "null", "-nan", "-NaN"]
)
BOOLEANS = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "1": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0, "0": 0.0}


@dataclass(frozen=True)
class Column:
    """One feature.

    Attributes:
        name: as the header row gave it; ``column_1`` and so on, by position from 0, where there was none.
        kind: how its cells are read.
        missing: whether training saw a missing value here; if not, serving refuses one.
        categories: text only: the values known to the model, the commonest first; their indices are the codes.
        minimum, maximum: number only: the range seen in training.

    """

    name: str
    kind: Kind
    missing: bool = False
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @cached_property
    def codes(self) -> dict[str, float]:
        """The number of each text that can stand here."""
        if self.kind == "boolean":
            return BOOLEANS
        return {category: float(code) for code, category in enumerate(self.categories)}

    def parse(self, cell: str, row: int) -> float:
        """Return the number of a text cell, NaN where it is missing.

        Raises:
            RowError: the cell is not of the column's kind, or missing where training never saw that.

        """
        if self.kind == "text":
            text = cell if cell in self.codes else cell.strip()
            if text in self.codes or text not in MISSING:
                return self.codes.get(text, UNSEEN)
            return self._missing(row)
        text = cell.strip()
        if text in MISSING:
            return self._missing(row)
        if self.kind == "boolean":
            if text not in BOOLEANS:
                raise RowError("must be true or false", row, self.name)
            return BOOLEANS[text]
        try:
            number = float(text)
        except ValueError:
            raise RowError("is not a number", row, self.name) from None
        if "_" in text:  # Python's own way to group digits; training reads such a cell as text
            raise RowError("is not a number", row, self.name)
        return self._finite(number, row)

    def accept(self, value: Any, row: int) -> float:
        """Return the number of a JSON value; like `parse`, but a number may stay a number.

        Raises:
            RowError: as in `parse`.

        """
        if value is None:
            return self._missing(row)
        if isinstance(value, str):
            return self.parse(value, row)
        if not isinstance(value, bool | int | float):
            raise RowError(f"must be a {self.kind}, not a JSON {_json_type(value)}", row, self.name)
        if self.kind == "number" and not isinstance(value, bool):
            return self._finite(float(value), row)
        # JSON tells 3 and 3.0 apart no better than its writers do: as a category either spelling will do.
        spellings = [str(value), str(int(value))] if float(value).is_integer() else [str(value)]
        known = [spelling for spelling in spellings if spelling in self.codes]
        return self.parse((known or spellings)[0], row)

    def _finite(self, number: float, row: int) -> float:
        if not math.isfinite(number):
            raise RowError("must be a finite number", row, self.name)
        return number

    def _missing(self, row: int) -> float:
        if not self.missing:
            raise RowError("is missing, and the training data had a value in every row", row, self.name)
        return math.nan


@dataclass(frozen=True)
class FreeText(Column):
    """A feature of text that no training has listed: it stays text, and a matrix that has it is one of objects."""

    kind: Kind = "text"
    missing: bool = True

    def parse(self, cell: str, row: int) -> Any:
        """Return the text itself, NaN where it is missing."""
        return self._missing(row) if cell.strip() in MISSING else cell


@dataclass(frozen=True)
class Schema:
    """The features a model takes, in order, and what it answers.

    Attributes:
        columns: the features.
        target: the name of the column that was learned.
        problem_type: ``classification`` or ``regression``.
        classes: the labels, in the order of the columns of probabilities; empty in regression.
        created: how the model came to be: library versions, hash of the data, git commit, estimator.

    """

    columns: tuple[Column, ...]
    target: str = "target"
    problem_type: Literal["classification", "regression"] = "regression"
    classes: tuple[Any, ...] = ()
    created: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def positions(self) -> dict[str, int]:
        """The position of each feature, by name."""
        return {name: position for position, name in enumerate(self.names)}

    @cached_property
    def is_numeric(self) -> bool:
        """Whether every feature is a number, so that a table of plain numbers needs no look at each cell."""
        return all(column.kind == "number" for column in self.columns)

    def matrix(self, rows: Iterable[Sequence[Any]], names: Sequence[str] | None = None, first: int = 1) -> NDArray[Any]:
        """Turn records into numbers.

        Args:
            rows: records of cells: text, or JSON values.
            names: the columns the cells belong to, in their order; None means the schema's own order.
            first: the number of the first record, for messages.

        Returns:
            A C-contiguous matrix of float64, of objects where there is `FreeText`; one row a record, one column a
            feature.

        Raises:
            RowError: names the first record and column that does not fit.

        """
        order = range(len(self.columns)) if names is None else self._order(names)
        width = len(self.columns) if names is None else len(names)
        chosen = list(zip(self.columns, order, strict=True))
        numbers: list[float] = []
        count = 0
        for count, cells in enumerate(rows, 1):
            row = first + count - 1
            if len(cells) != width:
                raise RowError(f"has {len(cells)} values, not the {width} expected", row)
            for column, position in chosen:
                cell = cells[position]
                numbers.append(column.parse(cell, row) if isinstance(cell, str) else column.accept(cell, row))
        kind = object if any(isinstance(column, FreeText) for column in self.columns) else np.float64
        return np.array(numbers, dtype=kind).reshape(count, len(self.columns))

    def adopt(self, matrix: NDArray[Any]) -> NDArray[np.float64]:
        """Check records that are numbers already.

        Args:
            matrix: (records, features) numbers of any type, in the schema's order; NaN is a missing value.

        Returns:
            C-contiguous float64 of its own, which is the matrix itself where that is so already.

        Raises:
            RowError: names the first record and column that does not fit.

        """
        self.check_numeric()
        if matrix.shape[1] != len(self.columns):
            raise RowError(f"has {matrix.shape[1]} values, not the {len(self.columns)} expected", 1)
        numbers: NDArray[np.float64] = np.require(matrix, np.float64, ("C", "W", "O"))
        # As `.all()` would tell, which takes as long for a row as all the rest of this.
        if self.is_numeric and b"\0" not in np.isfinite(numbers).tobytes():
            return numbers
        missing = np.isnan(numbers)
        bad = np.isinf(numbers) | (missing & ~np.array([column.missing for column in self.columns]))
        booleans = [position for position, column in enumerate(self.columns) if column.kind == "boolean"]
        for position in booleans:
            bad[:, position] |= ~(missing[:, position] | np.isin(numbers[:, position], (0.0, 1.0)))
        if bad.any():
            row, position = divmod(int(bad.argmax()), len(self.columns))
            # Raises, and says what is wrong as it does for every other request.
            self.columns[position].accept(None if missing[row, position] else float(numbers[row, position]), row + 1)
        return numbers

    def check_numeric(self) -> None:
        """Refuse records that can hold nothing but numbers where the model has text.

        Raises:
            RowError: names the first column of text.

        """
        if self.is_numeric:
            return
        for column in self.columns:
            if column.kind == "text":
                message = "is text, and this request can hold numbers only; send text/csv or application/json"
                raise RowError(message, column=column.name)

    def sample(self, count: int) -> NDArray[np.float64]:
        """Return made-up rows that this schema lets in, always the same: to compare two ways to compute."""
        generator = np.random.default_rng(0)
        rows = np.empty((count, len(self.columns)))
        for position, column in enumerate(self.columns):
            if column.kind == "number":
                share = generator.random(count)
                rows[:, position] = share * (column.minimum or 0.0) + (1.0 - share) * (column.maximum or 0.0)
            else:
                codes = [*sorted(set(column.codes.values())), *[UNSEEN] * (column.kind == "text")]
                rows[:, position] = generator.choice(codes, count)
            if column.missing:
                rows[generator.random(count) < SHARE_MISSING, position] = math.nan
        return rows

    def _order(self, names: Sequence[str]) -> list[int]:
        """Return where, among the names, each feature stands; the target's own column may be there and is passed over.

        Raises:
            RowError: a name is unknown, doubled or missing.

        """
        found: dict[str, int] = {}
        for position, name in enumerate(names):
            if name not in self.positions and name != self.target:
                raise RowError("is not a column of this model", column=name)
            if name in found:
                raise RowError("appears twice", column=name)
            found[name] = position
        for name in self.names:
            if name not in found:
                raise RowError("is not in the request", column=name)
        return [found[name] for name in self.names]

    def is_header(self, cells: Sequence[str]) -> bool:
        """Whether the first record of a CSV names columns: some cell is a feature's name, and none is a number."""
        names = [cell.strip() for cell in cells]
        return any(name in self.positions for name in names) and not any(_is_number(name) for name in names)

    def save(self, folder: Path) -> None:
        """Write ``schema.json`` into the folder."""
        text = json.dumps({"version": VERSION, **asdict(self)}, indent=2, ensure_ascii=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Schema:
        """Read ``schema.json`` from the folder.

        Raises:
            ModelError: the file is missing, damaged or of a later version.

        """
        file = folder / FILE
        try:
            content = json.loads(file.read_bytes())
            if content.pop("version") > VERSION:
                raise ModelError(f"{file} was written by a later version of this image; serve it with that image")
            columns = tuple(
                Column(**{**column, "categories": tuple(column["categories"])}) for column in content.pop("columns")
            )
            return cls(columns=columns, classes=tuple(content.pop("classes")), **content)
        except FileNotFoundError:
            raise ModelError(f"{file} is missing: the model is not trained yet, or was not mounted") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{file} cannot be read: {type(error).__name__}: {error}") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _json_type(value: Any) -> str:
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else type(value).__name__
