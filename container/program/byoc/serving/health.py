"""The health check's own way: a small socket, answered from the notice board by a thread of the supervisor.

No prediction, batch or large body can stand before it, and still it tells the truth about the workers.
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoc.serving.board import Board

# Seconds past its deadline that a prediction may last before its worker counts as lost; it is replaced meanwhile.
LENIENCE = 5.0
# Seconds that a connection may take to send its request.
PATIENCE = 2.0


def explain(board: Board, deadline: float, most_failures: int = 0) -> str:
    """Return why this container cannot take requests, "" if it can: at least one worker is able to.

    Args:
        board: what the workers say of themselves.
        deadline: seconds that a prediction may take.
        most_failures: predictions that may fail one after the other by the model's fault; 0 is any number.

    """
    now = time.monotonic()
    workers = board.workers()
    able = [worker for worker in workers if worker.is_able(deadline + LENIENCE, now)]
    if able and most_failures and all(worker.failures >= most_failures for worker in able):
        return f"the last {most_failures} predictions of every worker failed; the log has the causes"
    if able:
        return ""
    if any(worker.ready for worker in workers):
        return "every worker is stuck"
    return "the workers are being replaced" if board.counts()[2] else "the model is loading"


def answer_in_background(socket: Path, reason: Callable[[], str]) -> None:
    """Answer GET, HEAD and POST on a unix socket: 200 without a body while ``reason()`` is "", else 503 and why."""

    class Ping(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            why = reason()
            self._answer(503 if why else 200, "not_ready", why)

        do_HEAD = do_POST = do_GET  # noqa: N815

        def send_error(self, *_: object) -> None:
            """Answer in JSON where the base class, which knows no other methods, would in HTML."""
            self._answer(405, "method_not_allowed", "/ping takes GET, HEAD and POST")

        def _answer(self, status: int, code: str, message: str) -> None:
            body = json.dumps({"error": {"code": code, "message": message}}).encode() + b"\n" if message else b""
            self.send_response_only(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if body and self.command != "HEAD":
                self.wfile.write(body)

    class Server(socketserver.UnixStreamServer):
        request_queue_size = 512

        def handle_error(self, request: object, client_address: object) -> None:
            """Pass over a client that went away: nobody's error."""

    server = Server(str(socket), Ping)
    socket.chmod(0o666)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
