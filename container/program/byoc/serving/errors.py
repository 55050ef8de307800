"""What a client is told when a request cannot be answered."""

from __future__ import annotations

import json
import logging
from typing import Any

from byoc.errors import RowError
from byoc.serving.settings import MEBIBYTE

log = logging.getLogger(__name__)

# SageMaker passes on at most 2,048 characters of a container's error; a character takes up to four bytes.
LONGEST_MESSAGE = 350
LONGEST_NAME = 64


class RequestError(Exception):
    """An error with an HTTP status: 4xx for the caller's fault, 5xx for ours.

    The message reaches the caller: no path, no trace, no data.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        row: int | None = None,
        column: str | int | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.row = row
        self.column = column
        self.retry_after = retry_after
        super().__init__(message)

    def body(self, request_id: str) -> bytes:
        """Return the JSON body, at most 2,048 bytes."""
        message = _printable(self.message[:LONGEST_MESSAGE])
        error: dict[str, Any] = {"code": self.code, "message": message, "request_id": request_id}
        if self.row is not None:
            error["row"] = self.row
        if self.column is not None:
            error["column"] = self.column if isinstance(self.column, int) else _printable(self.column[:LONGEST_NAME])
        return json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _printable(text: str) -> str:
    """Replace control characters, each of which JSON would write in six."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def bad_request(message: str, row: int | None = None, column: str | int | None = None) -> RequestError:
    """Return a 400: the body is not what the model takes."""
    return RequestError(400, "bad_request", message, row=row, column=column)


def too_large(what: str, limit: int) -> RequestError:
    """Return a 413 that names the limit, given in bytes."""
    message = f"the {what} is larger than the limit of {limit / MEBIBYTE:g} MB, set by SAGEMAKER_MAX_PAYLOAD_IN_MB"
    return RequestError(413, "payload_too_large", message)


def overloaded(message: str, retry_after: int) -> RequestError:
    """Return a 503 that says when to come again."""
    return RequestError(503, "overloaded", message, retry_after=retry_after)


def explain(error: BaseException, request_id: str) -> RequestError:
    """Return what the client is told of an error; the log has the rest under the same request id."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, RowError):
        return RequestError(400, "bad_request", str(error), row=error.row, column=error.column)
    log.error("prediction failed: %s", error, exc_info=error, extra={"request_id": request_id})
    return RequestError(500, "prediction_failed", "the model failed on this request; the log has the cause")
