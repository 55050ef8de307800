"""gunicorn's worker: its gevent one, except that the standard library stays as it is.

gevent's usual patching would turn the threads and sockets of user code, scikit-learn and PyTorch into greenlets. Here
only the server itself runs on gevent's loop; models run in ordinary threads and meet an ordinary Python.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import gevent
from gevent import socket
from gunicorn.workers.ggevent import GeventWorker

from byoc.serving import runtime
from byoc.serving.board import BEAT, Board, Slot

if TYPE_CHECKING:
    from byoc.serving.app import Service

log = logging.getLogger(__name__)

# Time for the last answers to leave before a stuck worker ends.
FAREWELL = 0.5


class Worker(GeventWorker):  # type: ignore[misc]
    """A worker that tells the notice board how it does, and ends itself when a prediction never returns."""

    board: Board
    sockets: list[Any]
    listeners: int
    slot: int
    service: Service

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
        self.service = self.wsgi.extensions["service"]
        if not self.service.handler.loaded:
            self.service.load()
        self.service.batcher.on_change = self.show
        self.show()
        runtime.open_door(self.door)
        gevent.spawn(self._beat)

    def show(self) -> None:
        """Write this worker's state to the notice board."""
        batcher = self.service.batcher
        self.board.write(self.slot, Slot(self.pid, True, time.monotonic(), batcher.busy_since, batcher.failures))

    def _beat(self) -> None:
        while not self.service.batcher.is_stuck:
            self.show()
            gevent.sleep(BEAT)
        seconds = time.monotonic() - self.service.batcher.busy_since
        log.error("a prediction has been running for %.0f s and cannot be interrupted; replacing this worker", seconds)
        self.close_door()
        self.service.batcher.abandon()
        gevent.sleep(FAREWELL)
        # The thread that is stuck would keep an ordinary exit waiting.
        os._exit(1)
