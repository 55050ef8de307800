"""DataProcessing: what of each record the model gets, and what of records and answers the output has."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import invalid
from byoc_cli.emulator.transform import jsonpath
from byoc_cli.emulator.transform.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoc_cli.emulator.transform.jsonpath import Path

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
KINDS = (CSV, JSON, JSON_LINES)
OUTPUT, INPUT = "SageMakerOutput", "SageMakerInput"


class Processing:
    """The filters and the join of a job.

    Args:
        request: CreateTransformJob's.

    Raises:
        ApiError: they cannot be, or not with these content types, as AWS refuses them.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        wanted, source = request.get("DataProcessing", {}), request["TransformInput"]
        output = request["TransformOutput"]
        self._takes, self._gives = media_type(source.get("ContentType", "")), media_type(output.get("Accept", ""))
        self._joins = wanted.get("JoinSource", "None") == "Input"
        self._input = _filter(wanted, "InputFilter", self._takes, "ContentType")
        self._output = _filter(wanted, "OutputFilter", self._gives, "Accept")
        if not self.takes_all and self._takes == CSV and source.get("SplitType") != "Line":
            raise invalid(f"InputFilter with {CSV} needs SplitType to be Line")
        if self._joins:
            _check_join(self._takes, self._gives, source, output)

    @property
    def takes_all(self) -> bool:
        """Whether records go to the model as they are."""
        return self._input.is_all

    def select(self, record: bytes) -> bytes:
        """Return what of a record goes to the model.

        Raises:
            DataError: the record is not in its format, or has not what the filter selects.
        """
        return record if self.takes_all else _filtered(self._input, self._takes, record)

    def finish(self, records: Sequence[bytes], answer: bytes) -> bytes:
        """Return what goes into the output for a request.

        Args:
            records: whole, as they stand in the object.
            answer: of the container to these.

        Raises:
            DataError: there is not one answer to each record, or they are not in their format.
        """
        if not self._joins and self._output.is_all:
            return answer
        answers = _answers(answer, self._gives)
        if self._joins:
            if len(answers) != len(records):
                raise DataError(f"{len(records)} records were answered by {len(answers)}: they cannot be joined")
            join = _join_rows if self._gives == CSV else _join_objects
            answers = [join(record, own) for record, own in zip(records, answers, strict=True)]
        if not self._output.is_all:
            answers = [_filtered(self._output, self._gives, each) for each in answers]
        ends = b"" if self._gives == JSON else b"\n"
        return b"\n".join(each.rstrip(b"\r\n") for each in answers) + ends


def media_type(content_type: str) -> str:
    """Return a content type without its parameters, in small letters."""
    return content_type.partition(";")[0].strip().lower()


def _filter(wanted: Mapping[str, Any], name: str, kind: str, where: str) -> Path:
    """Return a filter that was asked for.

    Raises:
        ApiError: it is none, or cannot be used on this kind of data.
    """
    text = wanted.get(name) or "$"
    try:
        path = jsonpath.parse(text)
    except ValueError as error:
        raise invalid(f'Invalid {name}: "{text}". {error}') from error
    if path.is_all:
        return path
    if kind not in KINDS:
        raise invalid(f"{name} needs {where} to be one of {', '.join(KINDS)}; it is '{kind}'")
    if kind == CSV and not path.fits_rows:
        raise invalid(f'Invalid {name}: "{text}". Rows of {CSV} have no names: write an index, $[0], or a range, $[1:]')
    return path


def _check_join(takes: str, gives: str, source: Mapping[str, Any], output: Mapping[str, Any]) -> None:
    """Refuse what cannot be joined.

    Raises:
        ApiError: the types differ, or the records are not cut as they are put together.
    """
    if takes not in KINDS or takes != gives:
        raise invalid(
            f"JoinSource=Input needs ContentType and Accept to be the same, one of {', '.join(KINDS)}; "
            f"they are '{takes}' and '{gives}'"
        )
    split, assemble = source.get("SplitType", "None"), output.get("AssembleWith", "None")
    if split != assemble:
        raise invalid(f"JoinSource=Input needs AssembleWith to be as SplitType; they are {assemble} and {split}")
    if takes == CSV and split != "Line":
        raise invalid(f"JoinSource=Input with {CSV} needs SplitType and AssembleWith to be Line")


def _filtered(path: Path, kind: str, record: bytes) -> bytes:
    """Return what a filter selects of a record, on a line of its own where there are lines."""
    if kind == CSV:
        selected = path.select(_row(record))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(selected if isinstance(selected, list) else [selected])
        return text.getvalue().encode()
    ends = b"\n" if record.endswith(b"\n") or kind == JSON_LINES else b""
    return _write(path.select(_read(record))) + ends


def _answers(answer: bytes, kind: str) -> list[bytes]:
    """Return the single answers in one: a line each, or as JSON the whole of it."""
    if kind == JSON:
        try:
            json.loads(answer)
        except ValueError:
            pass
        else:
            return [answer]
    return [line for line in answer.split(b"\n") if line.strip()]


def _join_rows(record: bytes, answer: bytes) -> bytes:
    return record.rstrip(b"\r\n") + b"," + answer.rstrip(b"\r\n")


def _join_objects(record: bytes, answer: bytes) -> bytes:
    value = _read(record)
    joined = value if isinstance(value, dict) else {INPUT: value}
    return _write({**joined, OUTPUT: _read(answer)})


def _row(record: bytes) -> list[str]:
    try:
        rows = list(csv.reader([record.decode()], strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{_shown(record)} is no row of CSV: {error}") from error
    return rows[0] if rows else []


def _read(record: bytes) -> Any:
    try:
        return json.loads(record)
    except ValueError as error:
        raise DataError(f"{_shown(record)} is no JSON: {error}") from error


def _write(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _shown(record: bytes) -> str:
    return repr(record[:60].decode("utf-8", "replace"))
