"""``text/csv``: a record a line; features by position, or by name under a header row."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from byoc.errors import RowError
from byoc.serving.errors import bad_request
from byoc.serving.formats import answers, records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "text/csv"


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:
    """Return the records; blank lines are passed over.

    The media type's parameter ``header`` (``present`` or ``absent``, RFC 4180) says whether the first line names the
    columns. Without it, it does where it names at least one feature of the schema and holds no number.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise bad_request("the body is not UTF-8", row=line) from None
    rows = _parse(text)
    header = parameters.get("header")
    has_header = header == "present" if header in ("present", "absent") else _is_header(rows, schema)
    names = [cell.strip() for cell in rows.pop(0)] if rows and has_header else None
    return records.build(rows, names, schema)


def encode(predictions: Any, outputs: Sequence[str]) -> bytes:
    """Return one line a prediction: by default the label or number alone, as the classic containers answer."""
    rows = answers.rows(predictions, outputs or ("predicted_label",))
    if rows and isinstance(rows[0], dict):
        return _write([_cell(value) for value in row.values()] for row in rows)
    return _write([_cell(value) for value in row] if isinstance(row, list) else [_cell(row)] for row in rows)


def _parse(text: str) -> list[list[str]]:
    if '"' not in text:
        # What the csv module would do, several times as fast.
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return [line.split(",") for line in lines if line and not line.isspace()]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [row for row in reader if row]
    except csv.Error as error:
        raise RowError(f"the quotes do not match: {error}", reader.line_num) from None


def _is_header(rows: Sequence[Sequence[str]], schema: Schema | None) -> bool:
    return bool(rows) and schema is not None and schema.is_header(rows[0])


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return answers.to_json(value).decode()
    return "" if value is None else str(value)


def _write(rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()
