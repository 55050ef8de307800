"""A WebSocket's client: wsproto on a plain socket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from byoc_cli.doctor.address import LOCALHOST
from byoc_cli.doctor.check import Failed

if TYPE_CHECKING:
    from wsproto.events import Event

    from byoc_cli.doctor.address import Address

PATH = "/invocations-bidirectional-stream"


class WebSocket:
    """A connection to the path of bidirectional streams; to be used in a with-block.

    Attributes:
        status: 101 where the server took the handshake, else the status with which it was refused.

    Raises:
        Failed: there was no answer.
    """

    def __init__(self, server: Address, timeout: float = 10) -> None:
        connection = server.connect(timeout)
        try:
            connection.connect()
        except OSError as error:
            raise Failed(f"no connection: {error}") from error
        self._socket = connection.sock
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._waiting: list[Event] = []
        self.send(Request(host=LOCALHOST, target=PATH))
        answer = self.receive()
        self.status = 101 if isinstance(answer, AcceptConnection) else getattr(answer, "status_code", 0)
        if not isinstance(answer, AcceptConnection | RejectConnection):
            raise Failed(f"the handshake was answered by {answer}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *events: Event) -> None:
        """Send events.

        Raises:
            Failed: the connection is closed.
        """
        try:
            self._socket.sendall(b"".join(self._protocol.send(event) for event in events))
        except (OSError, ProtocolError) as error:
            raise Failed(f"the connection was closed: {error}") from error

    def receive(self) -> Event:
        """Return the next event.

        Raises:
            Failed: none came in time, or the other side broke the protocol.
        """
        while not self._waiting:
            try:
                self._protocol.receive_data(self._socket.recv(1 << 16) or None)
                self._waiting += self._protocol.events()
            except TimeoutError as error:
                raise Failed(f"nothing came within {self._socket.gettimeout():.0f} s") from error
            except (OSError, ProtocolError) as error:
                raise Failed(f"{type(error).__name__}: {error}") from error
        return self._waiting.pop(0)

    def ping(self, payload: bytes) -> None:
        """Send a Ping and wait for its Pong.

        Raises:
            Failed: something else came, or nothing.
        """
        self.send(Ping(payload))
        answer = self.receive()
        if answer != Pong(payload):
            raise Failed(f"a Ping was answered by {answer}")

    def tell(self, *fragments: str) -> list[str | bytes]:
        """Send a text, in fragments where there are several, and return what comes until a second is quiet.

        Raises:
            Failed: nothing came, or the other side closed.
        """
        last = len(fragments) - 1
        for place, fragment in enumerate(fragments):
            self.send(TextMessage(fragment, message_finished=place == last))
        return [self._message(), *self._more()]

    def _message(self) -> str | bytes:
        """Return one frame, which may come in parts."""
        parts = []
        while True:
            event = self.receive()
            if isinstance(event, CloseConnection):
                raise Failed(f"the server closed with {int(event.code)}: {event.reason or ''}")
            if isinstance(event, TextMessage | BytesMessage):
                parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.frame_finished:
                    return "".join(parts) if isinstance(parts[0], str) else b"".join(parts)  # type: ignore[arg-type]

    def _more(self) -> list[str | bytes]:
        timeout, more = self._socket.gettimeout(), []
        self._socket.settimeout(1)
        end = time.monotonic() + 1
        try:
            while time.monotonic() < end:
                more.append(self._message())
        except Failed:
            pass
        finally:
            self._socket.settimeout(timeout)
        return more
