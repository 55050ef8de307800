"""The runtime API: InvokeEndpoint and its sisters."""

from __future__ import annotations

import logging
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from werkzeug import Response

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting import event_stream, limits, requests
from byoc_cli.emulator.hosting.calls import Call, CallError, ContainerError
from byoc_cli.emulator.hosting.instances import Invocation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from werkzeug import Request

    from byoc_cli.emulator.hosting.async_invocations import AsyncInvocations
    from byoc_cli.emulator.hosting.deployments import Live
    from byoc_cli.emulator.hosting.endpoints import Endpoints
    from byoc_cli.emulator.hosting.instances import Instance
    from byoc_cli.emulator.hosting.limits import Limits
    from byoc_cli.emulator.hosting.variants import Variant

log = logging.getLogger(__name__)

NEW_SESSION = "NEW_SESSION"
VARIANT = "x-Amzn-Invoked-Production-Variant"
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
NEW_SESSION_ID = "X-Amzn-SageMaker-New-Session-Id"
CLOSED_SESSION_ID = "X-Amzn-SageMaker-Closed-Session-Id"


class Runtime:
    """What answers requests for predictions.

    Args:
        endpoints: that are asked.
        asynchronous: takes what is to be answered later.
        bounds: of real-time requests.
        region: of the emulator.
    """

    def __init__(self, endpoints: Endpoints, asynchronous: AsyncInvocations, bounds: Limits, region: str) -> None:
        self._endpoints = endpoints
        self._asynchronous = asynchronous
        self._bounds = bounds
        self._region = region

    def answer(self, request: Request) -> Response:
        """Answer a request."""
        try:
            return self._answer(request)
        except ApiError as error:
            return requests.refusal(error)
        except Exception:
            log.exception("%s failed", request.path)
            return requests.refusal(
                ApiError("InternalFailure", "the emulator failed at this request; its log has the cause", 500)
            )

    def _answer(self, request: Request) -> Response:
        asked = requests.read(request)
        live, config = self._endpoints.serving(asked.endpoint)
        is_async = "AsyncInferenceConfig" in config
        if is_async != (asked.operation == "InvokeEndpointAsync"):
            way = "InvokeEndpointAsync" if is_async else "InvokeEndpoint"
            raise ApiError("ValidationError", f"Endpoint {asked.endpoint} takes {way}, not {asked.operation}.")
        if is_async:
            body = requests.read_body(request, limits.INLINE_ASYNC_PAYLOAD)
            return self._asynchronous.take(asked, body, live, config["AsyncInferenceConfig"])
        is_serverless = "ServerlessConfig" in config["ProductionVariants"][0]
        largest = limits.SERVERLESS_PAYLOAD if is_serverless else self._bounds.payload
        body = requests.read_body(request, largest, is_serverless=is_serverless)
        try:
            if asked.operation == "InvokeEndpoint":
                return _predict(asked, body, live, largest)
            return _stream(asked, body, live)
        except ContainerError as error:
            raise requests.model_error(asked.endpoint, self._region, error) from error


def _predict(asked: requests.Asked, body: bytes, live: Live, largest: int) -> Response:
    """Answer InvokeEndpoint.

    Raises:
        ContainerError: the container answered an error, or not in time.
        ApiError: nothing can answer.
    """
    session = asked.values.get("SessionId", "")
    with live.lent(asked.values.get("TargetVariant", ""), session) as (variant, instance):
        answer = instance.answer(_invocation(asked, body, limits.ANSWER_SECONDS))
        if len(answer.body) > largest:
            told = f"the answer has {len(answer.body)} bytes; {largest} are the most"
            raise ContainerError(instance.containers[-1].name, answer.status, told.encode())
        headers = _headers(variant, answer.headers)
        _follow_session(live, session, headers, variant, instance)
    response = Response(answer.body, 200, headers)
    response.headers["Content-Type"] = answer.headers.get("content-type", "application/octet-stream")
    return response


def _stream(asked: requests.Asked, body: bytes, live: Live) -> Response:
    """Answer InvokeEndpointWithResponseStream.

    Raises:
        ContainerError: the container answered an error; one that comes in mid stream is an event of it.
        ApiError: nothing can answer.
    """
    session = asked.values.get("SessionId", "")
    if session == NEW_SESSION:
        raise ApiError("ValidationError", "a session is opened by InvokeEndpoint, not by a stream")
    with ExitStack() as stack:
        variant, instance = stack.enter_context(live.lent(asked.values.get("TargetVariant", ""), session))
        call = stack.enter_context(instance.open(_invocation(asked, body, limits.STREAM_SECONDS)))
        headers = _headers(variant, call.headers)
        headers["X-Amzn-SageMaker-Content-Type"] = call.headers.get("content-type", "application/octet-stream")
        response = Response(_events(call), 200, headers, mimetype=event_stream.MEDIA_TYPE)
        # The server closes the response when it is sent, or when the client is gone.
        response.call_on_close(stack.pop_all().close)
    return response


def _events(call: Call) -> Iterator[bytes]:
    """Yield an answer's pieces as events, as they come."""
    try:
        for piece in call.pieces():
            yield event_stream.payload_part(piece)
    except CallError as error:
        code = "ModelInvocationTimeExceeded" if error.timed_out else "StreamBroken"
        yield event_stream.failure("ModelStreamError", str(error), ErrorCode=code)


def _invocation(asked: requests.Asked, body: bytes, seconds: float) -> Invocation:
    values = asked.values
    hostname = values.get("TargetContainerHostname", "")
    return Invocation(body, asked.headers(), seconds, values.get("TargetModel", ""), hostname)


def _headers(variant: Variant, answered: Mapping[str, str]) -> dict[str, Any]:
    """Return the headers of an answer: those of the container's that SageMaker lets pass, and its own."""
    passed = (CUSTOM_ATTRIBUTES, NEW_SESSION_ID, CLOSED_SESSION_ID)
    own = {"x-amzn-RequestId": str(uuid.uuid4()), VARIANT: variant.name}
    return own | {name: answered[name.lower()] for name in passed if name.lower() in answered}


def _follow_session(live: Live, session: str, headers: Mapping[str, str], variant: Variant, instance: Instance) -> None:
    if session == NEW_SESSION and NEW_SESSION_ID in headers:
        live.open_session(headers[NEW_SESSION_ID].partition(";")[0].strip(), variant, instance)
    if CLOSED_SESSION_ID in headers:
        live.close_session(headers[CLOSED_SESSION_ID])
