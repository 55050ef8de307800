"""Hyperparameters: SageMaker passes strings, and every client spells them its own way."""

from __future__ import annotations

import ast
import json
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the platform and its SDKs add for themselves.
RESERVED = frozenset({"_tuning_objective_metric", "default_user_module_name"})
RESERVED_PREFIX = "sagemaker_"


def decode(text: str) -> Any:
    """Return the value that a hyperparameter's string stands for.

    Five dialects reach a container: raw text from boto3 (``0.1``, ``True``), JSON from the SDK's framework estimators
    (``"adam"`` in quotes, ``true``), Python's ``str()`` from its generic estimator (``None``, ``['a', 'b']``), strings
    raw and all else JSON from SDK v3, and values turned to strings and then to JSON from its tuner (``"128"`` in
    quotes). So JSON is undone up to twice, then Python's literals are tried, and what is neither is text.
    """
    value: Any = text
    for _ in range(2):
        if not isinstance(value, str):
            return value
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    if not isinstance(value, str):
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of a text such as "5th", which is no Python
            literal = ast.literal_eval(value.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return value
    # A word in Python's quotes was JSON's in intent; bytes and sets have no place in a hyperparameter.
    return literal if isinstance(literal, str | bool | int | float | list | tuple | dict | None) else value


def user_values(raw: Mapping[str, str]) -> dict[str, Any]:
    """Return the user's own hyperparameters, decoded; the reserved ones are the platform's and left out."""
    return {name: decode(text) for name, text in raw.items() if not is_reserved(name)}


def is_reserved(name: str) -> bool:
    """Whether the name belongs to the platform or its SDKs."""
    return name in RESERVED or name.startswith(RESERVED_PREFIX)
