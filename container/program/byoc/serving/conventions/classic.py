"""``ScoringService``, as the AWS sample has it: ``get_model()`` and ``predict(frame)``, both of the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from byoc.serving.handler import Handler, settings_of

if TYPE_CHECKING:
    from types import ModuleType

CLASS = "ScoringService"


def find(module: ModuleType) -> Handler | None:
    """Return the handler of a module that has the class."""
    service = getattr(module, CLASS, None)
    if not all(callable(getattr(service, name, None)) for name in ("get_model", "predict")):
        return None
    assert service is not None

    def model_fn(_model_dir: str) -> Any:
        return service.get_model()

    def predict_fn(data: Any, _model: Any) -> Any:
        return service.predict(data)

    return Handler(
        model_fn=model_fn,
        predict_fn=predict_fn,
        convention="classic",
        names=(f"{CLASS}.get_model", f"{CLASS}.predict"),
        **settings_of(module),
    )
