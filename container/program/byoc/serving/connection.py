"""A connection of nginx's, read without what nginx has done already.

gunicorn's parser takes nothing for granted and makes an environment of forty entries: more work than a small
prediction. But nginx checks every request, and writes it in one shape. So POST /invocations is read here, in that
shape, and answered with one write; whatever looks different goes to gunicorn, unread.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from byoc.serving.invocations import PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gevent.socket import socket

    Respond = Callable[[dict[str, Any]], tuple[str, list[tuple[str, str]], bytes | Iterable[bytes]]]

OURS = f"POST {PATH}".encode()
# What may follow the path: a query or the protocol.
NEXT = b" ?"
END = b"\r\n\r\n"
# Bytes received at a time, and those that a request's head may have: nginx allows no more than 32 KiB.
BLOCK, LARGEST_HEAD = 16 * 1024, 64 * 1024
# The two headers that WSGI has its own names for.
NAMES = {"CONTENT_TYPE", "CONTENT_LENGTH"}
CHUNKED = "Transfer-Encoding: chunked\r\n"


class Body:
    """What `wsgi.input` is: a request's body, of which some was received with its head."""

    def __init__(self, connected: socket, held: bytes, length: int) -> None:
        self._socket = connected
        self._held = held
        self._left = length

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most so many; b"" at the end.

        Raises:
            ConnectionError: the connection ended before the body did.

        """
        size = min(size, self._left)
        if self._held:
            found, self._held = self._held[:size], self._held[size:]
        else:
            found = self._socket.recv(size) if size else b""
            if size and not found:
                raise ConnectionError("the connection ended within a body")
        self._left -= len(found)
        return found

    def skip(self) -> None:
        """Read what is left of it, since the next request comes behind it."""
        while self._left:
            self.read(BLOCK)


def serve(connected: socket, respond: Respond, may_go_on: Callable[[], bool]) -> bytes:
    """Answer requests until the connection ends.

    Returns:
        What was received of a request that is none of ours, as far as it was; b"" where there is none.

    Raises:
        OSError: the other side is gone.

    """
    held = b""
    while True:
        while (end := held.find(END)) < 0:
            if not _may_be_ours(held) or len(held) > LARGEST_HEAD:
                return held
            block = connected.recv(BLOCK)
            if not block:
                return b""
            held += block
        environ = _environ(held[:end]) if _may_be_ours(held) else None
        if environ is None:
            return held
        start, length = end + len(END), int(environ["CONTENT_LENGTH"])
        body = Body(connected, held[start : start + length], length)
        environ["wsgi.input"], environ["gunicorn.socket"] = body, connected
        held = held[start + length :]
        send(connected, *respond(environ))
        body.skip()
        if not may_go_on():
            return b""


def _may_be_ours(held: bytes) -> bool:
    """Tell whether what was received so far may become a POST /invocations."""
    known = held[: len(OURS) + 1]
    return known[:-1] == OURS and known[-1] in NEXT if len(known) > len(OURS) else OURS.startswith(known)


def _environ(head: bytes) -> dict[str, Any] | None:
    """Return the WSGI environment of a request, as far as it is needed; None where its body has no length."""
    line, *fields = head.decode("latin-1").split("\r\n")
    _, target, protocol = line.split(" ", 2)
    environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "PATH_INFO": PATH, "QUERY_STRING": target.partition("?")[2]}
    for field in fields:
        name, _, value = field.partition(":")
        key, value = _key(name), value.strip()
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    is_plain = protocol == "HTTP/1.1" and "HTTP_TRANSFER_ENCODING" not in environ
    return environ if is_plain and environ.get("CONTENT_LENGTH", "").isdecimal() else None


@lru_cache(maxsize=256)
def _key(name: str) -> str:
    """Return WSGI's name of a header."""
    key = name.upper().replace("-", "_")
    return key if key in NAMES else f"HTTP_{key}"


def send(connected: socket, status: str, headers: list[tuple[str, str]], body: bytes | Iterable[bytes]) -> None:
    """Send an answer: with one write where it is whole, in chunks where its length is not known.

    Raises:
        OSError: the other side is gone.

    """
    head = "".join([f"HTTP/1.1 {status}\r\n", *[f"{name}: {value}\r\n" for name, value in headers]])
    if isinstance(body, bytes):
        whole = f"{head}\r\n".encode("latin-1") + body
        sent = connected.send(whole)
        if sent < len(whole):
            connected.sendall(whole[sent:])
    else:
        is_chunked = not any(name == "Content-Length" for name, _ in headers)
        try:
            connected.sendall(f"{head}{CHUNKED if is_chunked else ''}\r\n".encode("latin-1"))
            for piece in filter(None, body):
                connected.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            if is_chunked:
                connected.sendall(b"0\r\n\r\n")
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()


class Replayed:
    """A socket that gives back what was received from it before.

    Args:
        connected: the socket.
        received: what is to be received once more.

    """

    def __init__(self, connected: socket, received: bytes) -> None:
        self._socket = connected
        self._received = received

    def recv(self, size: int, *flags: int) -> bytes:
        """Receive, first what was received before."""
        if not self._received:
            return bytes(self._socket.recv(size, *flags))
        found, self._received = self._received[:size], self._received[size:]
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)
