"""``application/x-recordio-protobuf``: SageMaker's own records, ``aialgs.data.Record``, framed as RecordIO.

A record has maps of tensors: the features under the key ``values``; in answers, each output under its name in the map
``label``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from byoc import aialgs, protobuf, recordio
from byoc.errors import RowError
from byoc.serving.formats import answers, records, sparse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = aialgs.MEDIA_TYPE

# Up to here a float32 tells whole numbers apart.
FLOAT32_INTEGERS = 1 << 24


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:  # noqa: ARG001
    """Return the records: dense tensors of float32, float64 or int32, or sparse ones with keys and a shape.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    found: list[tuple[list[int] | None, NDArray[np.float64]]] = []
    width = 0 if schema is None else len(schema.columns)
    for row, record in enumerate(recordio.records(io.BytesIO(body)), 1):
        features = aialgs.tensor(record, aialgs.FEATURES, row)
        width = width or features.width
        if features.width != width:
            raise RowError(f"has {features.width} values, not the {width} expected", row)
        found.append((features.keys, features.numbers))
    return records.from_matrix(sparse.matrix(found, width, len(body)), schema)


def encode(predictions: Any, outputs: Sequence[str]) -> bytes:
    """Return a record a prediction; text as bytes, numbers as float32, or float64 where those would not be exact."""
    rows = answers.rows(predictions, outputs)
    named = (row if isinstance(row, dict) else {"predicted_label": row} for row in rows)
    return b"".join(recordio.frame(b"".join(_label(str(name), value) for name, value in row.items())) for row in named)


def _label(name: str, value: Any) -> bytes:
    """Write an entry of the map ``label``."""
    values = [each for each in (value if isinstance(value, list | tuple) else [value]) if each is not None]
    if any(isinstance(each, str) for each in values):
        content = protobuf.field(aialgs.TEXTS, b"".join(protobuf.field(1, str(each).encode()) for each in values))
    else:
        is_exact = not any(isinstance(each, int) and abs(each) > FLOAT32_INTEGERS for each in values)
        packed = np.array(values, dtype="<f4" if is_exact else "<f8").tobytes()
        content = protobuf.field(aialgs.FLOAT32 if is_exact else aialgs.FLOAT64, protobuf.field(aialgs.VALUES, packed))
    return protobuf.field(
        aialgs.LABEL, protobuf.field(aialgs.KEY, name.encode()) + protobuf.field(aialgs.VALUE, content)
    )
