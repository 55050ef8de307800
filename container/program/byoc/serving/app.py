"""The Flask app: requests in, answers out; everything between is the batcher's and the handler's."""

from __future__ import annotations

import gc
import logging
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

import gevent
import orjson
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from byoc.errors import RowError
from byoc.serving import compression, formats
from byoc.serving.batcher import Batcher
from byoc.serving.errors import RequestError
from byoc.serving.handler import Call

if TYPE_CHECKING:
    from byoc.serving.handler import Handler
    from byoc.serving.settings import Settings

log = logging.getLogger(__name__)
access = logging.getLogger("byoc.access")

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,64}")
# Larger bodies are parsed in a thread, so that parsing them keeps no other request waiting.
PARSED_ON_LOOP = 64 * 1024


class Service:
    """A loaded model with its queue: what a worker holds once, and every request goes through."""

    def __init__(self, settings: Settings, handler: Handler) -> None:
        self.settings = settings
        self.handler = handler
        self._batcher: Batcher | None = None

    def load(self) -> None:
        """Load the model, and take what is loaded out of the garbage collector's sight.

        Frozen objects are not touched by collections, so that forked workers go on sharing their pages.

        Raises:
            UserError: the model cannot be loaded.

        """
        started = time.monotonic()
        self.handler.load(self.settings.model_dir)
        gc.collect()
        gc.freeze()
        log.info("model loaded from %s in %.1f s", self.settings.model_dir, time.monotonic() - started)

    @property
    def batcher(self) -> Batcher:
        """The queue in front of the model; its thread belongs to the process, so it is made after the fork."""
        if self._batcher is None:
            self._batcher = Batcher(
                self.handler.predict,
                queue=self.settings.queue,
                batch_rows=self.settings.batch_rows,
                deadline=self.settings.deadline,
            )
        return self._batcher

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        """Return the answer's body and media type.

        Raises:
            RequestError, RowError: the request cannot be answered.

        """
        default = self.settings.default_accept or content_type or "text/csv"
        if self.handler.output_fn is not None:
            call = self._call(body, content_type, default if accept in ("", "*/*") else accept)
            return _user_answer(self._predict(call), call.accept)
        # Before any work is done: an answer that nobody accepts need not be computed.
        output = formats.encoder(accept, default)
        predictions = self._predict(self._call(body, content_type, accept))
        return output.encode(predictions, self.settings.outputs), output.MEDIA_TYPE

    def _call(self, body: bytes, content_type: str, accept: str) -> Call:
        if self.handler.input_fn is not None:
            return Call(None, body, content_type, accept)
        source, parameters = formats.decoder(content_type)
        arguments = (body, parameters, self.handler.schema)
        if len(body) <= PARSED_ON_LOOP:
            records = source.decode(*arguments)
        else:
            records = gevent.get_hub().threadpool.apply(source.decode, arguments)
        g.rows = len(records)
        return Call(records, b"", content_type, accept)

    def _predict(self, call: Call) -> Any:
        if call.records is None or not self.handler.batchable:
            return self.batcher.submit(call, 1 if call.records is None else len(call.records), None)
        return self.batcher.submit(call, len(call.records), call.records.layout)


def create_app(settings: Settings, handler: Handler) -> Flask:
    """Return the app; where the model may be shared by forked workers, it is loaded here, before the fork.

    Raises:
        UserError: the model cannot be loaded.

    """
    app = Flask("byoc")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_payload
    service = Service(settings, handler)
    app.extensions["service"] = service
    if handler.fork_safe:
        service.load()

    @app.route("/ping", methods=["GET", "POST"])
    def ping() -> Response:
        """Answer where no supervisor does: in development, and without nginx."""
        loaded = handler.loaded
        return Response(status=200 if loaded else 503, mimetype="application/json")

    @app.post("/invocations")
    def invocations() -> Response:
        headers = request.headers
        body, media_type = service.answer(_body(), headers.get("Content-Type", ""), headers.get("Accept", ""))
        return Response(body, content_type=media_type)

    @app.get("/execution-parameters")
    def execution_parameters() -> Response:
        """Answer batch transform, which asks once before it sends its requests."""
        batch = settings.batch
        told = {
            "MaxConcurrentTransforms": batch.concurrent,
            "BatchStrategy": batch.strategy,
            "MaxPayloadInMB": batch.payload_mb,
        }
        return Response(orjson.dumps(told), content_type="application/json")

    @app.before_request
    def start() -> None:
        g.started = time.monotonic()
        g.request_id = _request_id()

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        if request.path != "/ping":
            _log(response)
        return response

    app.register_error_handler(Exception, _explain)
    return app


def _body() -> bytes:
    """Return the request's body, unpacked in a thread where it is compressed.

    Raises:
        RequestError: it cannot be unpacked.

    """
    is_compressed = compression.is_compressed(request.headers.get("Content-Encoding", ""))
    body = request.get_data(cache=False)
    if not is_compressed:
        return body
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    unpacked: bytes = gevent.get_hub().threadpool.apply(compression.unpack, (body, limit))
    return unpacked


def _user_answer(result: Any, accept: str) -> tuple[bytes, str]:
    """Take what output_fn returned: a body, or a body and its media type."""
    body, media_type = result if isinstance(result, tuple) else (result, accept)
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"output_fn returned {type(body).__name__}, not text or bytes")
    return bytes(body), media_type


def _request_id() -> str:
    """Return the caller's inference id, nginx's request id, or a new one."""
    for name in ("X-Amzn-SageMaker-Inference-Id", "X-Request-Id"):
        value = request.headers.get(name, "")
        if REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex


def _explain(error: Exception) -> Response:
    """Turn whatever was raised into a JSON error; the log has the rest under the same request id."""
    if isinstance(error, RowError):
        told = RequestError(400, "bad_request", str(error), row=error.row, column=error.column)
    elif isinstance(error, RequestError):
        told = error
    elif isinstance(error, HTTPException):
        told = _explain_http(error)
    else:
        log.error("prediction failed: %s", error, exc_info=error, extra={"request_id": g.request_id})
        told = RequestError(500, "prediction_failed", "the model failed on this request; the log has the cause")
    response = Response(told.body(g.request_id), told.status, mimetype="application/json")
    if isinstance(error, HTTPException):
        response.headers.extend((name, value) for name, value in error.get_headers() if name == "Allow")
    if told.retry_after is not None:
        response.headers["Retry-After"] = str(told.retry_after)
    g.error = told
    return response


def _explain_http(error: HTTPException) -> RequestError:
    status = error.code or 500
    message = {
        404: f"there is no {request.path[:100]} here; POST /invocations, GET /ping and GET /execution-parameters are",
        405: f"{request.path} does not take {request.method}",
        413: "the body is larger than the limit set by SAGEMAKER_MAX_PAYLOAD_IN_MB",
    }.get(status, error.description or error.name)
    # 413 as nginx calls it: werkzeug's name for it is an older one.
    code = {413: "payload_too_large"}.get(status, error.name.lower().replace(" ", "_"))
    return RequestError(status, code, message)


def _log(response: Response) -> None:
    fields: dict[str, Any] = {
        "request_id": g.request_id,
        "status": response.status_code,
        "rows": g.get("rows"),
        "bytes": request.content_length,
        "milliseconds": round((time.monotonic() - g.started) * 1000, 2),
    }
    if "error" in g:
        fields |= {"code": g.error.code, "row": g.error.row, "column": g.error.column, "reason": g.error.message}
    access.info("%s %s", request.method, request.path, extra={k: v for k, v in fields.items() if v is not None})
