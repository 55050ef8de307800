"""One POST /invocations: what came in, what goes out, and what the log says of it."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import EnvironHeaders

from byoc.serving import access, compression
from byoc.serving.batcher import Timings
from byoc.serving.context import Context
from byoc.serving.errors import RequestError, too_large

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import WSGIEnvironment

    from byoc.serving.settings import Settings

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,64}")
# Bytes that are read at a time.
BLOCK = 256 * 1024


@dataclass
class Answer:
    """What goes back.

    Attributes:
        body: all of it; or pieces, where it is too large to be held or not known yet.
        media_type: its Content-Type.
        status: its HTTP status.
        headers: further headers.
        length: bytes, where the body comes in pieces whose sum is known.

    """

    body: bytes | Iterable[bytes]
    media_type: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


class Invocation:
    """A request, by its WSGI environment.

    Attributes:
        content_type, accept: its headers, "" where they are missing.
        request_id: the caller's inference id, nginx's request id, or a new one.
        started: monotonic seconds.
        timings: where its time went.
        rows: the records that were decoded so far.
        context: for handlers that take one.

    """

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.environ = environ
        self.content_type: str = environ.get("CONTENT_TYPE", "")
        self.accept: str = environ.get("HTTP_ACCEPT", "")
        self.request_id = request_id(environ)
        self.started = time.monotonic()
        self.timings = Timings()
        self.rows: int | None = None
        self.error: RequestError | None = None
        self.context: Context | None = None
        self._whole: bytes | None = None

    def make_context(self, properties: dict[str, Any]) -> Context:
        """Return what the handler may know of the request, and of the server."""
        self.context = Context(self.request_id, EnvironHeaders(self.environ), system_properties=properties)
        return self.context

    def blocks(self, limit: int) -> Iterator[bytes]:
        """Yield the body as it comes, unpacked where it is compressed.

        Raises:
            RequestError: 413, it is larger than the limit; 415 or 400, it cannot be unpacked.

        """
        if self._whole is not None:
            return iter([self._whole])
        encoding = self.environ.get("HTTP_CONTENT_ENCODING", "")
        packed = bool(encoding) and compression.is_compressed(encoding)
        blocks = self._read(limit)
        return compression.unpacked(blocks, limit) if packed else blocks

    def whole(self, limit: int) -> bytes:
        """Return the body, which can be read again after.

        Raises:
            RequestError: as `blocks`.

        """
        self._whole = b"".join(self.blocks(limit))
        return self._whole

    def _read(self, limit: int) -> Iterator[bytes]:
        length = self.environ.get("CONTENT_LENGTH")
        left = int(length) if length else limit + 1 if self.environ.get("wsgi.input_terminated") else 0
        if length and left > limit:
            raise too_large("body", limit)
        read, total = self.environ["wsgi.input"].read, 0
        while left > total and (block := read(min(BLOCK, left - total))):
            total += len(block)
            if total > limit:
                raise too_large("body", limit)
            yield block

    def log(self, settings: Settings, status: int) -> None:
        """Write the request's line, without its data."""
        environ = self.environ
        fields: dict[str, Any] = {"request_id": self.request_id, "status": status, **self._milliseconds()}
        if self.rows is not None:
            fields["rows"] = self.rows
        if size := int(environ.get("CONTENT_LENGTH") or 0):
            fields["bytes"] = size
        if inference_id := environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID"):
            fields["inference_id"] = inference_id
        if error := self.error:
            told = {"code": error.code, "row": error.row, "column": error.column, "reason": error.message}
            fields |= {name: value for name, value in told.items() if value is not None}
        if settings.metrics_namespace:
            fields["_aws"] = self._metrics(settings.metrics_namespace)
        access.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}", fields)

    def _milliseconds(self) -> dict[str, float]:
        timings = self.timings
        return {
            "milliseconds": round((time.monotonic() - self.started) * 1000, 2),
            "decode_ms": round(timings.decode * 1000, 2),
            "queue_ms": round(timings.queue * 1000, 2),
            "predict_ms": round(timings.predict * 1000, 2),
            "encode_ms": round(timings.encode * 1000, 2),
        }

    def _metrics(self, namespace: str) -> dict[str, Any]:
        """Name the line's numbers as metrics, in CloudWatch's embedded metric format."""
        units = dict.fromkeys(self._milliseconds(), "Milliseconds") | {"rows": "Count", "bytes": "Bytes"}
        metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
        return {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [[]], "Metrics": metrics}],
        }


def request_id(environ: WSGIEnvironment) -> str:
    """Return the caller's inference id, nginx's request id, or a new one."""
    for name in ("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID", "HTTP_X_REQUEST_ID"):
        value = environ.get(name, "")
        if value and REQUEST_ID.fullmatch(value):
            return str(value)
    return uuid.uuid4().hex
