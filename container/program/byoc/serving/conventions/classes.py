"""A class, as superai's BaseModel: ``initialize``, ``load_weights``, ``preprocess``, ``predict``, ``postprocess``.

One instance a worker. Where it has a `handle`, that answers, as in `byoc.serving.conventions.handle`; else the three
steps do, one after the other.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from byoc.errors import UserError
from byoc.serving.call import call
from byoc.serving.conventions.handle import NAME as HANDLE
from byoc.serving.conventions.handle import answered, asked, probe
from byoc.serving.handler import Handler, settings_of

if TYPE_CHECKING:
    from types import ModuleType

    from byoc.serving.context import Context

LOADERS = ("initialize", "load_weights")
STEPS = ("preprocess", "predict", "postprocess")


def find(module: ModuleType) -> Handler | None:
    """Return the handler of a module with one class that loads and answers.

    Raises:
        UserError: there is more than one.

    """
    if callable(getattr(module, HANDLE, None)):
        return None  # which is what asks the class
    found = [name for name, value in vars(module).items() if inspect.isclass(value) and _answers(value, module)]
    if len(found) > 1:
        raise UserError(
            f"{module.__name__}.py has more than one class that could answer: {', '.join(found)}; "
            f"name one: --entry-point-method {found[0]}.{HANDLE}"
        )
    return named(module, f"{found[0]}.{HANDLE}") if found else None


def named(module: ModuleType, path: str) -> Handler:
    """Return the handler of ``Class.method``; where the class has no `handle`, its steps stand for it.

    Raises:
        UserError: there is no such class, or method.

    """
    name, _, method = path.partition(".")
    kind = getattr(module, name, None)
    if not inspect.isclass(kind):
        there = ", ".join(key for key, value in vars(module).items() if inspect.isclass(value)) or "none"
        raise UserError(f"{module.__name__}.py has no class {name} (found: {there})")
    if not callable(getattr(kind, method, None)) and (method != HANDLE or not hasattr(kind, "predict")):
        there = ", ".join(key for key in dir(kind) if not key.startswith("_")) or "none"
        raise UserError(f"the class {name} in {module.__name__}.py has no method {method} (found: {there})")

    def model_fn(model_dir: str, context: Context) -> Any:
        return _started(kind(), model_dir, context, method)

    def transform_fn(instance: Any, body: bytes, content_type: str, accept: str, context: Context) -> Any:
        answer = getattr(instance, method, None)
        data = asked(body, content_type)
        returned = call(answer, data, context=context) if answer else _steps(instance, data, context)
        return answered(returned, accept, context)

    names = (path,) if hasattr(kind, method) else tuple(f"{name}.{step}" for step in STEPS if hasattr(kind, step))
    return Handler(model_fn=model_fn, transform_fn=transform_fn, convention="class", names=names, **settings_of(module))


def _answers(kind: type, module: ModuleType) -> bool:
    """Tell whether a class is the module's own, and has what loads and what answers."""
    is_own = kind.__module__ == module.__name__
    loads = any(callable(getattr(kind, name, None)) for name in LOADERS)
    return is_own and loads and any(callable(getattr(kind, name, None)) for name in (HANDLE, "predict"))


def _started(instance: Any, model_dir: str, context: Context, method: str) -> Any:
    if hasattr(instance, "initialize"):
        instance.initialize(context)
        if hasattr(instance, "initialized"):
            instance.initialized = True
    elif hasattr(instance, "load_weights"):
        instance.load_weights(model_dir)
    else:
        probe(getattr(instance, method), context)
    return instance


def _steps(instance: Any, data: Any, context: Context) -> Any:
    for step in STEPS:
        if hasattr(instance, step):
            data = call(getattr(instance, step), data, context=context)
    return data
