"""Real data sets, out of installed packages, written as SageMaker's users write them."""

from __future__ import annotations

import csv
import importlib.resources
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sklearn import datasets

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Dataset:
    """A table as text; ``target`` is the label's column, by name or position."""

    header: list[str] | None
    rows: list[list[str]]
    target: str | int

    def write(self, file: Path) -> Path:
        """Write the whole table as a CSV file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows([self.header, *self.rows] if self.header else self.rows)
        return file

    def features(self, rows: slice) -> list[list[str]]:
        """Return rows without their labels, as requests hold them."""
        position = self.target if isinstance(self.target, int) else (self.header or []).index(self.target)
        return [[cell for number, cell in enumerate(row) if number != position] for row in self.rows[rows]]

    def labels(self, rows: slice) -> list[str]:
        """Return the labels of rows."""
        position = self.target if isinstance(self.target, int) else (self.header or []).index(self.target)
        return [row[position] for row in self.rows[rows]]


def iris() -> Dataset:
    """Text classes first, four numbers, no header: the AWS sample's own file."""
    bunch = datasets.load_iris()
    rows = [[str(bunch.target_names[y]), *map(str, x)] for x, y in zip(bunch.data, bunch.target, strict=True)]
    return Dataset(None, rows, 0)


def digits() -> Dataset:
    """Whole-number classes first, 64 numbers, no header."""
    bunch = datasets.load_digits()
    rows = [[str(y), *map(str, x)] for x, y in zip(bunch.data, bunch.target, strict=True)]
    return Dataset(None, rows, 0)


def penguins() -> Dataset:
    """Text, numbers and missing values under a header; the label is the column ``species``."""
    file = importlib.resources.files("palmerpenguins") / "data" / "penguins.csv"
    header, *rows = csv.reader(file.read_text().splitlines())
    return Dataset(header, rows, "species")


def diabetes() -> Dataset:
    """Ten numbers under a header, and a number to predict in the last column, ``progression``."""
    bunch = datasets.load_diabetes()
    rows = [[*map(str, x), str(y)] for x, y in zip(bunch.data, bunch.target, strict=True)]
    return Dataset([*bunch.feature_names, "progression"], rows, "progression")
