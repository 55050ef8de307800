"""The manager's HTTP: ``/models`` on a unix socket behind nginx, a thread for each request."""

from __future__ import annotations

import json
import logging
import socketserver
import time
import uuid
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from byoc.serving.errors import RequestError, bad_request

if TYPE_CHECKING:
    from pathlib import Path

    from byoc.serving.models.registry import Registry

log = logging.getLogger(__name__)
access = logging.getLogger("byoc.access")

PAGE = 100
LARGEST_PAGE = 10_000
# Bytes of a request's body: a name and a path.
LARGEST_BODY = 64 * 1024
# Seconds that nginx, which holds the whole request, may take to send it.
PATIENCE = 10.0


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens on a unix socket.

    Args:
        door: the socket to be made.
        registry: what its requests are about.

    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, door: Path, registry: Registry) -> None:
        super().__init__(str(door), Api)
        # nginx's worker may be nobody.
        door.chmod(0o666)
        self.registry = registry

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over a client that went away: nobody's error."""


class Api(BaseHTTPRequestHandler):
    """Answers one request."""

    timeout = PATIENCE
    server: Server

    def do_GET(self) -> None:
        """Answer any method."""
        started = time.monotonic()
        request_id = self.headers.get("X-Request-Id") or uuid.uuid4().hex
        told: RequestError | None = None
        try:
            body = json.dumps(self._answer()).encode() + b"\n"
        except RequestError as error:
            # Its traceback would hold this frame, and with it the model, until the garbage collector finds them.
            told = error.with_traceback(None)
        except Exception:
            log.exception("%s %s failed", self.command, self.path[:200], extra={"request_id": request_id})
            told = RequestError(500, "internal_error", "the request could not be handled; the log has the cause")
        if told is not None:
            body = told.body(request_id)
        self._send(told.status if told else 200, body, request_id, told)
        fields = {
            "request_id": request_id,
            "status": told.status if told else 200,
            "milliseconds": round((time.monotonic() - started) * 1000, 2),
        }
        if told is not None:
            fields |= {"code": told.code, "reason": told.message}
        access.info("%s %s", self.command, self.path[:200], extra=fields)

    do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = do_GET  # noqa: N815

    def send_error(self, *_: object) -> None:
        """Answer any other method, too, where the base class would by itself and in HTML."""
        self.do_GET()

    def _answer(self) -> Any:
        registry = self.server.registry
        path, _, query = self.path.partition("?")
        match [self.command, *map(unquote, path.split("/")[1:])]:
            case ["GET", "models"]:
                return registry.page(*_page(query))
            case ["POST", "models"]:
                return registry.load(*self._model())
            case ["GET", "models", name]:
                return registry.describe(name)
            case ["DELETE", "models", name]:
                return registry.unload(name)
            case [_, "models", name, "invoke"]:
                # nginx asks only when the model's own process did not answer.
                raise registry.explain(name)
            case [_, "models"] | [_, "models", _]:
                raise RequestError(405, "method_not_allowed", f"{path[:100]} does not take {self.command}")
        raise RequestError(
            404, "not_found", f"there is no {path[:100]} here: this server has many models; POST /models/NAME/invoke"
        )

    def _model(self) -> tuple[object, object]:
        """Return the name and the url in the body."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            raise RequestError(413, "payload_too_large", f"a model is described in at most {LARGEST_BODY} bytes")
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            raise bad_request('the body must be JSON: {"model_name": …, "url": …}')
        return asked.get("model_name"), asked.get("url")

    def _send(self, status: int, body: bytes, request_id: str, told: RequestError | None) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-Id", request_id)
        if status == 405:  # noqa: PLR2004
            self.send_header("Allow", "GET, DELETE" if self.path.count("/") > 1 else "GET, POST")
        if told is not None and told.retry_after is not None:
            self.send_header("Retry-After", str(told.retry_after))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _page(query: str) -> tuple[int, str]:
    """Return the limit and the token of a query."""
    given = parse_qs(query, keep_blank_values=True)
    limit = given.get("limit", [str(PAGE)])[-1]
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= LARGEST_PAGE):
        raise bad_request(f"limit must be a whole number from 1 to {LARGEST_PAGE}")
    return int(limit), given.get("next_page_token", [""])[-1]
