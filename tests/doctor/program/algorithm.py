"""Nearest class mean in plain Python: a small honest algorithm. FAULT of the environment names what it does wrong."""

import json
import os
from pathlib import Path

ML = Path("/opt/ml")
FAULT = os.environ.get("FAULT", "")


def fit(text: str) -> dict[str, list[float]]:
    """Return the mean of each class's features; the label is the first column."""
    rows: dict[str, list[list[float]]] = {}
    for line in text.splitlines():
        label, *values = line.split(",")
        rows.setdefault(label, []).append([float(value) for value in values])
    return {label: [sum(column) / len(column) for column in zip(*group, strict=True)] for label, group in rows.items()}


def predict(means: dict[str, list[float]], rows: list[list[float]]) -> list[str]:
    """Return the label of the nearest mean for each row."""
    return [min(means, key=lambda label: _distance(means[label], row)) for row in rows]


def _distance(mean: list[float], row: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(mean, row, strict=True))


def load() -> dict[str, list[float]]:
    """Return the trained model."""
    return json.loads((ML / "model/means.json").read_text())
