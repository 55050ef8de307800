"""LightGBM models as the text that it writes: ``model.txt``, ``*.lgbm`` and ``lightgbm-model``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from byoc.errors import ModelError
from byoc.flavors import boosters, columns
from byoc.schema import Column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from byoc.predictions import Predictions

# Objectives whose answers are probabilities of classes.
MULTICLASS = ("multiclass", "multiclassova")
RANGE = re.compile(r"\[(?P<low>[^:]+):(?P<high>[^:]+)\]")
CODES = re.compile(r"-?\d+(:-?\d+)*")


class Model:
    """A booster that answers as `lightgbm.Booster.predict` does.

    Attributes:
        schema: the columns by the booster's names: numbers, with their range in training, and text where it was
            fitted on pandas' categories.

    """

    takes = "array"

    def __init__(self, booster: lightgbm.Booster, head: dict[str, str]) -> None:
        self._booster = booster
        objective, *_ = head.get("objective", "").split()
        if objective in MULTICLASS:
            self._classes = tuple(range(int(head["num_class"])))
        else:
            self._classes = (0, 1) if objective == "binary" else ()
        found = _columns(booster.feature_name(), head["feature_infos"].split(), booster.pandas_categorical or ())
        self.schema = columns.of(found, self._classes)

    def predict(self, rows: NDArray[np.float64]) -> Predictions | NDArray[Any]:
        """Return one prediction a row of (n, features) float64, NaN where a value is missing."""
        return boosters.predictions(np.asarray(self._booster.predict(rows)), self._classes)


def open_model(file: Path) -> Model:
    """Return the model in a file of LightGBM's.

    Raises:
        ModelError: it cannot be read.

    """
    try:
        return Model(lightgbm.Booster(model_file=file), _head(file))
    except (lightgbm.basic.LightGBMError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{file} cannot be loaded by LightGBM: {error}") from error


def _head(file: Path) -> dict[str, str]:
    """Return what the model's text says before its trees, by name."""
    found: dict[str, str] = {}
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("tree_sizes="):
                break
            name, _, value = line.rstrip("\n").partition("=")
            found[name] = value
    return found


def _columns(names: Sequence[str], told: Sequence[str], categories: Sequence[Sequence[Any]]) -> tuple[Column, ...]:
    """Return the columns; pandas' categories are kept in the order of the columns that have codes.

    Raises:
        ModelError: there are not as many of those.

    """
    coded = [number for number, text in enumerate(told) if CODES.fullmatch(text)]
    if categories and len(coded) != len(categories):
        raise ModelError(
            "it was fitted on columns of pandas' categories, and some of them were of no use to it, so that it cannot "
            "be told which is which; fit it without those, or define model_fn and predict_fn in a handler"
        )
    texts = dict(zip(coded, categories, strict=False))
    found = []
    for number, name in enumerate(names):
        if number in texts:
            found.append(Column(name, "text", missing=True, categories=tuple(map(str, texts[number]))))
            continue
        span = RANGE.fullmatch(told[number])
        low, high = (float(span["low"]), float(span["high"])) if span else (None, None)
        found.append(Column(name, "number", missing=True, minimum=low, maximum=high))
    return tuple(found)
