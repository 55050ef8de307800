"""The HTTP server: SageMaker's API and runtime are ours, the page is too, S3 and the rest are moto's."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug import Request, Response
from werkzeug.serving import BaseWSGIServer, make_server

from byoc_cli.emulator import logs
from byoc_cli.emulator.api import refusal
from byoc_cli.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from byoc_cli.emulator.emulator import Emulator

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
TARGETS = ("SageMaker.", "Emulator.")
RUNTIME = "/endpoints/"
PAGE = "/_byoc/"


class Handler(MotoRequestHandler):
    """Reads requests as moto does, keeps connections open, and logs none: they are the user's own."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any, **__: Any) -> None:
        """Say nothing."""


class Application:
    """The WSGI application.

    Args:
        emulator: does SageMaker's operations.
        runtime: answers what comes for endpoints.
        page: answers a browser.
    """

    def __init__(
        self, emulator: Emulator, runtime: Callable[[Request], Response], page: Callable[[Request], Response]
    ) -> None:
        self._emulator = emulator
        self._runtime = runtime
        self._page = page
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request by whose it is."""
        request = Request(environ)
        if _is_control(request):
            return self._emulator.api.answer(request)(environ, start_response)
        if request.headers.get("X-Amz-Target", "").startswith(logs.PREFIX):
            return self._emulator.logs.answer(request)(environ, start_response)
        if request.path.startswith(RUNTIME):
            return self._runtime(request)(environ, start_response)
        is_browser = request.path == "/" and "Authorization" not in request.headers and not request.query_string
        if request.path.startswith(PAGE) or is_browser:
            return self._page(request)(environ, start_response)
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer

    def for_containers(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a container by moto alone: what it runs may read and write S3, but start nothing on this machine."""
        request = Request(environ)
        if _is_control(request) or request.path.startswith((RUNTIME, PAGE)):
            message = "containers have the emulator's S3, not its SageMaker"
            return refusal(ApiError("AccessDeniedException", message, 403))(environ, start_response)
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer


def _is_control(request: Request) -> bool:
    return request.headers.get("X-Amz-Target", "").startswith(TARGETS)


def listen(port: int, application: WSGIApplication, host: str = HOST) -> BaseWSGIServer:
    """Return a server that listens; `serve_forever` answers, a thread for each connection.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    for name in ("werkzeug", "moto", "botocore", "boto3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with suppress(AttributeError):
        BaseWSGIServer.daemon_threads = True  # type: ignore[attr-defined]
    # Bound here: werkzeug itself would print an error and leave.
    with socket.create_server((host, port)) as listening:
        return make_server(host, port, application, threaded=True, request_handler=Handler, fd=listening.fileno())
