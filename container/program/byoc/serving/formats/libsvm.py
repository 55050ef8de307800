"""``text/libsvm``: a record a line, ``position:value`` for what is not 0; requests only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc.errors import RowError
from byoc.serving.errors import bad_request
from byoc.serving.formats import records, sparse
from byoc.serving.formats.pieces import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "text/libsvm"


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:
    """Return the records; a label in front and what follows a ``#`` are passed over, blank lines too.

    Positions count from 0, as SageMaker's XGBoost and scikit-learn's dump_svmlight_file have it; the media type's
    parameter ``base=1`` says that they count from 1, as LIBSVM's own tools have it. Without a schema the highest
    position tells the width.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    base = parameters.get("base", "0")
    if base not in ("0", "1"):
        raise bad_request("the media type's parameter base must be 0 or 1, the first feature's position")
    try:
        lines = body.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise bad_request("the body is not UTF-8", row=body.count(b"\n", 0, error.start) + 1) from None
    texts = [tokens for line in lines if (tokens := line.partition("#")[0].split())]
    found = [_record(tokens, int(base), row) for row, tokens in enumerate(texts, 1)]
    highest = max((max(keys, default=-1) for keys, _ in found), default=-1)
    width = highest + 1 if schema is None else len(schema.columns)
    return records.from_matrix(sparse.matrix(found, width, len(body)), schema)


def pieces(
    blocks: Iterable[bytes],
    size: int,
    parameters: Mapping[str, str],
    schema: Schema | None,  # noqa: ARG001
) -> Iterator[tuple[bytes, Mapping[str, str]]]:
    """Cut a large body into smaller ones."""
    return ((piece, parameters) for piece in cut(blocks, size))


def _record(tokens: list[str], base: int, row: int) -> tuple[list[int], list[float]]:
    """Return the positions, from 0, and values of a line."""
    pairs = [token.partition(":") for token in (tokens if ":" in tokens[0] else tokens[1:])]
    keys, values = [], []
    for key, colon, value in pairs:
        if key == "qid":
            continue
        if not (colon and key.isascii() and key.isdecimal() and len(key) <= len(str(1 << 62))):
            raise RowError("is not a list of position:value", row)
        if int(key) < base:
            raise RowError("counts its positions from 0, though base=1 says from 1", row)
        try:
            values.append(float(value))
        except ValueError:
            raise RowError("has a value that is not a number", row, int(key)) from None
        keys.append(int(key) - base)
    return keys, values
