"""Bidirectional streaming: a WebSocket on gunicorn's gevent worker, and the user's generator that answers it.

wsproto knows the protocol, the event loop moves the bytes, and user code runs in an ordinary thread of its own: it
waits for messages in a queue that gevent has not touched, and costs nothing while it waits.
"""

from __future__ import annotations

import logging
import queue
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
from flask import Response
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool
from gunicorn.workers.base_async import ALREADY_HANDLED
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from byoc.serving.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from wsproto.events import Event

    Converse = Callable[[Iterator[str | bytes]], Iterator[str | bytes]]

log = logging.getLogger(__name__)

PATH = "/invocations-bidirectional-stream"
# Seconds: SageMaker's own limit; what a conversation that is to end has for its last messages; what the other side has
# to answer a Close.
LONGEST = 30 * 60.0
GRACE = 10.0
PATIENCE = 2.0
# Seconds between two looks whether user code has caught up with a client that sends faster than it listens.
PAUSE = 0.05
# Bytes that a Close frame has for words.
LONGEST_REASON = 123
# What of the request is the protocol's business; nginx and gunicorn have seen to the rest.
HANDSHAKE = ("connection", "upgrade", "sec-websocket-key", "sec-websocket-version")

_END: Any = object()
_open: set[Conversation] = set()


class Upgrade(Response):
    """The answer to a handshake; it is sent, in full, once the conversation has ended.

    Args:
        environ: the request.
        converse: takes an iterator over incoming messages, text as str and binary as bytes, and returns one over
            outgoing ones, each of which becomes one frame. It runs in a thread of its own.
        limit: bytes that an incoming message may have, and that may wait until they are taken.

    Raises:
        RequestError: 426 where the request asks for no WebSocket, 400 where it does in a wrong way.

    """

    def __init__(self, environ: Mapping[str, Any], converse: Converse, limit: int) -> None:
        super().__init__(status=101)
        self._protocol = _protocol(environ)
        self._converse = converse
        self._limit = limit

    def __call__(self, environ: Any, _start_response: Any) -> Any:
        """Hold the conversation on gunicorn's socket."""
        request_id = self.headers.get("X-Request-Id", "")
        Conversation(environ["gunicorn.socket"], self._protocol, self._limit, request_id).hold(self._converse)
        return ALREADY_HANDLED


def end_all(reason: str) -> None:
    """Have every conversation come to its end."""
    for conversation in tuple(_open):
        conversation.end_soon(reason)


class _GoneError(Exception):
    """The connection takes no more."""


class Conversation:
    """One connection, and two greenlets that work on it.

    One receives, answers pings and feeds the thread; the other draws messages from the thread and sends them.
    """

    def __init__(self, connected: socket.socket, protocol: WSConnection, limit: int, request_id: str) -> None:
        self._socket = connected
        self._protocol = protocol
        self._limit = limit
        self._request_id = request_id
        self._sending = BoundedSemaphore(1)
        self._inbox: queue.SimpleQueue[str | bytes] = queue.SimpleQueue()
        # Bytes put in by the event loop and taken out by the thread: a writer each, so that neither needs a lock.
        self._received = self._taken = 0
        self._message = bytearray()
        self._reader = gevent.Greenlet(self._receive)
        self._last = CloseConnection(CloseReason.NORMAL_CLOSURE)
        self._ending = False

    def hold(self, converse: Converse) -> None:
        """Talk until either side has had enough."""
        began = time.monotonic()
        timer = gevent.spawn_later(LONGEST, self.end_soon, f"{LONGEST / 60:g} minutes are over")
        _open.add(self)
        try:
            self._send(AcceptConnection(extra_headers=[(b"X-Request-Id", self._request_id.encode())]))
            self._reader.start()
            self._answer(converse)
        except _GoneError as error:
            log.debug("the other side went away: %s", error)
        finally:
            self._hang_up()
            timer.kill(block=False)
            _open.discard(self)
            told = {"request_id": self._request_id, "seconds": round(time.monotonic() - began, 3)}
            log.info("conversation ended", extra=told)

    def end_soon(self, reason: str) -> None:
        """Let the messages end, and some seconds later the connection, whatever user code does."""
        if not self._ending:
            self._ending = True
            self._last = CloseConnection(CloseReason.GOING_AWAY, reason)
            self._inbox.put(_END)
            gevent.spawn_later(GRACE, self._hang_up)

    # --- out

    def _answer(self, converse: Converse) -> None:
        """Send what user code yields, until it ends or the connection does."""
        thread = ThreadPool(1)
        answers = self._answers(converse)
        try:
            while (message := thread.apply(next, (answers, _END))) is not _END:
                self._send(_frame(message))
        except _GoneError:
            raise
        except Exception as error:
            log.exception("converse_fn failed", extra={"request_id": self._request_id})
            self._last = CloseConnection(CloseReason.INTERNAL_ERROR, f"{type(error).__name__}; the log has the cause")
        finally:
            self._inbox.put(_END)
            thread.apply(self._end, (answers,))
            thread.kill()

    def _send(self, event: Event) -> None:
        """Send an event whole: both greenlets do.

        Raises:
            _GoneError: the connection is closed, or about to be.

        """
        with self._sending:
            try:
                self._socket.sendall(self._protocol.send(event))
            except (OSError, LocalProtocolError) as error:
                raise _GoneError(error) from error

    def _hang_up(self) -> None:
        """Say goodbye, wait a moment for the same, and end the connection."""
        with suppress(_GoneError):
            self._close(self._last)
        self._reader.join(PATIENCE)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _close(self, event: CloseConnection) -> None:
        """Send a Close frame, the reason cut to its room, and let the messages end."""
        reason = (event.reason or "").encode()[:LONGEST_REASON].decode(errors="ignore")
        self._inbox.put(_END)
        self._send(CloseConnection(event.code, reason))

    # --- user code's thread

    def _answers(self, converse: Converse) -> Generator[str | bytes]:
        """Yield what user code does."""
        try:
            yield from converse(self._messages())
        except (Exception, GeneratorExit):
            raise
        except BaseException as error:
            # SystemExit and its like, raised again on the event loop, would end the worker.
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    def _messages(self) -> Iterator[str | bytes]:
        """Yield messages to user code."""
        while (message := self._inbox.get()) is not _END:
            self._taken += sys.getsizeof(message)
            yield message

    def _end(self, answers: Generator[str | bytes]) -> None:
        """Close the generator, wherever it stands."""
        try:
            answers.close()
        except Exception:
            log.exception("converse_fn failed while it was closed", extra={"request_id": self._request_id})

    # --- in

    def _receive(self) -> None:
        """Receive until the other side has said goodbye or is gone."""
        try:
            while self._protocol.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
                data = self._socket.recv(1 << 16)
                if not data:
                    break
                self._protocol.receive_data(data)
                for event in self._protocol.events():
                    self._take(event)
                while self._received - self._taken > self._limit and not self._ending:
                    gevent.sleep(PAUSE)
        except (OSError, _GoneError) as error:
            log.debug("the other side went away: %s", error)
        finally:
            # From here on nothing can be sent.
            self._protocol.receive_data(None)
            self._inbox.put(_END)

    def _take(self, event: Event) -> None:
        state = self._protocol.state
        if isinstance(event, CloseConnection) and state is not ConnectionState.CLOSED:
            # A Close to be answered or, while the connection is open, a breach of the protocol by the other side.
            self._close(event)
        elif state is ConnectionState.OPEN and isinstance(event, Ping):
            self._send(event.response())
        elif state is ConnectionState.OPEN and isinstance(event, TextMessage | BytesMessage):
            self._join(event)

    def _join(self, event: TextMessage | BytesMessage) -> None:
        """Put fragments together; a message that grows too large ends the conversation."""
        self._message += event.data.encode() if isinstance(event, TextMessage) else event.data
        if len(self._message) > self._limit:
            self._close(CloseConnection(CloseReason.MESSAGE_TOO_BIG, f"a message may have {self._limit} bytes"))
        elif event.message_finished:
            message = self._message.decode() if isinstance(event, TextMessage) else bytes(self._message)
            self._message.clear()
            self._received += sys.getsizeof(message)
            self._inbox.put(message)


def _protocol(environ: Mapping[str, Any]) -> WSConnection:
    """Return the protocol as it stands after the request, which is yet to be accepted."""
    if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
        raise RequestError(426, "upgrade_required", f"{PATH} speaks WebSocket: ask for it by Upgrade: websocket")
    values = {name: environ.get("HTTP_" + name.upper().replace("-", "_")) for name in HANDSHAKE}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in values.items() if value is not None]
    protocol = WSConnection(ConnectionType.SERVER)
    try:
        protocol.initiate_upgrade_connection([(b"host", b"localhost"), *headers], PATH)
    except RemoteProtocolError as error:
        raise RequestError(400, "bad_request", f"the WebSocket's handshake is not valid: {error}") from error
    next(protocol.events())
    return protocol


def _frame(message: Any) -> Event:
    if isinstance(message, str):
        return TextMessage(message)
    if isinstance(message, bytes | bytearray | memoryview):
        return BytesMessage(bytes(message))
    raise TypeError(f"converse_fn yielded {type(message).__name__}, not text or bytes")
