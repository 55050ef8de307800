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
from gunicorn.workers.ggevent import GeventWorker

from byoc import machine
from byoc.serving import access, connection, runtime
from byoc.serving.board import BEAT, Board, Slot

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from byoc.serving.invocations import Invocations
    from byoc.serving.service import Service

log = logging.getLogger(__name__)


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
        self.invocations = self.wsgi
        self.service = self.invocations.service
        # Without nginx, gunicorn has the whole of HTTP to deal with; with a limit of requests, it has to count them.
        self.is_lean = self.service.settings.use_nginx and self.max_requests == sys.maxsize
        access.write_together()
        machine.take_gpu(self.slot)
        if not self.service.handler.loaded:
            self.service.load()
        self.service.try_out()
        self.service.batcher.on_change = self.show
        # Whoever reads on the board that this worker is ready may ask it at once.
        runtime.open_door(self.door)
        self.show()
        gevent.spawn(self._beat)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection: POST /invocations in the lean way, any other request by gunicorn."""
        if not self.is_lean:
            super().handle(listener, client, addr)
            return
        client.setblocking(1)
        try:
            unread = connection.serve(client, self.invocations.respond, lambda: self.alive)
        except OSError as error:
            log.debug("the other side went away: %s", error)
            unread = b""
        if unread:
            super().handle(listener, connection.Replayed(client, unread), addr)
        else:
            client.close()

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
                from byoc.serving import websocket  # noqa: PLC0415 - imported by now where there are conversations

                websocket.end_all("the server is shutting down")
            gevent.sleep(BEAT)
        self.close_door()
        self.service.batcher.abandon("worker")
        access.flush()
        # The thread that is stuck would keep an ordinary exit waiting.
        os._exit(1)
