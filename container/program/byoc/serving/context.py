"""What a handler may know of the request it answers, and say of the answer: ``predict_fn(data, model, context)``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import Headers

import byoc

if TYPE_CHECKING:
    from collections.abc import MutableMapping

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"


CONTENT_TYPE = "Content-Type"


def system_properties(model_dir: Path) -> dict[str, Any]:
    """Return what a context tells of the server, under multi-model-server's names.

    ``gpu_id`` is the number of the GPU that this worker is to use, None where the machine has none; ``batch_size`` is
    how many requests a handler is given at a time.
    """
    gpu = os.environ.get("BYOC_GPU", "")
    return {
        "model_dir": str(model_dir),
        "gpu_id": int(gpu) if gpu else None,
        "batch_size": 1,
        "server_name": "byoc",
        "server_version": byoc.__version__,
    }


@dataclass
class Context:
    """One request, as the handler sees it. What is below `inference_id` is as multi-model-server has it.

    Attributes:
        request_id: under which the log tells of it.
        headers: of the request; names in any case.
        response_headers: to be added to the answer; empty at first.
        status: of the answer.
        session: values that the requests of a stateful session share, JSON by name; None outside of sessions.
        system_properties: what `system_properties` returns.

    """

    request_id: str
    headers: Headers
    response_headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    session: MutableMapping[str, Any] | None = None
    system_properties: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_load(cls, properties: dict[str, Any]) -> Context:
        """Return the context that a model is loaded in: there is no request."""
        return cls("", Headers(), system_properties=properties)

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

    @property
    def model_name(self) -> str:
        """The name of the model's folder."""
        return Path(self.system_properties.get("model_dir", "")).name

    @property
    def request_processor(self) -> list[Context]:
        """One entry a request, of which there is one: this context itself has the methods of an entry."""
        return [self]

    def get_request_id(self, _number: int = 0) -> str:
        """Return the request's id."""
        return self.request_id

    def get_request_property(self, name: str) -> str | None:
        """Return a header of the request."""
        return self.headers.get(name)

    def get_request_header(self, _number: int, name: str) -> str | None:
        """Return a header of the request."""
        return self.headers.get(name)

    def get_all_request_header(self, _number: int = 0) -> dict[str, str]:
        """Return the headers of the request."""
        return dict(self.headers)

    @property
    def response_content_type(self) -> str:
        """The answer's media type, "" where the handler has not said it."""
        return self.response_headers.get(CONTENT_TYPE, "")

    def set_response_content_type(self, _number: int, media_type: str) -> None:
        """Say the answer's media type."""
        self.response_headers[CONTENT_TYPE] = media_type

    def set_response_header(self, _number: int, name: str, value: str) -> None:
        """Add a header to the answer."""
        self.add_response_property(name, value)

    def add_response_property(self, name: str, value: str) -> None:
        """Add a header to the answer."""
        self.response_headers[CONTENT_TYPE if name.lower() == CONTENT_TYPE.lower() else name] = value

    def set_http_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:  # noqa: ARG002 - theirs
        """Say the answer's status."""
        self.status = code

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:  # noqa: ARG002 - theirs
        """Say the answer's status."""
        self.status = code

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:  # noqa: ARG002 - theirs
        """Say the answer's status."""
        self.status = code
