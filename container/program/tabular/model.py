"""The fitted model as serving uses it: rows in, predictions out."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from byoc.flavors import sklearn as flavor
from byoc.predictions import Predictions
from byoc.schema import Schema
from tabular.pipeline import final

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

# Classifiers whose predict() is, by its definition, the class of the largest probability: one call serves both.
LABEL_BY_PROBABILITY = (
    DecisionTreeClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
LIBRARIES = ("numpy", "scikit-learn", "skops")


@dataclass(frozen=True)
class TabularModel:
    """A fitted estimator with the schema of its rows."""

    estimator: Any
    schema: Schema

    def predict(self, rows: NDArray[np.float64]) -> Predictions:
        """Predict.

        Args:
            rows: (n, features) as `byoc.schema.Schema.matrix` makes them.

        Returns:
            n labels or numbers and, from classifiers that have them, the (n, classes) probabilities.

        """
        if self.schema.problem_type == "regression":
            return Predictions(np.asarray(self.estimator.predict(rows), dtype=np.float64).reshape(len(rows)))
        if not hasattr(self.estimator, "predict_proba"):
            return Predictions(self.estimator.predict(rows), classes=self.schema.classes)
        probabilities = self.estimator.predict_proba(rows)
        if isinstance(final(self.estimator), LABEL_BY_PROBABILITY):
            labels = self.estimator.classes_[probabilities.argmax(axis=1)]
        else:
            labels = self.estimator.predict(rows)
        return Predictions(labels, probabilities, self.schema.classes)


def save(model: TabularModel, folder: Path) -> None:
    """Write ``model.skops`` and ``schema.json`` into the folder.

    Raises:
        ModelError: a file cannot be written.

    """
    estimator = final(model.estimator)
    if "n_jobs" in estimator.get_params(deep=False):
        # A request's few rows are no work for a pool; serving spreads requests over workers instead.
        estimator.set_params(n_jobs=None)
    flavor.save(model.estimator, folder)
    model.schema.save(folder)


def load(folder: Path) -> TabularModel:
    """Read what `save` wrote.

    Raises:
        ModelError: a file is missing, damaged or not trusted.

    """
    schema = Schema.load(folder)
    drift = [
        f"{name} {then} then, {now} now"
        for name, now in versions().items()
        if (then := schema.created.get("versions", {}).get(name, now)) != now
    ]
    if drift:
        log.warning("the model was trained with other versions of libraries: %s", ", ".join(drift))
    return TabularModel(flavor.load(folder), schema)


def versions() -> dict[str, str]:
    """Return the versions of what a model's numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
