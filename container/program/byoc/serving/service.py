"""A loaded model with its queue: what a worker holds once, and every request to the model goes through."""

from __future__ import annotations

import gc
import logging
import re
import time
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from byoc.errors import RowError
from byoc.serving import formats, runtime, sessions, stream
from byoc.serving.batcher import Batcher
from byoc.serving.context import CONTENT_TYPE
from byoc.serving.description import Description
from byoc.serving.errors import RequestError
from byoc.serving.formats import csv, event_stream, json, score_table
from byoc.serving.formats.records import Records
from byoc.serving.handler import Call
from byoc.serving.invocation import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from byoc.serving.formats import AnswerFormat, Decoder
    from byoc.serving.handler import Handler
    from byoc.serving.invocation import Invocation
    from byoc.serving.settings import Settings

log = logging.getLogger(__name__)

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
# Rows of the largest call that is tried out before the first request, and how often each size is.
MOST_TRIED, TRIES = 128, 2


class Service:
    """Answers requests.

    Args:
        settings: limits and defaults.
        find_handler: imports the user's code when it is first needed, which may be after the fork.
        no_memory: what a MemoryError of a prediction's is told as.

    """

    def __init__(
        self,
        settings: Settings,
        find_handler: Callable[[], Handler],
        no_memory: Callable[[], Exception] | None = None,
    ) -> None:
        self.settings = settings
        self._find_handler = find_handler
        self._no_memory = no_memory

    @cached_property
    def handler(self) -> Handler:
        """The user's functions.

        Raises:
            UserError: there are none that could answer.

        """
        return self._find_handler()

    def load(self) -> None:
        """Load the model, and take what there is out of the garbage collector's sight.

        Frozen objects are not touched by collections, so that forked workers go on sharing their pages.

        Raises:
            UserError: the model cannot be loaded.

        """
        started = time.monotonic()
        self.handler.load(self.settings.model_dir)
        gc.freeze()
        log.info("model loaded from %s in %.1f s", self.settings.model_dir, time.monotonic() - started)

    def try_out(self) -> None:
        """Let the batcher find out how long calls take that may run on the event loop; they are made-up rows."""
        handler = self.handler
        if handler.pure and handler.shares_calls and handler.schema is not None:
            rows = Records(handler.schema.sample(MOST_TRIED), schema=handler.schema)
            for count in sorted(2**power for power in range(MOST_TRIED.bit_length()) for _ in range(TRIES)):
                self.batcher.try_out(Call(rows[:count], b"", csv.MEDIA_TYPE, csv.MEDIA_TYPE), count)

    @cached_property
    def batcher(self) -> Batcher:
        """The queue in front of the model; its thread belongs to the process, so it is made after the fork."""
        settings = self.settings
        return Batcher(
            self.handler.predict,
            queue=settings.queue,
            batch_rows=settings.batch_rows,
            deadline=settings.deadline,
            pure=self.handler.pure is True,
        )

    @cached_property
    def description(self) -> Description:
        """What is told of the model; made once it is loaded."""
        return Description(self.handler.model, self.handler.schema)

    @cached_property
    def sessions(self) -> sessions.Sessions:
        """The stateful sessions, which all workers share."""
        folder = self.settings.session_folder
        return sessions.Sessions(
            Path(folder) if folder else runtime.folder() / "sessions", self.settings.session_lifetime
        )

    def answer(self, request: Invocation) -> Answer:
        """Answer a request.

        Raises:
            RequestError, RowError: it cannot be answered.
            Exception: whatever the model raised.

        """
        session = request.environ.get("HTTP_X_AMZN_SAGEMAKER_SESSION_ID")
        return self._invoke(request) if session is None else self._in_session(request, session)

    def _in_session(self, request: Invocation, session: str) -> Answer:
        """Open, use or close a stateful session."""
        if not self.settings.sessions:
            message = "stateful sessions are off; SAGEMAKER_ENABLE_STATEFUL_SESSIONS=true turns them on"
            raise RequestError(400, "sessions_off", message)
        wanted = sessions.request_type(request.whole(self.settings.max_payload))
        if wanted == sessions.CLOSE:
            self.sessions.close(session)
            return Answer(b"", "application/json", headers={sessions.CLOSED: session})
        if session != sessions.NEW:
            return self._invoke(request, session)
        session, told = self.sessions.open()
        answer = Answer(b"", "application/json") if wanted == sessions.NEW else self._invoke(request, session)
        answer.headers[sessions.OPENED] = told
        return answer

    def _invoke(self, request: Invocation, session: str = "") -> Answer:
        """Take the way that the handler, the body's size and the answer's type call for."""
        handler = self.handler
        default = self.settings.default_accept or request.content_type or "text/csv"
        # Both before any work is done: what nobody can read, or accepts, need not be computed.
        output = None if handler.encodes else formats.encoder(request.accept, default)
        source = formats.decoder(request.content_type) if handler.decodes else None
        if source is None and handler.content_types:
            formats.check_type(request.content_type, handler.content_types)
        body, rest = _taken(request.blocks(self.settings.max_payload), PIECE)
        if source and output and handler.shares_calls:
            blocks: Iterable[bytes] = chain([body], rest)
            if output is event_stream:
                # nginx sends no more of a request once its answer has begun.
                blocks, _ = stream.collect(blocks)
                bodies = self._in_pieces(request, source, blocks, output, (SENT_PIECE, SENT_ROWS))
                return _sent(bodies, output.MEDIA_TYPE)
            if rest:
                bodies = self._in_pieces(request, source, blocks, output, (PIECE, PIECE_ROWS))
                sent, length = stream.collect(formats.joined(output, bodies))
                return Answer(sent, output.MEDIA_TYPE, length=length)
        if rest:
            body = _whole(chain([body], rest), LARGEST_WHOLE if source else self.settings.max_payload)
        call = Call(
            records=self._decode(request, source, body) if source else None,
            body=b"" if source else body,
            content_type=request.content_type,
            accept=default if request.accept in ("", "*/*") else request.accept,
            context=request.make_context(handler.properties) if handler.wants_context else None,
            session=self.sessions.use(session) if session else None,
        )
        return self._answered(request, call, output)

    def _answered(self, request: Invocation, call: Call, output: AnswerFormat | None) -> Answer:
        """Predict, and encode what the handler has not."""
        result = self._predict(request, call, self._left(request))
        began = time.monotonic()
        if isinstance(result, Iterator):
            drawn = stream.draw(self.batcher, result, request.timings)
            answer = _sent(*stream.encode(drawn, request.accept, call.accept, self.settings.outputs))
        elif output is None:
            answer = _own(result, call.accept)
        else:
            answer = Answer(self._encoded(result, call.records, output), output.MEDIA_TYPE)
            request.timings.encode += time.monotonic() - began
        if call.context is not None:
            answer.status = call.context.status
            answer.headers |= _checked(call.context.response_headers)
            answer.media_type = answer.headers.pop(CONTENT_TYPE, answer.media_type)
        return answer

    def _encoded(self, predictions: Any, records: Records | None, output: AnswerFormat) -> bytes:
        """Encode predictions; in H2O's form where the request was in it and JSON is what the client takes."""
        copied = None if records is None else records.copied
        if copied is not None and output.MEDIA_TYPE == json.MEDIA_TYPE:
            description = self.description
            if description.answers_fields or not copied.is_object:
                return score_table.encode(predictions, copied, description.id, description.outputs)
        return output.encode(predictions, self.settings.outputs)

    def sample(self, request: Invocation) -> Any:
        """Return what the model predicts for the row of the sample request.

        Raises:
            RequestError, Exception: as `answer`.

        """
        assert self.handler.schema is not None
        records = score_table.decode(self.description.sample_request(), self.handler.schema)
        context = request.make_context(self.handler.properties) if self.handler.wants_context else None
        return self._predict(request, Call(records, b"", json.MEDIA_TYPE, json.MEDIA_TYPE, context), None)

    def _in_pieces(
        self,
        request: Invocation,
        source: Decoder,
        blocks: Iterable[bytes],
        output: AnswerFormat,
        most: tuple[int, int],
    ) -> Generator[bytes]:
        """Decode, predict and encode one piece, of so many bytes or rows, after the other."""
        for records in self._decoded(request, source, blocks, *most):
            # What is sent as it comes has the time-out for each piece, as what is waited for has it for all of them.
            within = None if output is event_stream else self._left(request)
            predictions = self._predict(request, Call(records, b"", request.content_type, output.MEDIA_TYPE), within)
            began = time.monotonic()
            body = self._encoded(predictions, records, output)
            request.timings.encode += time.monotonic() - began
            yield body

    def _decoded(
        self, request: Invocation, source: Decoder, blocks: Iterable[bytes], size: int, rows: int
    ) -> Iterator[Records]:
        if source.divides:
            for piece, decoder in source.pieces(blocks, size, self.handler.schema):
                yield self._decode(request, decoder, piece)
        else:
            records = self._decode(request, source, _whole(blocks, LARGEST_WHOLE))
            yield from (records[start : start + rows] for start in range(0, len(records), rows))

    def _decode(self, request: Invocation, source: Decoder, body: bytes) -> Records:
        """Decode a body, or a piece of one; rows are counted over all pieces."""
        began, before = time.monotonic(), request.rows or 0
        arguments = (body, self.handler.schema)
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

    def _left(self, request: Invocation) -> float:
        """Return the seconds until the request's deadline."""
        return self.settings.deadline - (time.monotonic() - request.started)

    def _predict(self, request: Invocation, call: Call, within: float | None) -> Any:
        """Return the handler's result, once its turn has come, within some seconds; None is a whole deadline."""
        rows, layout = 1, None
        if call.records is not None:
            rows = len(call.records)
            layout = call.records.layout if self.handler.shares_calls and call.session is None else None
        try:
            return self.batcher.submit(call, rows, layout, request.timings, within)
        except MemoryError as error:
            if self._no_memory is None:
                raise
            raise self._no_memory() from error


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
