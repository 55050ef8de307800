"""Bodies in pieces: collected where their end has to be waited for, or sent as they come."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import gevent

from byoc.serving import formats
from byoc.serving.errors import RequestError
from byoc.serving.formats import csv, event_stream, jsonlines

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from byoc.serving.batcher import Batcher, Timings

# Seconds that an answer in pieces may take: SageMaker cuts it after eight minutes.
LONGEST = 480.0
# Bytes of a collected body that are kept in memory; more go to a file.
IN_MEMORY = 8 << 20
BLOCK = 256 * 1024
TEXT = "text/plain; charset=utf-8"
END = object()


def collect(bodies: Iterable[bytes]) -> tuple[Iterator[bytes], int]:
    """Wait for all pieces of an answer, or of a request; return them, and the sum of their bytes.

    So an error in the last of them is still told by the status, and memory stays bounded.
    """
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed when it has been sent
    try:
        for body in bodies:
            file.write(body)
    except BaseException:
        file.close()
        raise
    length = file.tell()
    file.seek(0)
    return _read_out(file), length


def _read_out(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(BLOCK):
            yield block


class Pieces:
    """An answer that is sent as it comes; the first piece is waited for, so that what fails at once has a status."""

    def __init__(self, pieces: Generator[bytes]) -> None:
        self._until = time.monotonic() + LONGEST
        self._pieces = pieces
        self._first = next(pieces, b"")

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        for piece in self._pieces:
            yield piece
            if time.monotonic() > self._until:
                raise RequestError(504, "prediction_timeout", f"the answer took longer than {LONGEST:.0f} s")

    def close(self) -> None:
        """End what makes the pieces: the client has them all, or is gone."""
        self._pieces.close()


def draw(batcher: Batcher, yielded: Iterator[Any], timings: Timings) -> Generator[Any]:
    """Yield what the user's generator does, which runs in the model's thread and takes turns with other requests."""
    try:
        while (piece := batcher.run(partial(next, yielded, END), timings)) is not END:
            yield piece
    finally:
        close = getattr(yielded, "close", None)
        if close is not None:
            # Its own turn may be long in coming, and nobody waits for it.
            gevent.spawn(batcher.run, close)


def encode(yielded: Generator[Any], accept: str, default: str, outputs: Sequence[str]) -> tuple[Generator[bytes], str]:
    """Return a user's pieces as bytes, and their media type.

    Text and bytes are sent as they are, in the type that was asked for; other values as JSON, a line each, or as CSV
    or events where those were.
    """
    first = next(yielded, b"")
    if isinstance(first, str | bytes) and accept != event_stream.MEDIA_TYPE:
        media_type = TEXT if accept in ("", "*/*") else accept
        return _chain(first, yielded, _as_is), media_type
    asked = default if accept in ("", "*/*") else accept
    output = next((each for each in (csv, event_stream) if formats.media_type(asked)[0] == each.MEDIA_TYPE), jsonlines)

    def one(value: Any) -> bytes:
        if isinstance(value, str | bytes):
            return event_stream.event(_as_is(value))
        return bytes(output.encode([value], outputs))

    return _chain(first, yielded, one), output.MEDIA_TYPE


def _chain(first: Any, rest: Generator[Any], encode_one: Callable[[Any], bytes]) -> Generator[bytes]:
    try:
        yield encode_one(first)
        for value in rest:
            yield encode_one(value)
    finally:
        rest.close()


def _as_is(value: Any) -> bytes:
    """Return text as UTF-8, and bytes as they are.

    Raises:
        TypeError: it is neither.

    """
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"a piece of the answer is {type(value).__name__}, not text or bytes as those before it")
