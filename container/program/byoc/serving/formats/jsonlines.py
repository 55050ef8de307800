"""``application/jsonlines``: a JSON record a line, in any of the shapes of ``application/json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from byoc.serving.formats import answers, json
from byoc.serving.formats.pieces import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "application/jsonlines"


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:  # noqa: ARG001
    """Return the records, one a line; blank lines are passed over.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    lines = [line for line in body.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    return json.from_records([json.parse(line, row) for row, line in enumerate(lines, 1)], schema, len(body))


def pieces(
    blocks: Iterable[bytes],
    size: int,
    parameters: Mapping[str, str],
    schema: Schema | None,  # noqa: ARG001
) -> Iterator[tuple[bytes, Mapping[str, str]]]:
    """Cut a large body into smaller ones."""
    return ((piece, parameters) for piece in cut(blocks, size))


def encode(predictions: Any, outputs: Sequence[str]) -> bytes:
    """Return one JSON object a line."""
    return b"".join(answers.to_json(row) + b"\n" for row in answers.rows(predictions, outputs))
