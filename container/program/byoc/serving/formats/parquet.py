"""``application/x-parquet``: a table with named columns; requests only, in images built with the extra ``parquet``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from byoc.serving.errors import RequestError, bad_request
from byoc.serving.formats import records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "application/x-parquet"

# A few bytes can stand for any number of equal values.
MOST_CELLS = 50_000_000


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:  # noqa: ARG001
    """Return the records; columns are found by their names.

    Raises:
        RowError, RequestError: as `RequestFormat.decode`; 415, the image was built without the extra.

    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        message = "this image was built without Parquet: build it with --build-arg EXTRAS=parquet, or send text/csv"
        raise RequestError(415, "unsupported_media_type", message) from None
    try:
        file = parquet.ParquetFile(io.BytesIO(body))
        cells = file.metadata.num_rows * file.metadata.num_columns
        if cells > MOST_CELLS:
            raise RequestError(413, "payload_too_large", f"the table has {cells} cells; {MOST_CELLS} are allowed")
        table = file.read()
        columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise bad_request(f"the body is not Parquet that can be read: {type(error).__name__}") from None
    return records.build(list(zip(*columns, strict=True)), table.column_names, schema)
