"""``application/octet-stream``: what clients that name no type send; here it must hold JSON; requests only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc.serving.formats import json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "application/octet-stream"


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:
    """Return the records of a JSON value, in any of the shapes of ``application/json``.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    return json.decode(body, parameters, schema)
