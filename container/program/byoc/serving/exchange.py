"""One request on its way through the model: decoded, predicted and encoded, whole or piece by piece."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import gevent

from byoc.errors import RowError
from byoc.serving import formats, stream
from byoc.serving.call import Call
from byoc.serving.context import CONTENT_TYPE
from byoc.serving.errors import RequestError
from byoc.serving.formats import event_stream, json, score_table
from byoc.serving.invocation import Answer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from byoc.serving.formats import AnswerFormat, Decoder
    from byoc.serving.formats.records import Records
    from byoc.serving.invocation import Invocation
    from byoc.serving.service import Service

# Larger bodies are parsed in a thread, so that parsing them keeps no other request waiting.
PARSED_ON_LOOP = 64 * 1024
# Larger bodies are worked on in pieces, between which others have their turn: so many bytes of a body that can be cut,
# so many rows of one that cannot, which is refused beyond LARGEST_WHOLE.
PIECE = 256 * 1024
PIECE_ROWS = 4096
LARGEST_WHOLE = 100 << 20
# The same where the answer is sent as it comes.
SENT_PIECE = 64 * 1024
SENT_ROWS = 1024
# RFC 9110's token, and a value of one line.
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Exchange:
    """A request and what it becomes.

    Args:
        service: whose model answers.
        request: the client's.

    """

    def __init__(self, service: Service, request: Invocation) -> None:
        self._service = service
        self._settings = service.settings
        self._handler = service.handler
        self._request = request

    def answer(self, session: str = "") -> Answer:
        """Take the way that the handler, the body's size and the answer's type call for.

        Raises:
            RequestError, RowError: it cannot be answered.
            Exception: whatever the model raised.

        """
        request, handler = self._request, self._handler
        default = self._settings.default_accept or request.content_type or "text/csv"
        # Both before any work is done: what nobody can read, or accepts, need not be computed.
        output = None if handler.encodes else formats.encoder(request.accept, default)
        source = formats.decoder(request.content_type) if handler.decodes else None
        if source is None and handler.content_types:
            formats.check_type(request.content_type, handler.content_types)
        body, rest = _taken(request.blocks(self._settings.max_payload), PIECE)
        if source and output and handler.shares_calls:
            blocks: Iterable[bytes] = chain([body], rest)
            if output is event_stream:
                # nginx sends no more of a request once its answer has begun.
                blocks, _ = stream.collect(blocks)
                bodies = self._in_pieces(source, blocks, output, (SENT_PIECE, SENT_ROWS))
                return _sent(bodies, output.MEDIA_TYPE)
            if rest:
                bodies = self._in_pieces(source, blocks, output, (PIECE, PIECE_ROWS))
                sent, length = stream.collect(formats.joined(output, bodies))
                return Answer(sent, output.MEDIA_TYPE, length=length)
        if rest:
            body = _whole(chain([body], rest), LARGEST_WHOLE if source else self._settings.max_payload)
        call = Call(
            records=self._decode(source, body) if source else None,
            body=b"" if source else body,
            content_type=request.content_type,
            accept=default if request.accept in ("", "*/*") else request.accept,
            context=request.make_context(handler.properties) if handler.wants_context else None,
            session=self._service.sessions.use(session) if session else None,
        )
        return self._answered(call, output)

    def _answered(self, call: Call, output: AnswerFormat | None) -> Answer:
        """Predict, and encode what the handler has not."""
        request = self._request
        result = self._service.predict(call, request.timings, self._left())
        began = time.monotonic()
        if isinstance(result, Iterator):
            drawn = stream.draw(self._service.batcher, result, request.timings)
            answer = _sent(*stream.encode(drawn, request.accept, call.accept, self._settings.outputs))
        elif output is None:
            answer = _own(result, call.accept)
        else:
            answer = Answer(self._encoded(result, call.records, output), output.MEDIA_TYPE)
            request.timings.encode += time.monotonic() - began
        if call.context is not None:
            answer.status = call.context.status
            for name, value in _checked(call.context.response_headers).items():
                if name.lower() == CONTENT_TYPE.lower():
                    answer.media_type = value
                else:
                    answer.headers[name] = value
        return answer

    def _encoded(self, predictions: Any, records: Records | None, output: AnswerFormat) -> bytes:
        """Encode predictions; in H2O's form where the request was in it and JSON is what the client takes."""
        copied = None if records is None else records.copied
        if copied is not None and output.MEDIA_TYPE == json.MEDIA_TYPE:
            description = self._service.description
            if description.answers_fields or not copied.is_object:
                return score_table.encode(predictions, copied, description.id, description.outputs)
        return output.encode(predictions, self._settings.outputs)

    def _in_pieces(
        self,
        source: Decoder,
        blocks: Iterable[bytes],
        output: AnswerFormat,
        most: tuple[int, int],
    ) -> Generator[bytes]:
        """Decode, predict and encode one piece, of so many bytes or rows, after the other."""
        request = self._request
        for records in self._decoded(source, blocks, *most):
            # What is sent as it comes has the time-out for each piece, as what is waited for has it for all of them.
            within = None if output is event_stream else self._left()
            call = Call(records, b"", request.content_type, output.MEDIA_TYPE)
            predictions = self._service.predict(call, request.timings, within)
            began = time.monotonic()
            body = self._encoded(predictions, records, output)
            request.timings.encode += time.monotonic() - began
            yield body

    def _decoded(self, source: Decoder, blocks: Iterable[bytes], size: int, rows: int) -> Iterator[Records]:
        if source.divides:
            for piece, decoder in source.pieces(blocks, size, self._handler.schema):
                yield self._decode(decoder, piece)
        else:
            records = self._decode(source, _whole(blocks, LARGEST_WHOLE))
            yield from (records[start : start + rows] for start in range(0, len(records), rows))

    def _decode(self, source: Decoder, body: bytes) -> Records:
        """Decode a body, or a piece of one; rows are counted over all pieces."""
        request, began = self._request, time.monotonic()
        before = request.rows or 0
        arguments = (body, self._handler.schema)
        try:
            if len(body) <= PARSED_ON_LOOP:
                records = source.decode(*arguments)
            else:
                records = gevent.get_hub().threadpool.apply(source.decode, arguments)
        except RowError as error:
            raise RowError(error.message, error.row and error.row + before, error.column) from None
        except RequestError as error:
            error.row = error.row and error.row + before
            raise
        request.rows = before + len(records)
        request.timings.decode += time.monotonic() - began
        return records

    def _left(self) -> float:
        """Return the seconds until the request's deadline."""
        return self._settings.deadline - (time.monotonic() - self._request.started)


def _checked(headers: dict[str, str]) -> dict[str, str]:
    """Return a handler's own headers.

    Raises:
        ValueError: one of them would end its line, or has a name that is none.

    """
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"{name!r} cannot be a header of the answer with this value")
    return headers


def _taken(blocks: Iterator[bytes], most: int) -> tuple[bytes, Iterator[bytes] | tuple[()]]:
    """Return the beginning of a body, up to so many bytes, and what is left of it: () where that is nothing."""
    taken = next(blocks, b"")
    for block in blocks:
        taken += block
        if len(taken) > most:
            return taken, blocks
    return taken, ()


def _whole(blocks: Iterable[bytes], limit: int) -> bytes:
    """Return all of a body that cannot be cut.

    Raises:
        RequestError: 413, it is too large to be held.

    """
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) > limit:
            message = (
                f"a body of more than {limit >> 20} MB must be text/csv or application/jsonlines, which can be cut"
            )
            raise RequestError(413, "payload_too_large", message)
    return bytes(held)


def _sent(pieces: Generator[bytes], media_type: str) -> Answer:
    return Answer(stream.Pieces(pieces), media_type)


def _own(result: Any, accept: str) -> Answer:
    """Take what output_fn returned: a body, or a body and its media type."""
    body, media_type = result if isinstance(result, tuple) else (result, accept)
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"output_fn returned {type(body).__name__}, not text or bytes")
    return Answer(bytes(body), media_type)
