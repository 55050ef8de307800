"""Predictions as plain values, ready for any media type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from byoc.predictions import Predictions

if TYPE_CHECKING:
    from collections.abc import Sequence


def rows(predictions: Any, outputs: Sequence[str]) -> list[Any]:
    """Return one plain value a record.

    Args:
        predictions: `Predictions`, or what a user's own predict_fn returned: an array, a frame or a list.
        outputs: for `Predictions`, what to tell of each, as ``SAGEMAKER_INFERENCE_OUTPUT`` names it; () means
            ``{"predicted_label", "score"}``. The score is the label's probability, or the number in regression.

    Returns:
        For ``("predicted_label",)`` the labels; else one dict a record. For a user's own, its own values.

    """
    if not isinstance(predictions, Predictions):
        return _plain(predictions)
    labels: list[Any] = predictions.labels.tolist()
    if tuple(outputs) == ("predicted_label",):
        return labels
    told: dict[str, list[Any]] = {}
    for name in outputs or ("predicted_label", "score"):
        values = _output(name, labels, predictions)
        if values is not None:
            told[name] = values
    # One answer a record, also where this model has nothing of what was asked for.
    return [{name: values[row] for name, values in told.items()} for row in range(len(labels))]


def to_json(value: Any) -> bytes:
    """Return strict JSON: NaN and infinite numbers become null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _output(name: str, labels: list[Any], predictions: Predictions) -> list[Any] | None:
    """Return one output of every record; None where this model has no such thing."""
    if name == "predicted_label":
        return labels
    if name == "labels" and predictions.classes:
        return [list(predictions.classes)] * len(labels)
    if predictions.probabilities is not None and name in ("probabilities", "probability", "score"):
        told = predictions.probabilities if name == "probabilities" else predictions.probabilities.max(axis=1)
        return list(told.tolist())
    return labels if name == "score" and not predictions.classes else None


def _plain(predictions: Any) -> list[Any]:
    if hasattr(predictions, "to_dict") and hasattr(predictions, "columns"):
        return list(predictions.to_dict(orient="records"))
    return list(predictions.tolist() if hasattr(predictions, "tolist") else predictions)
