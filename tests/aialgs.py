"""Writes SageMaker's own records, by the schema in its developer guide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from byoc import aialgs, protobuf, recordio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.datasets import Dataset


def entry(field: int, content: bytes, key: str = "values") -> bytes:
    """Return an entry of a record's map, holding a value."""
    return protobuf.field(field, protobuf.field(aialgs.KEY, key.encode()) + protobuf.field(aialgs.VALUE, content))


def dense(field: int, numbers: Sequence[float], kind: int = aialgs.FLOAT32) -> bytes:
    """Return a tensor of all its numbers as an entry of a record's map."""
    packed = np.array(numbers, dtype="<f4" if kind == aialgs.FLOAT32 else "<f8").tobytes()
    return entry(field, protobuf.field(kind, protobuf.field(aialgs.VALUES, packed)))


def recordio_of(dataset: Dataset) -> bytes:
    """Return a table of numbers as records, float64 so that no digit is lost."""
    every = slice(None)
    return b"".join(
        recordio.frame(
            dense(aialgs.FEATURES, [float(cell) for cell in row], aialgs.FLOAT64)
            + dense(aialgs.LABEL, [float(label)], aialgs.FLOAT64)
        )
        for row, label in zip(dataset.features(every), dataset.labels(every), strict=True)
    )
