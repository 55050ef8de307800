"""The base class of superai's models: `handle` loads once, then preprocesses, predicts and postprocesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class BaseModelContext:
    """What `initialize` is given: ``system_properties["model_dir"]`` and more; here it is the server's own context."""

    system_properties: dict[str, Any]


class BaseModel:
    """A model. Override `predict`, and `load_weights` or `initialize`.

    Args:
        input_schema, output_schema, configuration: kept for `predict`; nothing here reads them.
        more: what later versions take besides.

    """

    def __init__(
        self, input_schema: Any = None, output_schema: Any = None, configuration: Any = None, **more: Any
    ) -> None:
        self.input_schema = input_schema
        self.output_schema = output_schema
        self.configuration = configuration
        self.more = more
        self.initialized = False
        self.model: Any = None

    def initialize(self, context: BaseModelContext) -> None:
        """Load the model: `load_context`, then `load_weights` from the model's folder."""
        self.load_context(context)
        self.load_weights(context.system_properties["model_dir"])
        self.initialized = True

    def load_context(self, context: BaseModelContext) -> None:
        """Load what else is needed."""

    def load_weights(self, weights_path: str) -> Any:
        """Load the weights from a folder."""

    def preprocess(self, request: Any) -> Any:
        """Return what `predict` takes of a request, a list of ``{"body": bytes}``."""
        return request

    def predict(self, inputs: Any) -> Any:
        """Return the predictions."""
        raise NotImplementedError(f"{type(self).__name__} defines no predict")

    def predict_batch(self, input_batch: Sequence[Any], context: Any = None) -> list[Any]:  # noqa: ARG002 - theirs
        """Return the predictions for each of several inputs."""
        return [self.predict(each) for each in input_batch]

    def postprocess(self, inference_output: Any) -> Any:
        """Return what is answered."""
        return inference_output

    def handle(self, data: Any, context: BaseModelContext) -> Any:
        """Answer a request; None, the load probe, only loads."""
        if not self.initialized:
            self.initialize(context)
            self.initialized = True
        if data is None:
            return None
        return self.postprocess(self.predict(self.preprocess(data)))


BaseAI = BaseModel
