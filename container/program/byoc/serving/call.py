"""A call of the user's functions: what goes into it, and how it is made."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from byoc.serving.context import Context
    from byoc.serving.formats.records import Records

# How libraries say that memory ran out, where they raise no MemoryError.
OUT_OF_MEMORY = re.compile(
    r"out of memory|(failed|unable|cannot|can't|could not) (to )?allocate|bad_?alloc|insufficient memory", re.IGNORECASE
)


@dataclass(frozen=True)
class Call:
    """One request on its way through the handler.

    Attributes:
        records: its decoded rows; None where the user's input_fn decodes.
        body, content_type, accept: as they came, for the user's input_fn and output_fn.
        context: for functions that take one.
        session: gives the values of the session that the request belongs to.

    """

    records: Records | None
    body: bytes
    content_type: str
    accept: str
    context: Context | None = None
    session: AbstractContextManager[dict[str, Any]] | None = None


def call(function: Callable[..., Any], *arguments: Any, context: Context | None) -> Any:
    """Call a user's function, with the context behind its arguments where it takes one."""
    return function(*arguments, context) if takes_context(function, len(arguments)) else function(*arguments)


@cache
def takes_context(function: Callable[..., Any] | None, given: int) -> bool:
    """Tell whether what follows the given arguments is the context: it is called so, or has no default."""
    if function is None:
        return False
    following = list(inspect.signature(function).parameters.values())[given : given + 1]
    return any(
        each.name == "context" or (each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD)
        for each in following
    )


def as_memory_error(error: BaseException) -> BaseException:
    """Return a MemoryError for what says in words that memory ran out, as CUDA and TensorFlow do."""
    if isinstance(error, MemoryError) or not (isinstance(error, Exception) and OUT_OF_MEMORY.search(str(error))):
        return error
    translated = MemoryError(f"{type(error).__name__}: {error}")
    translated.__cause__ = error
    return translated
