"""Reading training data that comes as SageMaker's own records, in frames of RecordIO: numbers, dense or sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from byoc import aialgs, machine, recordio, sparse
from byoc.errors import DataError, RowError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from byoc.aialgs import Tensor

# Records that are held one by one before they become a matrix.
BLOCK = 10_000


def read(files: Sequence[Path]) -> pd.DataFrame:
    """Return the records of all files, in their order.

    Columns are named as those of CSV files without a header row whose label comes first: ``column_0`` is the label,
    ``column_1`` the first feature. What a sparse record leaves out is 0.

    Raises:
        DataError: a record is damaged, has text or no label, or is not as wide as the first; names file and record.

    """
    blocks: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    width, count, most = 0, 0, machine.memory() // 8
    for file in files:
        try:
            for number, (label, features) in enumerate(_pairs(file), 1):
                width = width or features.width
                count += 1
                if count * (width + 1) > most:
                    raise RowError("does not fit into this machine's memory once zeros are written out", number)
                rows.append(_row(label, features, width, number))
                if len(rows) == BLOCK:
                    blocks.append(np.array(rows))
                    rows = []
        except RowError as error:
            raise DataError(f"{file}, record {error.row} {error.message}") from error
    if rows:
        blocks.append(np.array(rows))
    matrix = np.concatenate(blocks)
    return pd.DataFrame(matrix, columns=[f"column_{number}" for number in range(width + 1)])


def _pairs(file: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the label and the features of each record."""
    with file.open("rb") as stream:
        for number, record in enumerate(recordio.records(stream), 1):
            yield aialgs.tensor(record, aialgs.LABEL, number), aialgs.tensor(record, aialgs.FEATURES, number)


def _row(label: Tensor, features: Tensor, width: int, number: int) -> np.ndarray:
    """Return a record as a row, the label first."""
    if label.width != 1:
        raise RowError(f"has {label.width} values in its label, not one", number)
    if features.width != width:
        raise RowError(f"has {features.width} values, not the {width} of the first record", number)
    row = np.zeros(width + 1)
    for tensor, place in ((label, row[:1]), (features, row[1:])):
        if tensor.keys is None:
            place[:] = tensor.numbers
        else:
            sparse.check(tensor.keys, tensor.numbers, tensor.width, number)
            place[tensor.keys] = tensor.numbers
    return row
