"""Requests held against botocore's model of SageMaker: every member known, of its type, within its limits."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session

from byoc_cli.emulator.errors import ApiError, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import ServiceModel

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float),
    "blob": (str,),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}

# What Java has and Python has not; most of them stand within brackets. Letters and digits are told apart by none.
CLASSES = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\w",
    r"\p{M}": r"\u0300-\u036f",
    r"\p{Z}": r"\s",
    r"\p{P}": r"!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u206f",
    r"\p{S}": r"$+<-~\u00a1-\u00bf\u2070-\u2bff",
    r"\p{Alnum}": r"A-Za-z0-9",
    r"\p{Print}": r"\x20-\x7e",
    r"\p{ASCII}": r"[\x00-\x7f]",
    r"\z": r"\Z",
}
JAVA = re.compile("|".join(map(re.escape, CLASSES)))


@cache
def model(service: str = "sagemaker") -> ServiceModel:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def check(operation: str, request: dict[str, Any], service: str = "sagemaker") -> None:
    """Refuse a request that SageMaker would.

    Raises:
        ApiError: there is no such operation; or with every problem of the request, as AWS words them.
    """
    if operation not in model(service).operation_names:
        raise ApiError("UnknownOperationException", f"SageMaker has no operation {operation}", 404)
    shape = model(service).operation_model(operation).input_shape
    problems = list(_problems(shape, request, "")) if shape is not None else []
    if problems:
        count = "1 validation error" if len(problems) == 1 else f"{len(problems)} validation errors"
        raise invalid(f"{count} detected: {'; '.join(problems)}")


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with a value, and with what is in it."""
    if not _is_of(KINDS[shape.type_name], value):
        yield f"Value of '{path}' must be of type {shape.type_name}, not {type(value).__name__}"
        return
    match str(shape.type_name):
        case "structure":
            yield from _of_structure(shape, value, path)
        case "list":
            yield from _out_of_bounds(shape, len(value), path, "have length")
            for number, each in enumerate(value, 1):
                yield from _problems(shape.member, each, f"{path}.{number}.member")
        case "map":
            yield from _out_of_bounds(shape, len(value), path, "have length")
            for key, each in value.items():
                yield from _problems(shape.key, key, f"{path}.key")
                yield from _problems(shape.value, each, f"{path}.{key}")
        case "string":
            yield from _of_string(shape, value, path)
        case "integer" | "long" | "float" | "double":
            yield from _out_of_bounds(shape, value, path, "have value")


def _is_of(kinds: tuple[type, ...], value: Any) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _of_structure(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_below(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, each in value.items():
        if name not in shape.members:
            yield f"'{_below(path, name)}' is no parameter of {shape.name}"
        elif each is not None:
            yield from _problems(shape.members[name], each, _below(path, name))


def _of_string(shape: Any, value: str, path: str) -> Iterator[str]:
    yield from _out_of_bounds(shape, len(value), path, "have length")
    failed = f"Value '{value[:100]}' at '{path}' failed to satisfy constraint: Member must satisfy"
    if shape.enum and value not in shape.enum:
        yield f"{failed} enum value set: [{', '.join(shape.enum)}]"
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield f"{failed} regular expression pattern: {pattern}"


def _out_of_bounds(shape: Any, size: float, path: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    failed = f"Value at '{path}' failed to satisfy constraint: Member must {what}"
    if low is not None and size < low:
        yield f"{failed} greater than or equal to {low}"
    if high is not None and size > high:
        yield f"{failed} less than or equal to {high}"


def _below(path: str, name: str) -> str:
    first = name[0].lower() + name[1:]
    return f"{path}.{first}" if path else first


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern of a shape, which is Java's, as Python's."""
    try:
        return re.compile(JAVA.sub(lambda found: CLASSES[found[0]], pattern))
    except re.error:
        return re.compile(r"[\s\S]*")
