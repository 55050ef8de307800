"""gunicorn's worker: its gevent one, except that the standard library stays as it is.

gevent's usual patching would turn the threads and sockets of user code, scikit-learn and PyTorch into greenlets. Here
only the server itself runs on gevent's loop; models run in ordinary threads and meet an ordinary Python.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import gevent
from gevent import socket
from gunicorn.http.wsgi import Response
from gunicorn.workers.ggevent import GeventWorker

from byoc.serving import access, runtime, websocket
from byoc.serving.board import BEAT, Board, Slot
from byoc.serving.invocations import PATH, Invocations

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from byoc.serving.service import Service

log = logging.getLogger(__name__)

# The two headers that WSGI has its own names for.
NAMES = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}
# Headers of an answer without any of a handler's own.
OWN_HEADERS = 3
# Time for the last answers to leave before a stuck worker ends.
FAREWELL = 0.5


class Worker(GeventWorker):  # type: ignore[misc]
    """A worker that tells the notice board how it does, and ends itself when a prediction never returns."""

    board: Board
    sockets: list[Any]
    listeners: int
    slot: int
    service: Service
    invocations: Invocations
    is_lean: bool

    def patch(self) -> None:
        """Keep only this worker's listening socket, and make it gevent's."""
        own = self.sockets[self.door]
        self.sockets = [socket.socket(own.FAMILY, socket.SOCK_STREAM, fileno=own.sock.detach())]

    @property
    def door(self) -> int:
        """The number of this worker's socket; as many as there are workers at a time, so each has its own."""
        return self.slot % self.listeners

    def close_door(self) -> None:
        """Have nginx send requests to others."""
        runtime.close_door(self.door)

    def begin(self) -> None:
        """Load the model where it could not be shared, and show readiness; gunicorn's post_worker_init calls this."""
        self.service, self.invocations = self.wsgi.extensions["service"], self.wsgi.wsgi_app
        # Without nginx, gunicorn has the whole of HTTP to deal with; with a limit of requests, it has to count them.
        self.is_lean = self.service.settings.use_nginx and self.max_requests == sys.maxsize
        access.write_together()
        if not self.service.handler.loaded:
            self.service.load()
        self.service.batcher.on_change = self.show
        self.show()
        runtime.open_door(self.door)
        gevent.spawn(self._beat)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Answer a request: the one route that is under load with one write, and without what it does not need.

        gunicorn's own way makes an environment of forty entries, asks its configuration two dozen times, and writes
        headers and body one after the other: more work than a small prediction.
        """
        if req.path != PATH or req.method != "POST" or not self.is_lean:
            return super().handle_request(listener_name, req, sock, addr)
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": PATH, "QUERY_STRING": req.query}
        for name, value in req.headers:
            key = NAMES.get(name) or f"HTTP_{name.replace('-', '_')}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        environ |= {"wsgi.input": req.body, "wsgi.input_terminated": True, "gunicorn.socket": sock}
        status, headers, body = self.invocations.respond(environ)
        if isinstance(body, bytes) and len(headers) == OWN_HEADERS:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
            sock.sendall(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body)
        else:
            self._write(Response(req, sock, self.cfg), status, headers, [body] if isinstance(body, bytes) else body)
        if req.should_close() or not self.alive:
            raise StopIteration
        return True

    @staticmethod
    def _write(response: Response, status: str, headers: list[tuple[str, str]], pieces: Iterable[bytes]) -> None:
        """Write an answer by gunicorn, which checks a handler's own headers and makes chunks of pieces."""
        try:
            response.start_response(status, headers)
            for piece in pieces:
                response.write(piece)
            response.close()
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def timeout_ctx(self) -> AbstractContextManager[object]:
        """Return the limit of an idle connection: nginx closes those itself."""
        return nullcontext() if self.is_lean else super().timeout_ctx()

    def is_already_handled(self, answer: Any) -> bool:
        """End the connection after a conversation: what might still come on it is no request."""
        if super().is_already_handled(answer):
            raise StopIteration
        return False

    def show(self) -> None:
        """Write this worker's state to the notice board."""
        batcher = self.service.batcher
        self.board.write(self.slot, Slot(self.pid, True, time.monotonic(), batcher.busy_since, batcher.failures))

    def _beat(self) -> None:
        while not self.service.batcher.is_stuck:
            self.show()
            if runtime.is_stopping() or not self.alive:
                websocket.end_all("the server is shutting down")
            gevent.sleep(BEAT)
        seconds = time.monotonic() - self.service.batcher.busy_since
        log.error("a prediction has been running for %.0f s and cannot be interrupted; replacing this worker", seconds)
        self.close_door()
        self.service.batcher.abandon()
        gevent.sleep(FAREWELL)
        access.flush()
        # The thread that is stuck would keep an ordinary exit waiting.
        os._exit(1)
