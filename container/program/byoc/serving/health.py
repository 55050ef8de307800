"""The health check's own way: a small socket, answered from the notice board by a thread of the supervisor.

No prediction, batch or large body can stand before it, and still it tells the truth about the workers.
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoc.serving.board import Board

# Seconds past its deadline that a prediction may last before its worker counts as lost; it is replaced meanwhile.
LENIENCE = 5.0
# Seconds that a connection may take to send its request.
PATIENCE = 2.0
LONGEST_LINE = 64 * 1024


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

    class Ping(socketserver.StreamRequestHandler):
        timeout = PATIENCE

        def handle(self) -> None:
            """Answer one request; its path, and what nginx says in its headers, make no difference."""
            method, *_ = self.rfile.readline(LONGEST_LINE).split(b" ", 1)
            while self.rfile.readline(LONGEST_LINE).strip():
                pass
            if method in (b"GET", b"HEAD", b"POST"):
                why = reason()
                self._answer("503 Service Unavailable" if why else "200 OK", "not_ready", why, method)
            elif method:
                message = "/ping takes GET, HEAD and POST"
                self._answer("405 Method Not Allowed", "method_not_allowed", message, method)

        def _answer(self, status: str, code: str, message: str, method: bytes) -> None:
            body = json.dumps({"error": {"code": code, "message": message}}).encode() + b"\n" if message else b""
            head = f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + (b"" if method == b"HEAD" else body))

    class Server(socketserver.UnixStreamServer):
        request_queue_size = 512

        def handle_error(self, request: object, client_address: object) -> None:
            """Pass over a client that went away: nobody's error."""

    server = Server(str(socket), Ping)
    socket.chmod(0o666)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
