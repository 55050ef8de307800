"""Requests of the runtime API: told apart by their paths, read by botocore's model of them, held against it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug import Response

from byoc_cli.emulator import validation
from byoc_cli.emulator.emulator import ACCOUNT
from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting.limits import MESSAGE_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug import Request

    from byoc_cli.emulator.hosting.calls import ContainerError

SERVICE = "sagemaker-runtime"
OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "async-invocations": "InvokeEndpointAsync",
}
NOT_EMULATED = {
    "EnableExplanations": "there is no explainer",
    "InferenceComponentName": "there are no inference components",
    "PrefixAwareId": "there is no prefix-aware routing",
}
# Headers that the container sees, by the members of the request that bring them.
PASSED = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "TargetModel": "X-Amzn-SageMaker-Target-Model",
    "TargetVariant": "X-Amzn-SageMaker-Target-Variant",
    "TargetContainerHostname": "X-Amzn-SageMaker-Target-Container-Hostname",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
    "SessionId": "X-Amzn-SageMaker-Session-Id",
}
PIECE = 1 << 20
LEAST_SERVER_ERROR = 500


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        operation: by AWS's name.
        endpoint: that it is for.
        values: its members but the body, by AWS's names.
    """

    operation: str
    endpoint: str
    values: Mapping[str, Any]

    def headers(self) -> dict[str, str]:
        """Return the headers that the container sees."""
        return {header: str(self.values[member]) for member, header in PASSED.items() if member in self.values}


def read(request: Request) -> Asked:
    """Return what is asked; the body is still to be read.

    Raises:
        ApiError: there is no such operation; a member is none, not within its limits, or not emulated.
    """
    _, _, endpoint, tail = request.path.split("/", 3) if request.path.count("/") >= 3 else ("", "", "", "")  # noqa: PLR2004
    operation = OPERATIONS.get(tail)
    if operation is None or request.method != "POST":
        raise ApiError("UnknownOperationException", f"{request.method} {request.path} is no operation here", 404)
    shape = validation.model(SERVICE).operation_model(operation).input_shape
    values: dict[str, Any] = {"EndpointName": unquote(endpoint)}
    for name, member in shape.members.items():
        text = request.headers.get(member.serialization.get("name", name))
        if member.serialization.get("location") == "header" and text:
            values[name] = int(text) if member.type_name == "integer" and text.isdecimal() else text
    body = {"Body": ""} if "Body" in shape.required_members else {}
    try:
        validation.check(operation, values | body, SERVICE)
    except ApiError as error:
        raise ApiError("ValidationError", error.message) from error
    for name in values.keys() & NOT_EMULATED.keys():
        raise ApiError("ValidationError", f"{name} is not emulated here: {NOT_EMULATED[name]}; leave it out")
    return Asked(operation, values["EndpointName"], values)


def read_body(request: Request, limit: int, *, is_serverless: bool = False) -> bytes:
    """Return a request's body.

    Raises:
        ApiError: it is larger than the limit; none of it is kept.
    """
    pieces: list[bytes] = []
    size = 0
    while piece := request.stream.read(PIECE):
        size += len(piece)
        # What is too large is read on, and dropped: a client that is cut off would not see why.
        pieces = [*pieces, piece] if size <= limit else []
    if size <= limit:
        return b"".join(pieces)
    if is_serverless:
        raise ApiError("ValidationError", f"Request {uuid.uuid4()} has oversize body: {limit} bytes are the most.")
    raise ApiError("413", f"HTTP content length exceeded {limit} bytes.", 413)


def model_error(endpoint: str, region: str, error: ContainerError) -> ApiError:
    """Return how a container's error is told to the caller."""
    text = error.body.decode("utf-8", "replace")[:MESSAGE_LENGTH]
    whose = "client" if 0 < error.status < LEAST_SERVER_ERROR else "server"
    return ApiError(
        "ModelError",
        f'Received {whose} error ({error.status}) from {error.name} with message "{text}". See its log for more '
        f"information: byoc emulator logs Endpoints/{endpoint}",
        424,
        OriginalStatusCode=error.status,
        OriginalMessage=text,
        LogStreamArn=f"arn:aws:logs:{region}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{endpoint}",
    )


def refusal(error: ApiError) -> Response:
    """Return the answer that tells of an error."""
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), "x-amzn-ErrorType": error.code}
    body = {"Message": error.message, "message": error.message, **error.more}
    return Response(json.dumps(body), error.status, headers, mimetype="application/json")
