"""Functions, as SageMaker's inference toolkit has them: ``model_fn``, ``predict_fn`` and more.

What is not defined is done for the user: `model_fn` finds the model by its files, `predict_fn` asks it.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc import flavors
from byoc.errors import UserError
from byoc.serving.handler import Handler, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

FUNCTIONS = ("model_fn", "predict_fn", "input_fn", "output_fn", "transform_fn", "converse_fn")


def find(module: ModuleType) -> Handler | None:
    """Return the handler of a module that has at least one of the functions.

    Raises:
        UserError: they contradict one another, or predict_fn does not take what it is given.

    """
    found = {name: getattr(module, name, None) for name in FUNCTIONS}
    given = {name: function for name, function in found.items() if callable(function)}
    if not given:
        return None
    if "transform_fn" in given and given.keys() & {"predict_fn", "input_fn", "output_fn"}:
        raise UserError(
            f"{module.__name__}.py defines transform_fn, which does all of it, beside "
            f"{' and '.join(sorted(given.keys() & {'predict_fn', 'input_fn', 'output_fn'}))}; leave one way"
        )
    predict_fn = given.get("predict_fn")
    settings = settings_of(module)
    if "model_fn" not in given:
        given["model_fn"] = _model_fn
        settings = {"fork_safe": flavors.fork_safe, "pure": flavors.pure if predict_fn is None else False} | settings
    return Handler(
        **{"predict_fn": _predict_fn, **given},
        takes="frame" if predict_fn is None else _takes(predict_fn),
        convention="functions",
        names=tuple(name for name in FUNCTIONS if callable(found[name])),
        **settings,
    )


def _model_fn(model_dir: str) -> flavors.Model:
    return flavors.load(Path(model_dir))


def _predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data)


def _takes(predict_fn: Callable[..., Any]) -> str:
    """Tell from the annotation of predict_fn's first argument whether it wants an array, a frame or our records."""
    parameters = list(inspect.signature(predict_fn).parameters.values())
    if len(parameters) < 2:  # noqa: PLR2004
        raise UserError("predict_fn must take the data and the model: predict_fn(data, model)")
    annotation = str(parameters[0].annotation).lower()
    return "array" if "array" in annotation else "records" if "records" in annotation else "frame"
