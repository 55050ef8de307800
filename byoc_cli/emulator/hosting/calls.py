"""Calls of containers: a connection for each, a time for the whole, the answer in pieces as they come."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

PIECE = 64 << 10


class CallError(Exception):
    """A call without a whole answer; `ContainerError` tells the caller of it.

    Args:
        message: why.
        timed_out: whether it took too long.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class ContainerError(Exception):
    """A container that did not do what it was asked, which the caller is told as ModelError.

    Args:
        name: of the container.
        status: that it answered; 0 where it did not.
        body: that it answered, or why there is none.
        timed_out: whether it took too long.
    """

    def __init__(self, name: str, status: int, body: bytes, *, timed_out: bool = False) -> None:
        super().__init__(f"{name}: {status}")
        self.name = name
        self.status = status
        self.body = body
        self.timed_out = timed_out


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        status: HTTP's.
        headers: by their names in small letters.
        body: all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Call:
    """A call whose answer has begun; closed at the end of a with-block.

    Args:
        url: where the container listens.
        method: HTTP's.
        path: of the request.
        body: bytes, or pieces that are sent in chunks.
        headers: of the request.
        seconds: that all of it may take.

    Attributes:
        status: HTTP's.
        headers: the answer's, by their names in small letters.

    Raises:
        CallError: there is no answer.
    """

    def __init__(
        self,
        url: str,
        method: str,
        path: str,
        body: bytes | Iterable[bytes],
        headers: Mapping[str, str],
        seconds: float,
    ) -> None:
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=max(0.01, seconds))
        try:
            self._response = self._send(method, path, body, headers)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, OSError | HTTPException):
                raise self._failed(error) from error
            raise
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()
        self._connection.close()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes.

        Raises:
            CallError: it broke off, or the time is over.
        """
        try:
            while piece := self._response.read1(PIECE):
                yield piece
                self._set_time()
            # What was announced and never came, read1 does not miss.
            if self._response.length:
                raise CallError("the answer broke off before its end")
        except (OSError, HTTPException) as error:
            raise self._failed(error) from error

    def read(self) -> bytes:
        """Return the whole body.

        Raises:
            CallError: as above.
        """
        return b"".join(self.pieces())

    def _send(self, method: str, path: str, body: bytes | Iterable[bytes], headers: Mapping[str, str]) -> HTTPResponse:
        self._connection.connect()
        # The response may take the socket over; its time is still to be set.
        self._socket = self._connection.sock
        sized = ("Content-Length", str(len(body))) if isinstance(body, bytes) else ("Transfer-Encoding", "chunked")
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (*headers.items(), sized):
            self._connection.putheader(name, value.encode("utf-8"))
        # A container that refuses a large body may answer before it has read it.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.endheaders(body, encode_chunked=not isinstance(body, bytes))
        self._set_time()
        return self._connection.getresponse()

    def _set_time(self) -> None:
        if self._is_over():
            return
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _is_over(self) -> bool:
        """Whether the answer was read to its end; its socket is closed then."""
        return hasattr(self, "_response") and self._response.isclosed()

    def _failed(self, error: Exception) -> CallError:
        if isinstance(error, TimeoutError):
            return CallError(f"no whole answer came within {self._seconds:g} s", timed_out=True)
        return CallError(f"the connection broke: {error or type(error).__name__}")


def call(
    url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, seconds: float = 60
) -> Answer:
    """Call a container and return its whole answer.

    Raises:
        CallError: there is none.
    """
    with Call(url, method, path, body, headers or {}, seconds) as made:
        return Answer(made.status, made.headers, made.read())
