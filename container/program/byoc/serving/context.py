"""What a handler may know of the request it answers, and say of the answer: ``predict_fn(data, model, context)``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from werkzeug.datastructures import Headers

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"


@dataclass
class Context:
    """One request, as the handler sees it.

    Attributes:
        request_id: under which the log tells of it.
        headers: of the request; names in any case.
        response_headers: to be added to the answer; empty at first.
        status: of the answer.
        session: values that the requests of a stateful session share, JSON by name; None outside of sessions.

    """

    request_id: str
    headers: Headers
    response_headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    session: MutableMapping[str, Any] | None = None

    @property
    def custom_attributes(self) -> str:
        """What the caller sent along as ``CustomAttributes``; "" if nothing."""
        return self.headers.get(ATTRIBUTES, "")

    @custom_attributes.setter
    def custom_attributes(self, text: str) -> None:
        """Send them back: at most 1,024 visible ASCII characters."""
        if len(text) > 1024 or not (text.isascii() and text.isprintable()):  # noqa: PLR2004 - SageMaker's limit
            raise ValueError("custom attributes must be at most 1,024 visible ASCII characters")
        self.response_headers[ATTRIBUTES] = text

    @property
    def inference_id(self) -> str:
        """What the caller calls this request; "" if nothing."""
        return self.headers.get(INFERENCE_ID, "")
