"""``application/json``: the shapes that SageMaker's own algorithms and its toolkits take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from byoc.errors import RowError
from byoc.serving.errors import bad_request
from byoc.serving.formats import answers, records, score_table, sparse
from byoc.sparse import check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "application/json"

# What stands around the predictions of an answer.
OPENING = b'{"predictions":['
CLOSING = b"]}\n"


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:  # noqa: ARG001
    """Return the records of a JSON value.

    A list of records, alone or under ``instances``; a record is a list of values, an object of named values, or either
    under ``features`` or ``data.features``, where the list may be called ``values``. With ``keys`` and ``shape`` beside
    them, ``values`` are those at the positions ``keys``, counted from 0, of a record of zeros. One record alone is a
    list of one. Lists of values may also stand under ``rows``, next to their names under ``fields``: see `score_table`.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    value = parse(body)
    if isinstance(value, dict):
        if isinstance(value.get("instances"), list):
            value = value["instances"]
        elif isinstance(value.get("rows"), list) or isinstance(value.get("fields"), list):
            return _table(value, schema)
        else:
            return score_table.of_object(from_records([value], schema, len(body)))
    if isinstance(value, list) and value and not isinstance(value[0], list | dict):
        value = [value]
    if value is None:
        raise bad_request("Request cannot be empty")
    if not isinstance(value, list):
        raise bad_request('the body must hold records, such as {"instances": [[1, 2], [3, 4]]}')
    return from_records(value, schema, len(body))


def encode(predictions: Any, outputs: Sequence[str]) -> bytes:
    """Return ``{"predictions": [...]}``, one entry a record."""
    return OPENING + answers.to_json(answers.rows(predictions, outputs))[1:-1] + CLOSING


def opening(body: bytes) -> bytes:
    """Return what stands before the predictions of an encoded answer; `CLOSING` stands behind them."""
    return OPENING if body.startswith(OPENING) else score_table.opening(body)


def parse(body: bytes, row: int | None = None) -> Any:
    """Parse strict JSON: no NaN, no infinite numbers, no bottomless nesting.

    Raises:
        RequestError: 400.

    """
    try:
        return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        if not body.strip():
            raise bad_request("Request cannot be empty") from None
        raise bad_request(f"the body is not valid JSON: {error.msg} at character {error.pos}", row=row) from None


def from_records(values: Sequence[Any], schema: Schema | None, size: int) -> Records:
    """Hold records of a body of so many bytes against the schema; all are lists, or all are objects of the same names.

    Raises:
        RowError: names the row and column that does not fit.
        RequestError: 413, sparse records are too large once written out.

    """
    features: list[Any] = []
    cells = 0
    for row, value in enumerate(values, 1):
        record = _features(value, row)
        if isinstance(record, dict) and isinstance(record.get("keys"), list):
            cells += _width(record, row)
            sparse.check_room(cells, size)
            record = _written_out(record, schema, row)
        features.append(record)
    names: list[str] | None = None
    rows: list[Sequence[Any]] = []
    for row, value in enumerate(features, 1):
        if row == 1 and isinstance(value, dict):
            names = list(value)
        if isinstance(value, dict) != (names is not None):
            raise RowError("is a list of values where others are named values", row)
        if names is None:
            rows.append(value)
            continue
        if value.keys() != set(names):
            raise _difference(value, names, schema, row)
        rows.append([value[name] for name in names])
    return records.build(rows, names, schema)


def _features(value: Any, row: int) -> Any:
    """Return the list or object of values of one record, out of what it may be wrapped in."""
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        value = value["data"]
    if isinstance(value, dict) and isinstance(value.get("features"), list | dict):
        value = value["features"]
    if isinstance(value, dict) and isinstance(value.get("values"), list) and not isinstance(value.get("keys"), list):
        value = value["values"]
    if not isinstance(value, list | dict):
        raise RowError("must be a list of values or an object of named values", row)
    return value


def _width(record: Mapping[str, Any], row: int) -> int:
    """Return how many values a sparse record stands for.

    Raises:
        RowError: it does not say.

    """
    match record.get("shape"):
        case [int(width)] if width > 0:
            return width
    raise RowError('needs the number of its values next to its keys, such as "shape": [4]', row)


def _written_out(record: Mapping[str, Any], schema: Schema | None, row: int) -> list[Any]:
    """Return all values of a sparse record.

    Raises:
        RowError: its keys do not fit its values or its shape; the model has columns of text.

    """
    if schema is not None:
        schema.check_numeric()
    keys, values = record["keys"], record.get("values")
    if not isinstance(values, list) or any(type(key) is not int for key in keys):
        raise RowError("must have lists of keys, which are positions from 0, and of values", row)
    width = _width(record, row)
    check(keys, values, width, row)
    cells: list[Any] = [0.0] * width
    for key, value in zip(keys, values, strict=True):
        cells[key] = value
    return cells


def _table(value: Mapping[str, Any], schema: Schema | None) -> Records:
    """Return the records of rows that share their names.

    Raises:
        RowError, RequestError: as `decode`.

    """
    if schema is not None:
        return score_table.decode(value, schema)
    fields, rows = value.get("fields"), value.get("rows")
    if not isinstance(fields, list) or not isinstance(rows, list):  # columns that happen to be called so
        return from_records([value], None, 0)
    if not all(isinstance(name, str) for name in fields):
        raise bad_request('"fields" must be a list of names')
    for row, cells in enumerate(rows, 1):
        if not isinstance(cells, list):
            raise RowError("must be a list of values", row)
    return records.build(rows, fields, None)


def _difference(value: Mapping[str, Any], names: Sequence[str], schema: Schema | None, row: int) -> RowError:
    strange = next((name for name in value if name not in names), None)
    if strange is not None and (schema is None or strange not in schema.positions):
        return RowError("is not a column of this model", row, strange)
    if strange is not None:
        return RowError("is here but not in the first record", row, strange)
    return RowError("is missing", row, next(name for name in names if name not in value))
