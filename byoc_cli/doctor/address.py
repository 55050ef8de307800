"""HTTP as SageMaker speaks it, and what went wrong in words that a table can show."""

from __future__ import annotations

import http.client
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byoc_cli.doctor.check import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOCALHOST = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """A response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """The body's lines, without empty ones."""
        return [line for line in self.text.splitlines() if line.strip()]

    @property
    def summary(self) -> str:
        """Status and the body's beginning, in a line."""
        return f"{self.status}: {' '.join(self.text.split())[:120]}" if self.body else str(self.status)

    def json(self) -> Any:
        """Return the body's value.

        Raises:
            Failed: it isn't JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failed(f"the body isn't JSON: {self.summary}") from error


class Address:
    """A port of this machine behind which a container serves."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        """Return a connection that is yet to be opened; `timeout` is that of each wait, in seconds."""
        return http.client.HTTPConnection(LOCALHOST, self.port, timeout=timeout)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Answer:
        """Send a request on a connection of its own; an iterable body goes in chunks, without a length.

        Raises:
            Failed: there was no answer.
        """
        connection = self.connect(timeout)
        try:
            return exchange(connection, method, path, body, headers)
        finally:
            connection.close()

    def post(
        self, body: bytes | Iterable[bytes], headers: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Answer:
        """POST /invocations."""
        return self.ask("POST", "/invocations", body, headers, timeout)


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a request on a connection and return its answer.

    Raises:
        Failed: there was none.
    """
    try:
        # A server that refuses a large body may answer and close before all of it is sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{method} {path} got no answer: {type(error).__name__}: {error}") from error
