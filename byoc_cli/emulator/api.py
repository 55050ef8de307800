"""SageMaker's control API: JSON in, JSON out, the operation in a header; every request is checked before it is done."""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

from werkzeug import Response

from byoc_cli.emulator import validation
from byoc_cli.emulator.errors import ApiError, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from werkzeug import Request

    Operation = Callable[[dict[str, Any]], dict[str, Any] | None]

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/x-amz-json-1.1"
PREFIX = "SageMaker."
OWN_PREFIX = "Emulator."


class Api:
    """The operations.

    Args:
        operations: what does each of them, by AWS's names; all others of SageMaker's are refused by name.
        not_emulated: of an operation, the parameters that are taken and do nothing here, by dotted paths such as
            ``OutputDataConfig.KmsKeyId``, with the reason, which the
            log tells; a parameter that is neither these nor `done` is refused.
        done: of an operation, the parameters that are emulated; an operation that is not in here has all.
        controls: operations of the emulator's own, under `OWN_PREFIX`.
    """

    def __init__(
        self,
        operations: Mapping[str, Operation],
        not_emulated: Mapping[str, Mapping[str, str]],
        done: Mapping[str, frozenset[str]],
        controls: Mapping[str, Operation],
    ) -> None:
        self._operations = operations
        self._not_emulated = not_emulated
        self._done = done
        self._controls = controls

    def answer(self, request: Request) -> Response:
        """Answer a request."""
        target = request.headers.get("X-Amz-Target", "")
        operation = target.removeprefix(PREFIX)
        if target.startswith(OWN_PREFIX):
            return respond(target, lambda: self._control(target, read(request.get_data())))
        return respond(operation, lambda: self.call(operation, read(request.get_data())))

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """Check a request and do it.

        Raises:
            ApiError: it is refused.
        """
        validation.check(operation, request)
        function = self._operations.get(operation)
        if function is None:
            known = ", ".join(sorted(self._operations))
            raise ApiError("UnknownOperationException", f"{operation} is not emulated here; these are: {known}", 404)
        self._check_emulated(operation, request)
        return function({name: value for name, value in request.items() if value is not None})

    def _control(self, target: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        function = self._controls.get(target.removeprefix(OWN_PREFIX))
        if function is None:
            raise ApiError("UnknownOperationException", f"the emulator has no operation {target}", 404)
        return function(parameters)

    def _check_emulated(self, operation: str, request: dict[str, Any]) -> None:
        """Refuse parameters that would be without effect, and say so of those that may be.

        Raises:
            ApiError: there is one.
        """
        excused = self._not_emulated.get(operation, {})
        done = self._done.get(operation)
        for path, reason in excused.items():
            if any(value not in (None, [], {}, False) for value in within(request, path)):
                log.warning("%s: %s does nothing here: %s", operation, path, reason)
        for name in request:
            if done is not None and name not in done and name not in excused:
                raise invalid(f"{name} of {operation} is not emulated here; leave it out")


def within(value: Any, path: str) -> Iterator[Any]:
    """Yield what is at a dotted path of a request, through lists as well."""
    if isinstance(value, list):
        for each in value:
            yield from within(each, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        first, _, rest = path.partition(".")
        if value.get(first) is not None:
            yield from within(value[first], rest)


def respond(operation: str, function: Callable[[], dict[str, Any] | None]) -> Response:
    """Do an operation and answer with what it returns, or is refused with."""
    try:
        answer = function()
    except ApiError as error:
        return refusal(error)
    except Exception:
        log.exception("%s failed", operation)
        return refusal(_failed(operation))
    return Response(json.dumps(answer or {}), 200, _headers(), mimetype=MEDIA_TYPE)


def refusal(error: ApiError) -> Response:
    """Return the answer that tells of an error."""
    body = {"__type": error.code, "message": error.message, **error.more}
    headers = {**_headers(), "x-amzn-ErrorType": error.code}
    return Response(json.dumps(body), error.status, headers, mimetype=MEDIA_TYPE)


def _failed(operation: str) -> ApiError:
    return ApiError("InternalFailure", f"the emulator failed at {operation}; its log has the cause", 500)


def _headers() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def read(body: bytes) -> dict[str, Any]:
    """Return a request's parameters.

    Raises:
        ApiError: it is no JSON object.
    """
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError("SerializationException", f"the body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError("SerializationException", "the body must be a JSON object")
    return value
