"""An answer that comes piece by piece, read as it arrives."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from byoc_cli.doctor.check import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from byoc_cli.doctor.address import Address

EVENTS = "text/event-stream"


class Stream:
    """A request whose answer is read while the request may still be on its way; to be used in a with-block.

    Args:
        server: whom to ask.
        body: sent with its length, in a thread.
        headers: the request's.
        slow: leave what is not read yet to the server, as far as a client can.

    Attributes:
        status: the answer's.
        chunked: whether it has no length.
        is_events: whether it is of server-sent events.
        pieces: what was read, each with the seconds from the request's beginning to its arrival.
        ended: whether the answer was read to its end.

    Raises:
        Failed: there is no answer.
    """

    def __init__(self, server: Address, body: bytes, headers: Mapping[str, str], *, slow: bool = False) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.ended = False
        self._began = time.monotonic()
        self._connection = server.connect(30)
        try:
            self._connection.connect()
            if slow:
                self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
            self._connection.putrequest("POST", "/invocations")
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self._connection.putheader(name, value)
            self._connection.endheaders()
            threading.Thread(target=self._send, args=(body,), daemon=True).start()
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Failed(f"no answer after {self.seconds:.1f} s: {type(error).__name__}: {error}") from error
        self.status = self._response.status
        self.chunked = bool(self._response.chunked)
        self.is_events = self._response.getheader("Content-Type", "").startswith(EVENTS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()

    def _send(self, body: bytes) -> None:
        # Who closes the connection, either side, need not have read all.
        with suppress(OSError, AttributeError):
            self._connection.sock.sendall(body)

    @property
    def seconds(self) -> float:
        """How long ago the request began."""
        return time.monotonic() - self._began

    def read(self, size: int = 1 << 16) -> Iterator[float]:
        """Read piece by piece, at most so many bytes each; yield the seconds after each.

        Raises:
            Failed: the connection was cut.
        """
        while True:
            try:
                data = self._response.read1(size)
            except (OSError, http.client.HTTPException) as error:
                told = f"the stream was cut after {self.seconds:.1f} s and {len(self.body)} bytes"
                raise Failed(f"{told}: {type(error).__name__}") from error
            if not data:
                self.ended = True
                return
            self.pieces.append((self.seconds, data))
            yield self.seconds

    @property
    def body(self) -> bytes:
        """All that was read."""
        return b"".join(data for _, data in self.pieces)

    @property
    def error(self) -> Any:
        """The error that its last line, or last event, tells; None where that is something else."""
        lines = [line for line in self.body[-4096:].decode(errors="replace").splitlines() if line.strip()]
        if self.is_events:
            lines = [line.removeprefix("data:") for line in lines if line.startswith("data:")]
        try:
            last = json.loads(lines[-1])
        except (IndexError, ValueError):
            return None
        return last.get("error") if isinstance(last, dict) else None
