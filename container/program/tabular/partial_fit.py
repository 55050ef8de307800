"""Estimators that learn from one block of rows after the other: those of scikit-learn's that have ``partial_fit``."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone, is_classifier

if TYPE_CHECKING:
    from collections.abc import Mapping

ESTIMATORS = (
    "SGDClassifier",
    "SGDRegressor",
    "Perceptron",
    "GaussianNB",
    "BernoulliNB",
    "MultinomialNB",
    "ComplementNB",
    "CategoricalNB",
    "MLPClassifier",
    "MLPRegressor",
)
DEFAULTS = {"classification": "SGDClassifier", "regression": "SGDRegressor"}
# With this loss the default knows probabilities.
PARAMETERS: dict[str, dict[str, Any]] = {"classification": {"loss": "log_loss"}, "regression": {}}
# Naive Bayes counts: once over the data, and it knows all that it can.
PASSES = 5
PASSES_OF_COUNTING = 1
# What fit() goes by and partial_fit() does not: the number of passes is ours.
WITHOUT_MEANING = ("max_iter", "tol", "n_iter_no_change")


def is_possible(estimator: Any) -> bool:
    """Whether it learns block by block."""
    return hasattr(type(estimator), "partial_fit")


def passes(estimator: Any) -> int:
    """Return how often it goes over the data where nobody says."""
    return PASSES_OF_COUNTING if type(estimator).__module__ == "sklearn.naive_bayes" else PASSES


def refusal(estimator: Any, given: Mapping[str, Any]) -> str:
    """Return why these parameters, which `fit` would take, cannot be had block by block; "" where they can.

    An estimator tells that at its first block, hours after the start: so it is shown two rows.
    """
    if useless := [name for name in WITHOUT_MEANING if name in given]:
        return f"{useless[0]} has no meaning block by block (incremental): say by passes how often to go over the data"
    trial = clone(estimator)
    if isinstance(trial.get_params().get("class_weight"), dict):
        trial.set_params(class_weight=None)  # by labels, which are not known yet
    labels = {"classes": [0, 1]} if is_classifier(trial) else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial.partial_fit(np.array([[0.0, 1.0], [1.0, 0.0]]), [0, 1], **labels)
    except ValueError as error:
        return f"{type(trial).__name__} cannot learn block by block (incremental) so: {' '.join(str(error).split())}"
    return ""
