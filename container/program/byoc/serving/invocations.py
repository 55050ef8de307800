"""POST /invocations, as a WSGI function in front of Flask.

Flask's dispatch takes longer than all the rest of a small request together, so the one route that is under load does
without it; every other route is Flask's.
"""

from __future__ import annotations

import socket
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from byoc.serving.errors import explain
from byoc.serving.formats import event_stream
from byoc.serving.invocation import Answer, Invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from byoc.serving.service import Service
    from byoc.serving.settings import Settings

PATH = "/invocations"
STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Invocations:
    """The route.

    Args:
        service: answers its requests.
        make_others: returns the WSGI application of all other routes; called when one of them is first asked for.

    """

    def __init__(self, service: Service, make_others: Callable[[], WSGIApplication]) -> None:
        self.service = service
        self._make_others = make_others

    @cached_property
    def _others(self) -> WSGIApplication:
        return self._make_others()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "POST":
            return self._others(environ, start_response)
        status, headers, body = self.respond(environ)
        start_response(status, headers)
        return [body] if isinstance(body, bytes) else body

    def respond(self, environ: WSGIEnvironment) -> tuple[str, list[tuple[str, str]], bytes | Iterable[bytes]]:
        """Return the status, the headers and the body of the answer to a POST /invocations."""
        request = Invocation(environ)
        try:
            answer = self.service.answer(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told what it may know
            answer = refusal(request, error)
        body, settings = answer.body, self.service.settings
        length = len(body) if isinstance(body, bytes) else answer.length
        headers = [
            ("Content-Type", answer.media_type),
            ("X-Request-Id", request.request_id),
            # Where the length is not known, nginx must pass the pieces on as they come.
            ("X-Accel-Buffering", "no") if length is None else ("Content-Length", str(length)),
            *answer.headers.items(),
        ]
        status = STATUS.get(answer.status, f"{answer.status} ")
        if isinstance(body, bytes):
            request.log(settings, answer.status)
            return status, headers, body
        return status, headers, _Sending(answer, body, request, settings)


def refusal(request: Invocation, error: Exception) -> Answer:
    """Return the answer that tells of an error."""
    told = request.error = explain(error, request.request_id)
    headers = {} if told.retry_after is None else {"Retry-After": str(told.retry_after)}
    return Answer(told.body(request.request_id), "application/json", told.status, headers)


class _Sending:
    """An answer that is sent in pieces; an error after the first one is told within it, and by cutting it off."""

    def __init__(self, answer: Answer, pieces: Iterable[bytes], request: Invocation, settings: Settings) -> None:
        self._answer = answer
        self._pieces = pieces
        self._request = request
        self._settings = settings

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except Exception as error:  # noqa: BLE001 - the client is told what it may know
            told = self._request.error = explain(error, self._request.request_id)
            body = told.body(self._request.request_id)
            is_event = self._answer.media_type == event_stream.MEDIA_TYPE
            yield b"event: error\n" + event_stream.event(body.strip()) if is_event else body
            connection = self._request.environ.get("gunicorn.socket")
            if connection is not None:
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it: all has been sent, or the client is gone."""
        close: Any = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        self._request.log(self._settings, self._answer.status)
