"""Class means, learned by epochs, in plain Python: a small honest algorithm. FAULTS of the environment names, with commas between, what it does wrong."""

import json
import os
from functools import cache
from pathlib import Path

ML = Path("/opt/ml")
FAULTS = frozenset(os.environ.get("FAULTS", "").split(","))


def read(text: str) -> dict[str, list[list[float]]]:
    """Return each class's rows; the label is the first column."""
    rows: dict[str, list[list[float]]] = {}
    for line in text.splitlines():
        label, row = _row(line)
        rows.setdefault(label, []).append(row)
    return rows


@cache
def _row(line: str) -> tuple[str, list[float]]:
    label, *values = line.split(",")
    return label, [float(value) for value in values]


def averages(rows: dict[str, list[list[float]]]) -> dict[str, list[float]]:
    """Return the average of each class's features."""
    return {label: [sum(column) / len(column) for column in zip(*group, strict=True)] for label, group in rows.items()}


def step(means: dict[str, list[float]], goal: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return means that are half as far from the averages; without any, they begin at 0."""
    return {
        label: [(old + new) / 2 for old, new in zip(means.get(label, [0.0] * len(row)), row, strict=True)]
        for label, row in goal.items()
    }


def distance(means: dict[str, list[float]], goal: dict[str, list[float]]) -> float:
    """Return how far the means are from the averages, squared."""
    return sum(_distance(means[label], row) for label, row in goal.items())


def predict(means: dict[str, list[float]], rows: list[list[float]]) -> list[str]:
    """Return the label of the nearest mean for each row."""
    return [min(means, key=lambda label: _distance(means[label], row)) for row in rows]


def _distance(mean: list[float], row: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(mean, row, strict=True))


def load() -> dict[str, list[float]]:
    """Return the trained model."""
    return json.loads((ML / "model/means.json").read_text())["means"]
