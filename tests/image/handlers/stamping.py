"""Answers what it was sent and how; NAME tells one such container from another."""

from __future__ import annotations

import os
import time
from pathlib import Path

NAME = os.environ.get("NAME", "")


def model_fn(model_dir: str) -> str:
    """Fail where the model's folder says so."""
    if Path(model_dir, "broken").exists():
        raise ValueError("the model is broken")
    return NAME


def input_fn(body: bytes, content_type: str) -> tuple[str, str]:
    """Keep the body and its media type."""
    return body.decode(), content_type


def predict_fn(data: tuple[str, str], model: str) -> tuple[str, str, str]:
    """Take as many seconds as the body says, where it is a number."""
    if data[0].replace(".", "").isdecimal():
        time.sleep(float(data[0]))
    return *data, model


def output_fn(prediction: tuple[str, str, str], accept: str) -> tuple[str, str]:
    """Answer the body with the name and both media types, as what ANSWERS says."""
    body, content_type, name = prediction
    return f"{body} {name}({content_type}, {accept})", os.environ.get("ANSWERS", "text/plain")
