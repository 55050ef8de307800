"""``handle(data, context)``, as multi-model-server and the superai dockerizer call it.

`data` is a list of one request, ``[{"body": bytes}]``, and what is returned a list of one answer; None, once when the
model is loaded, is the load probe. With ``MMS_DECODE_INPUT_REQUEST=true`` JSON and text arrive decoded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from byoc.errors import UserError
from byoc.serving import formats
from byoc.serving.call import call
from byoc.serving.formats import answers, json
from byoc.serving.handler import Handler, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from byoc.serving.context import Context

NAME = "handle"


def find(module: ModuleType) -> Handler | None:
    """Return the handler of a module that has a function ``handle``."""
    return named(module, NAME) if callable(getattr(module, NAME, None)) else None


def named(module: ModuleType, name: str) -> Handler:
    """Return the handler of a module's function.

    Raises:
        UserError: there is no such function.

    """
    function = getattr(module, name, None)
    if not callable(function):
        there = ", ".join(key for key, value in vars(module).items() if callable(value)) or "none"
        raise UserError(f"{module.__name__}.py has no function {name} (found: {there}); name one of them")

    def model_fn(_model_dir: str, context: Context) -> None:
        probe(function, context)

    def transform_fn(_model: None, body: bytes, content_type: str, accept: str, context: Context) -> Any:
        return answered(call(function, asked(body, content_type), context=context), accept, context)

    return Handler(
        model_fn=model_fn, transform_fn=transform_fn, convention="handle", names=(name,), **settings_of(module)
    )


def asked(body: bytes, content_type: str) -> list[dict[str, Any]]:
    """Return a request as multi-model-server passes it on."""
    value: Any = body
    if os.environ.get("MMS_DECODE_INPUT_REQUEST", "").lower() == "true":
        if content_type.partition(";")[0].strip().lower() == json.MEDIA_TYPE:
            value = json.parse(body)
        elif content_type.startswith("text"):
            value = body.decode()
    return [{"body": value}]


def answered(returned: Any, accept: str, context: Context) -> Any:
    """Return the body and the media type of what a handler returned for one request.

    Text and bytes are sent as they are, other values as JSON; an iterator is an answer in pieces. Of what type text or
    bytes are the handler may say; else text that looks like JSON is taken for it, and the rest for what was asked for.

    Raises:
        ValueError: it is a list of more answers, or fewer, than there were requests.
        RequestError: 406, JSON is not what the client accepts.

    """
    if isinstance(returned, Iterator):
        return returned
    if isinstance(returned, list):
        if len(returned) != 1:
            raise ValueError(f"the handler returned a list of {len(returned)} answers for 1 request")
        returned = returned[0]
    said = context.response_content_type
    if isinstance(returned, bytes | bytearray | memoryview) or (isinstance(returned, str) and not _is_json(returned)):
        return returned, said or accept
    if not said:
        formats.check_accepted(context.headers.get("Accept", ""), json.MEDIA_TYPE)
    return returned if isinstance(returned, str) else answers.to_json(returned), said or json.MEDIA_TYPE


def _is_json(text: str) -> bool:
    if not text.startswith(("{", "[", '"')):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def probe(function: Callable[..., Any], context: Context) -> None:
    """Let a handler load its model."""
    call(function, None, context=context)
