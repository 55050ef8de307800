"""The request and answer of H2O's hosted scorers: a table of text in, the same rows with their scores out.

``{"fields": [name], "rows": [[value]]}`` is answered ``{"id": model, "fields": [name], "score": [[value]]}``, where a
row's values are copies of those that ``includeFieldsInOutput`` names, then an id where ``idField`` asks for one, then
the prediction. It is JSON, and `json` hands over what looks like it; models of H2O's own answer an object of named
values so too. Its errors are told in the words of those scorers.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from byoc.errors import RowError
from byoc.predictions import Predictions
from byoc.serving.errors import bad_request
from byoc.serving.formats import answers
from byoc.serving.formats.records import Copied, Records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoc.schema import Schema

# How numbers may be written that are yes or no.
DIGITS = {"true": "1", "false": "0"}
# What stands before the rows of an answer; quotes within a name are escaped, so that it stands there only.
SCORE = b'"score":['
CLOSING = b"]}\n"


def decode(request: Mapping[str, Any], schema: Schema) -> Records:
    """Return the records of a request; columns that the model does not know may be there, and are passed over.

    Raises:
        RowError, RequestError: it is not of this form, does not fit the schema, or asks for what is not computed here.

    """
    fields, rows = request.get("fields") or (), request.get("rows") or ()
    if not fields:
        raise bad_request("List of input fields cannot be empty")
    if not rows:
        raise bad_request("List of input data rows cannot be empty")
    if not _are_names(fields):
        raise bad_request('"fields" must be a list of names')
    if not isinstance(rows, list):
        raise bad_request('"rows" must be a list of rows')
    _check_extras(request)
    positions = _positions(fields, schema)
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            raise RowError("must be a list of values", number + 1)
        if len(row) != len(fields):
            much = "Not enough" if len(row) < len(fields) else "Too many"
            raise bad_request(f"{much} elements in row {number} (zero-indexed)", row=number + 1)
    copied = _copied(request, positions, rows)
    chosen = [(positions[column.name], column.kind == "number") for column in schema.columns]
    cells = [[_digit(row[position]) if number else row[position] for position, number in chosen] for row in rows]
    return Records(schema.matrix(cells), schema=schema, copied=copied)


def of_object(records: Records) -> Records:
    """Return the records of an object of named values, marked as such: a model of H2O's answers it as a table."""
    copied = Copied((), [()] * len(records), is_object=True)
    return Records(records.matrix, records.cells, records.names, records.schema, copied)


def encode(predictions: Any, copied: Copied, model_id: str, outputs: Sequence[str]) -> bytes:
    """Return ``{"id": ..., "fields": [...], "score": [[...], ...]}``.

    Args:
        predictions: as `answers.rows` takes them.
        copied: what it repeats of the request.
        model_id: of the model.
        outputs: how the model names what it predicts; () is as `table` does.

    """
    names, rows = table(predictions, outputs)
    head: dict[str, Any] = {"id": model_id}
    if copied.tells_names:
        head["fields"] = [*copied.names, *names]
    score = [[*before, *map(_text, values)] for before, values in zip(copied.cells, rows, strict=True)]
    return answers.to_json(head)[:-1] + b"," + SCORE + answers.to_json(score)[1:-1] + CLOSING


def opening(body: bytes) -> bytes:
    """Return what stands before the rows of an encoded answer; `CLOSING` stands behind them."""
    return body[: body.index(SCORE) + len(SCORE)]


def table(predictions: Any, outputs: Sequence[str] = ()) -> tuple[Sequence[str], list[list[Any]]]:
    """Return the names of what is predicted, and its values row by row.

    It is called ``predict`` and, where there are probabilities, by each of the classes, as in H2O's own tables; what a
    user's predict_fn returned goes by its keys, or is numbered.

    Args:
        predictions: as `answers.rows` takes them.
        outputs: names that come first; as many as there are classes are of the probabilities alone.

    """
    if isinstance(predictions, Predictions):
        labels = predictions.labels.tolist()
        if predictions.probabilities is None:
            return _named(outputs, ["predict"]), [[label] for label in labels]
        shares = predictions.probabilities.tolist()
        if outputs and len(outputs) == predictions.probabilities.shape[1]:
            return outputs, shares
        classes = predictions.classes or [f"p{number}" for number in range(predictions.probabilities.shape[1])]
        names = _named(outputs, ["predict", *map(str, classes)])
        return names, [[label, *row] for label, row in zip(labels, shares, strict=True)]
    rows = answers.rows(predictions, ())
    first = rows[0] if rows else None
    if isinstance(first, dict):
        return _named(outputs, list(map(str, first))), [list(row.values()) for row in rows]
    if not isinstance(first, list):
        return _named(outputs, ["predict"]), [[value] for value in rows]
    numbered = [f"predict_{number}" for number in range(len(first))]
    return _named(outputs, numbered if len(first) > 1 else ["predict"]), rows


def _named(outputs: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    return outputs if len(outputs) == len(names) else names


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _check_extras(request: Mapping[str, Any]) -> None:
    """Refuse what is asked for besides the scores and cannot be given."""
    if request.get("requestShapleyValueType") not in (None, "NONE"):
        raise bad_request("Shapley values are not computed here; leave requestShapleyValueType out")
    if request.get("requestPredictionIntervals") not in (None, False):
        raise bad_request("prediction intervals are not computed here; leave requestPredictionIntervals out")


def _positions(fields: Sequence[str], schema: Schema) -> dict[str, int]:
    positions: dict[str, int] = {}
    for position, name in enumerate(fields):
        if positions.setdefault(name, position) != position:
            raise RowError("appears twice", column=name)
    missing = [name for name in schema.names if name not in positions]
    if missing:
        told = f"expected [{', '.join(schema.names)}] actual [{', '.join(fields)}]"
        raise bad_request(f"Input fields don't contain all the Mojo fields, {told}", column=missing[0])
    return positions


def _copied(request: Mapping[str, Any], positions: Mapping[str, int], rows: Sequence[Sequence[Any]]) -> Copied:
    """Return the values to repeat, in the request's order of fields, and an id for each row where one is to be made."""
    wanted, id_field = request.get("includeFieldsInOutput") or [], request.get("idField") or ""
    if not _are_names(wanted):
        raise bad_request('"includeFieldsInOutput" must be a list of names')
    strange = [name for name in wanted if name not in positions and name != id_field]
    if strange:
        raise bad_request("includeFieldsInOutput names what is not among the fields", column=strange[0])
    included = set(wanted)
    names = [name for name in positions if name in included]
    chosen = [positions[name] for name in names]
    cells = [[_text(row[position]) for position in chosen] for row in rows]
    if id_field in included and id_field not in positions:
        names.append(id_field)
        for row in cells:
            row.append(str(uuid.uuid4()))
    return Copied(tuple(names), cells, tells_names=not request.get("noFieldNamesInOutput"))


def _digit(cell: Any) -> Any:
    """Return a number's cell, with yes and no as digits."""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    return DIGITS.get(cell.lower(), cell) if isinstance(cell, str) else cell


def _text(value: Any) -> str | None:
    """Return a value as text, of a number all that it holds; None where it is missing or no number."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if value - value == 0.0 else None
    return str(value) if isinstance(value, int) else answers.to_json(value).decode()
