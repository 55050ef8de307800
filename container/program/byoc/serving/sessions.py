"""Stateful sessions: requests that share values, whichever worker they come to.

A session is a folder with one JSON file, kept where all workers see it. SageMaker's protocol is in its headers:
https://docs.aws.amazon.com/sagemaker/latest/dg/stateful-sessions.html
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from byoc.serving.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = "X-Amzn-SageMaker-Session-Id"
OPENED = "X-Amzn-SageMaker-New-Session-Id"
CLOSED = "X-Amzn-SageMaker-Closed-Session-Id"
# What a caller asks for: as the header's value, and as `requestType` in the body.
NEW = "NEW_SESSION"
CLOSE = "CLOSE"

NAME = re.compile(r"[0-9a-f]{32}")
VALUES = "values.json"
LOCK = "lock"
# Bodies beyond this hold more than a request for a session.
LONGEST_REQUEST = 1024


class Sessions:
    """The sessions of one server.

    Args:
        folder: shared by its workers.
        lifetime: seconds that a session lasts.

    """

    def __init__(self, folder: Path, lifetime: int) -> None:
        self._folder = folder
        self._lifetime = lifetime

    def open(self) -> tuple[str, str]:
        """Begin a session; return its id and the header's value that tells of it. Those past their time go."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if NAME.fullmatch(path.name) and self._has_expired(path):
                shutil.rmtree(path, ignore_errors=True)
        name = uuid.uuid4().hex
        session = self._folder / name
        session.mkdir()
        (session / LOCK).touch()
        _write(session, {})
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self._lifetime))
        return name, f"{name}; Expires={expires}"

    def close(self, name: str) -> None:
        """End a session.

        Raises:
            RequestError: 404, there is none.

        """
        shutil.rmtree(self._find(name), ignore_errors=True)

    @contextmanager
    def use(self, name: str) -> Iterator[dict[str, Any]]:
        """Give a session's values to one request; they are kept unless it fails.

        Raises:
            RequestError: 404, there is no such session; 409, another request uses it.
            TypeError: a value is not JSON.

        """
        session = self._find(name)
        with (session / LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RequestError(409, "session_busy", "another request of this session is under way") from None
            values: dict[str, Any] = json.loads((session / VALUES).read_bytes())
            yield values
            _write(session, values)

    def _find(self, name: str) -> Path:
        session = self._folder / name
        if not NAME.fullmatch(name) or not session.is_dir() or self._has_expired(session):
            raise RequestError(404, "session_not_found", "there is no such session, or it has expired; open a new one")
        return session

    def _has_expired(self, session: Path) -> bool:
        """Whether its time is over; the lock's file is as old as the session."""
        try:
            return time.time() - (session / LOCK).stat().st_mtime > self._lifetime
        except FileNotFoundError:  # closed by another worker
            return True


def request_type(body: bytes) -> str:
    """Return what a body asks for as ``{"requestType": …}``, "" where it is a request to the model."""
    if len(body) > LONGEST_REQUEST:
        return ""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    return str(told.get("requestType", "")) if isinstance(told, dict) else ""


def _write(session: Path, values: dict[str, Any]) -> None:
    """Write beside, then rename: a worker that dies leaves the former values."""
    beside = session / f"{VALUES}.new"
    beside.write_text(json.dumps(values), encoding="utf-8")
    beside.replace(session / VALUES)
