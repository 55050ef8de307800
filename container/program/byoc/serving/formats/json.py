"""``application/json``: the shapes that SageMaker's own algorithms and its toolkits take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from byoc.errors import RowError
from byoc.serving.errors import bad_request
from byoc.serving.formats import answers, records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "application/json"


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:  # noqa: ARG001
    """Return the records of a JSON value.

    A list of records, alone or under ``instances``; a record is a list of values, an object of named values, or either
    under ``features`` or ``data.features.values``. One record alone is a list of one.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    value = parse(body)
    if isinstance(value, dict) and isinstance(value.get("instances"), list):
        value = value["instances"]
    if isinstance(value, dict) or (isinstance(value, list) and value and not isinstance(value[0], list | dict)):
        value = [value]
    if not isinstance(value, list):
        raise bad_request('the body must hold records, such as {"instances": [[1, 2], [3, 4]]}')
    return from_records(value, schema)


def encode(predictions: Any, outputs: Sequence[str]) -> bytes:
    """Return ``{"predictions": [...]}``, one entry a record."""
    return answers.to_json({"predictions": answers.rows(predictions, outputs)}) + b"\n"


def parse(body: bytes, row: int | None = None) -> Any:
    """Parse strict JSON: no NaN, no infinite numbers, no bottomless nesting.

    Raises:
        RequestError: 400.

    """
    try:
        return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not valid JSON: {error.msg} at character {error.pos}", row=row) from None


def from_records(values: Sequence[Any], schema: Schema | None) -> Records:
    """Hold records against the schema; all are lists, or all are objects with the same names.

    Raises:
        RowError: names the row and column that does not fit.

    """
    features = [_features(value, row) for row, value in enumerate(values, 1)]
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
    if isinstance(value, dict) and isinstance(value.get("values"), list):
        value = value["values"]
    if not isinstance(value, list | dict):
        raise RowError("must be a list of values or an object of named values", row)
    return value


def _difference(value: Mapping[str, Any], names: Sequence[str], schema: Schema | None, row: int) -> RowError:
    strange = next((name for name in value if name not in names), None)
    if strange is not None and (schema is None or strange not in schema.positions):
        return RowError("is not a column of this model", row, strange)
    if strange is not None:
        return RowError("is here but not in the first record", row, strange)
    return RowError("is missing", row, next(name for name in names if name not in value))
