"""What the user's file may define, one module a convention; each makes a `byoc.serving.handler.Handler` of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from byoc.entry import EntryPoint
from byoc.errors import UserError
from byoc.serving.conventions import classes, classic, functions, handle

if TYPE_CHECKING:
    from types import ModuleType

    from byoc.serving.handler import Handler

EXPECTED = (
    "model_fn(model_dir) and predict_fn(data, model), or handle(data, context), or a class with initialize and "
    "predict, or ScoringService with get_model and predict"
)


def find(module: ModuleType, method: str = "") -> Handler:
    """Return the handler that a module defines.

    Args:
        module: the user's file.
        method: the function that answers, or ``Class.method``; "" where it is to be found out.

    Raises:
        UserError: it defines none, or more than one; names what was found.

    """
    if method:
        return classes.named(module, method) if "." in method else handle.named(module, method)
    tried = (functions.find(module), handle.find(module), classes.find(module), classic.find(module))
    found = [handler for handler in tried if handler is not None]
    if len(found) > 1:
        told = ", or ".join(f"{' and '.join(each.names)} ({each.convention})" for each in found)
        raise UserError(
            f"{module.__name__}.py can be understood in more than one way: {told}; leave one of them, or name the "
            "method: --entry-point-method"
        )
    if not found:
        there = ", ".join(name for name, value in vars(module).items() if callable(value) and _is_own(value, module))
        raise UserError(
            f"{module.__name__}.py defines nothing that could answer a request (found: {there or 'no functions'}); "
            f"it needs {EXPECTED}"
        )
    return found[0]


def load() -> Handler:
    """Import the entry point, and return its handler.

    Raises:
        UserError: it cannot be imported, or defines none.

    """
    entry = EntryPoint.from_environ(os.environ)
    return find(entry.load(), entry.method)


def _is_own(value: object, module: ModuleType) -> bool:
    return getattr(value, "__module__", None) == module.__name__
