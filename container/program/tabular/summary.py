"""What there is to know of a table too large to hold: learned block by block, and merged.

Summaries of any parts of a table merge to that of the whole, to the last bit where they are merged in the same order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from byoc.errors import DataError
from byoc.schema import BOOLEANS, Column, Schema
from tabular import features

if TYPE_CHECKING:
    from tabular.options import ProblemType

Storage = Literal["boolean", "number", "text"]

# Different texts of a column, or labels, that are counted. More are names or numbers of things, not categories.
MOST_TEXTS = 10_000


@dataclass
class ColumnSummary:
    """One column, its missing values left out.

    Attributes:
        storage: what its cells are read as: in each block that has values, and where first.
        count, missing: values that are there, and that are not.
        mean, squares: of numbers: their mean, and the sum of squared differences from it.
        minimum, maximum: of numbers.
        whole: whether there is no fraction among the numbers.
        seen: how often each value comes; of numbers only where asked for, None where there are too many.

    """

    storage: dict[Storage, str] = field(default_factory=dict)
    count: int = 0
    missing: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf
    whole: bool = True
    seen: Counter[Any] | None = field(default_factory=Counter)

    @classmethod
    def of(cls, column: pd.Series, place: str, *, is_target: bool) -> ColumnSummary:
        """Summarise the column of a block; `place` tells people where that is.

        Raises:
            DataError: a number is infinite.

        """
        known = column.dropna()
        missing = len(column) - len(known)
        if known.empty:
            return cls(missing=missing)
        if pd.api.types.is_bool_dtype(known):
            return cls({"boolean": place}, len(known), missing, seen=_counts(known))
        if not pd.api.types.is_numeric_dtype(known):
            return cls({"text": place}, len(known), missing, seen=_counts(known.astype(str)))
        features.refuse_infinite(known)
        numbers = known.to_numpy(dtype=np.float64)
        mean = float(numbers.mean())
        found = cls(
            {"number": place},
            len(numbers),
            missing,
            mean,
            float(np.square(numbers - mean).sum()),
            float(numbers.min()),
            float(numbers.max()),
        )
        if is_target:
            found.whole = bool((numbers % 1 == 0).all())
            found.seen = _counts(known) if found.whole else None
        return found

    def merge(self, other: ColumnSummary) -> None:
        """Take in the summary of rows that come later."""
        self.storage = {**other.storage, **self.storage}
        total = self.count + other.count
        if other.count:
            apart = other.mean - self.mean
            self.mean += apart * (other.count / total)
            self.squares += other.squares + apart**2 * (self.count * (other.count / total))
        self.count, self.missing = total, self.missing + other.missing
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        self.whole = self.whole and other.whole
        if self.seen is None or other.seen is None:
            self.seen = None
            return
        self.seen.update(other.seen)
        if len(self.seen) > MOST_TEXTS:
            self.seen = None

    @property
    def kind(self) -> Storage:
        """What it is, once all its blocks are read as the same."""
        storage: Storage = next(iter(self.storage), "number")
        present = {str(value) for value in list(self.seen or ())[: len(BOOLEANS) + 1]}
        return "boolean" if storage == "text" and present and present <= BOOLEANS.keys() else storage

    @property
    def moments(self) -> tuple[float, float]:
        """The mean and the variance of a feature's numbers, once what is missing has become their mean."""
        mean, squares = self.mean, self.squares
        if self.kind == "boolean":
            true = sum(count for value, count in (self.seen or {}).items() if BOOLEANS[str(value)])
            mean = true / self.count
            squares = true * (1 - mean)
        return mean, squares / max(1, self.count + self.missing)

    def ranked(self) -> list[str]:
        """Return the texts, the commonest first; equally common ones by name."""
        counts = (self.seen or Counter()).items()
        return [str(value) for value, _ in sorted(counts, key=lambda item: (-item[1], str(item[0])))]


@dataclass
class Summary:
    """A table's labelled rows: its columns, the target among them; and how many rows have no label."""

    columns: dict[str, ColumnSummary]
    rows: int
    unlabelled: int

    @classmethod
    def of(cls, frame: pd.DataFrame, target: str, place: str) -> Summary:
        """Summarise a block; `place` tells people where that is.

        Raises:
            DataError: a number is infinite.

        """
        labelled = frame[frame[target].notna()]
        columns = {
            str(name): ColumnSummary.of(labelled[name], place, is_target=name == target) for name in frame.columns
        }
        return cls(columns, len(labelled), len(frame) - len(labelled))

    def merge(self, other: Summary) -> None:
        """Take in the summary of rows that come later.

        Raises:
            DataError: a column has too many different texts.

        """
        self.rows, self.unlabelled = self.rows + other.rows, self.unlabelled + other.unlabelled
        for name, column in self.columns.items():
            column.merge(other.columns[name])
            if column.seen is None and "text" in column.storage:
                raise DataError(
                    f"column '{name}' holds more than {MOST_TEXTS:,} different texts ({column.storage['text']}): as a "
                    "name or a number of something it tells a model nothing; leave it out, or mend what is no number"
                )

    def mixed(self) -> dict[str, str]:
        """Return the columns that are text in some blocks and something else in others, and where they are text.

        They are text in all, and have to be read again as such.
        """
        several = {name: column.storage for name, column in self.columns.items() if len(column.storage) > 1}
        return {name: storage.get("text", storage.get("boolean", "")) for name, storage in several.items()}

    def as_text(self) -> list[str]:
        """Return the columns that are to be read as text in every block."""
        return [name for name, column in self.columns.items() if "text" in column.storage]

    def problem_type(self, target: str) -> ProblemType:
        """Tell classification from regression, by the rule of `tabular.features.find_problem_type`."""
        labels = self.columns[target]
        if "number" not in labels.storage:
            return "classification"
        most = min(features.MOST_INTEGER_CLASSES, self.rows // 2)
        return "classification" if labels.seen is not None and len(labels.seen) <= most else "regression"

    def schema(self, target: str, problem_type: ProblemType) -> Schema:
        """Return what the rows look like, as `tabular.features.learn` would learn it from all of them.

        Raises:
            DataError: no feature, no label, labels that the problem type cannot have, or only one class.

        """
        if not self.rows:
            raise DataError(f"column '{target}', the target, is empty in every row")
        columns = tuple(_feature(name, column) for name, column in self.columns.items() if name != target)
        if not columns:
            raise DataError(f"the data has no column besides the target '{target}'")
        return Schema(columns, target, problem_type, self._classes(target) if problem_type == "classification" else ())

    def _classes(self, target: str) -> tuple[Any, ...]:
        labels = self.columns[target]
        if not labels.whole:
            raise DataError(f"column '{target}', the target, has fractions, which are no classes; use regression")
        if labels.seen is None:
            raise DataError(f"column '{target}', the target, has more than {MOST_TEXTS:,} classes; use regression")
        if len(labels.seen) < 2:  # noqa: PLR2004
            raise DataError(f"column '{target}', the target, holds only one class: there is nothing to learn")
        return tuple(sorted(int(value) if "number" in labels.storage else value for value in labels.seen))


def _counts(values: pd.Series) -> Counter[Any] | None:
    counts = values.value_counts(sort=False)
    return (
        Counter(dict(zip(counts.index.tolist(), counts.tolist(), strict=True))) if len(counts) <= MOST_TEXTS else None
    )


def _feature(name: str, column: ColumnSummary) -> Column:
    kind, missing = column.kind, column.missing > 0
    if kind == "text":
        return Column(name, kind, missing, tuple(column.ranked()[: features.MOST_CATEGORIES]))
    if kind == "boolean" or not column.count:
        return Column(name, kind, missing)
    return Column(name, kind, missing, minimum=column.minimum, maximum=column.maximum)
