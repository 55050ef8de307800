"""XGBoost models in its own formats, JSON and UBJSON: ``model.json``, ``*.ubj``, ``*.xgb`` and ``xgboost-model``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from byoc.errors import ModelError
from byoc.flavors import boosters, columns, signs
from byoc.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from byoc.schema import Schema

# The booster that answers the same from an array at once; the others need XGBoost's own matrix.
IN_PLACE = "gbtree"
BINARY = {"binary:logistic", "binary:hinge"}
LABELS_ONLY = {"binary:hinge", "multi:softmax"}


class Model:
    """A booster that answers as `xgboost.Booster.predict` does, with the trees up to its best iteration.

    Attributes:
        schema: numbers that may be missing, by the booster's names where it has some. A category is its code.

    """

    takes = "array"

    def __init__(self, booster: xgboost.Booster) -> None:
        told = json.loads(booster.save_config())["learner"]
        self._booster = booster
        self._objective: str = told["objective"]["name"]
        self._classes = _classes(self._objective, told["learner_model_param"])
        self._in_place = told["gradient_booster"]["name"] == IN_PLACE
        best = booster.attributes().get("best_iteration")
        self._range = (0, 0 if best is None else int(best) + 1)
        self.schema: Schema = columns.numbers(booster.feature_names or booster.num_features(), classes=self._classes)

    def predict(self, rows: NDArray[np.float64]) -> Predictions | NDArray[Any]:
        """Return one prediction a row of (n, features) float64, NaN where a value is missing."""
        if self._in_place:
            answer = self._booster.inplace_predict(rows, iteration_range=self._range)
        else:
            names, types = self._booster.feature_names, self._booster.feature_types
            matrix = xgboost.DMatrix(rows, feature_names=names, feature_types=types)
            answer = self._booster.predict(matrix, iteration_range=self._range)
        if self._classes and self._objective in LABELS_ONLY:
            return Predictions(answer.astype(np.int64), None, self._classes)
        return boosters.predictions(answer, self._classes)


def _classes(objective: str, parameters: dict[str, str]) -> tuple[int, ...]:
    """Return the classes of an objective; () where it is of numbers, or of several targets at a time."""
    if int(parameters.get("num_target", 1)) > 1:
        return ()
    if objective in BINARY:
        return (0, 1)
    return tuple(range(int(parameters["num_class"]))) if objective.startswith("multi:") else ()


def open_model(file: Path) -> Model:
    """Return the model in a file of XGBoost's.

    Raises:
        ModelError: it cannot be read; or it is a pickle.

    """
    if signs.of_pickle(file):
        raise ModelError(
            f"{file.name} is a pickle, which is no format of XGBoost's own: load it where it was made, and save it by "
            "booster.save_model('model.ubj')"
        )
    try:
        content = file.read_bytes()
        # XGBoost ends the process over an empty file, and reads on beyond the end of one that is cut off.
        if not signs.of_xgboost(file) or not content.rstrip().endswith(b"}"):
            raise ValueError(file)
        # By its content: of a file it would go by the name.
        return Model(xgboost.Booster(model_file=bytearray(content)))
    except (xgboost.core.XGBoostError, OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{file.name} cannot be loaded by XGBoost {xgboost.__version__}: it is damaged, or in an older format; "
            "save it anew by booster.save_model('model.ubj')"
        ) from error
