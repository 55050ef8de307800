"""``text/csv``: a record a line; features by position, or by name under a header row."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from byoc.errors import RowError
from byoc.serving.errors import bad_request
from byoc.serving.formats import answers, records
from byoc.serving.formats.pieces import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "text/csv"

# All that a table of plain numbers is written with.
NUMERIC = b"0123456789+-.eE,\n"
SPECIAL = re.compile('[",\r]')
# Larger tables are NumPy's to read: it makes no object for each number.
FEW = 32 * 1024


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:
    """Return the records; blank lines are passed over.

    The media type's parameter ``header`` (``present`` or ``absent``, RFC 4180) says whether the first line names the
    columns. Without it, it does where it names at least one feature of the schema and holds no number.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    if schema is not None and schema.is_numeric and "header" not in parameters:
        numbers = _numbers(body)
        if numbers is not None:
            return records.from_matrix(numbers, schema)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise bad_request("the body is not UTF-8", row=line) from None
    rows = _parse(text)
    names = [cell.strip() for cell in rows.pop(0)] if rows and _names_columns(rows[0], parameters, schema) else None
    return records.build(rows, names, schema)


def pieces(
    blocks: Iterable[bytes], size: int, parameters: Mapping[str, str], schema: Schema | None
) -> Iterator[tuple[bytes, Mapping[str, str]]]:
    """Cut a large body into smaller ones, each with the header row where there is one."""
    header = b""
    for number, piece in enumerate(cut(blocks, size, quoted=True)):
        if number == 0 and _has_header(piece, parameters, schema):
            header, _, piece = piece.partition(b"\n")  # noqa: PLW2901
            header, parameters = header + b"\n", {**parameters, "header": "present"}
        yield (header + piece, parameters) if header else (piece, parameters)


def encode(predictions: Any, outputs: Sequence[str]) -> bytes:
    """Return one line a prediction: by default the label or number alone, as the classic containers answer."""
    rows = answers.rows(predictions, outputs or ("predicted_label",))
    if rows and isinstance(rows[0], dict):
        return _write([_cell(value) for value in row.values()] for row in rows)
    if not any(isinstance(row, list) for row in rows):
        text = "\n".join(map(_cell, rows)) + "\n"
        # What has nothing to be quoted is written as it is.
        if not SPECIAL.search(text) and text.count("\n") == len(rows) and "\n\n" not in f"\n{text}":
            return text.encode()
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


def _numbers(body: bytes) -> NDArray[np.float64] | None:
    """Return the table of a body that is nothing but plain numbers, None where it is not or may not be.

    Such a body is nearly JSON, and a JSON parser reads it in a hundredth of the time that the CSV way takes.
    """
    text = body.replace(b"\r\n", b"\n").strip(b"\n") if b"\r" in body else body.strip(b"\n")
    if not text or text.translate(None, NUMERIC):
        return None
    try:
        if len(text) > FEW:
            return np.loadtxt(io.StringIO(text.decode("ascii")), delimiter=",", comments=None, ndmin=2)
        table = np.array(orjson.loads(b"[[%b]]" % text.replace(b"\n", b"],[")), dtype=np.float64)
    except ValueError:  # not as JSON writes numbers, or rows of unequal length: told by the careful way
        return None
    return table if table.ndim == 2 else None  # noqa: PLR2004


def _has_header(piece: bytes, parameters: Mapping[str, str], schema: Schema | None) -> bool:
    try:
        rows = _parse(piece.partition(b"\n")[0].decode("utf-8-sig"))
    except (UnicodeDecodeError, RowError):
        return False
    return bool(rows) and _names_columns(rows[0], parameters, schema)


def _names_columns(cells: Sequence[str], parameters: Mapping[str, str], schema: Schema | None) -> bool:
    """Whether the first record is a header row: as the media type says or, where it does not, as it looks."""
    header = parameters.get("header")
    if header in ("present", "absent"):
        return header == "present"
    return schema is not None and schema.is_header(cells)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return answers.to_json(value).decode()
    return "" if value is None else str(value)


def _write(rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()
