"""Trees, forests and histogram gradient boosting asked without scikit-learn's costs of a call.

A public ``predict`` validates, starts a pool of threads and wraps every tree: ten milliseconds for a row whose trees
take half of one. Here the fitted trees are asked themselves. Some of their names are private, so what is made here is
only to be used once it has answered the same as the public method, to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline
from sklearn.tree import BaseDecisionTree
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]

FORESTS = (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor)
# Fewer rows are no work to share among threads.
FEWEST_TO_SHARE = 1_000


def shortcut(model: Any) -> Predict | None:
    """Return what answers as ``predict_proba`` does, or a regressor's ``predict``; None where nothing is known."""
    if isinstance(model, Pipeline):
        inner = shortcut(model[-1])
        before = model[:-1]
        return None if inner is None else lambda rows: inner(before.transform(rows))
    if isinstance(model, BaseDecisionTree):
        return _mean([model.tree_], flat=not hasattr(model, "classes_"))
    if isinstance(model, FORESTS):
        return _mean([each.tree_ for each in model.estimators_], flat=not hasattr(model, "classes_"))
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return _boosted(model)
    return None


def agrees(shortcut: Predict, model: Any, rows: NDArray[np.float64]) -> bool:
    """Whether it answers as the model's public method to the bit, for the rows together and for the first alone."""
    public = model.predict_proba if hasattr(model, "classes_") else model.predict
    return all(np.array_equal(shortcut(some), public(some), equal_nan=True) for some in (rows, rows[:1]))


def _mean(trees: list[Any], *, flat: bool) -> Predict:
    def predict(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        features = rows.astype(np.float32)
        total: NDArray[np.float64] = trees[0].predict(features)
        for tree in trees[1:]:
            total += tree.predict(features)
        total /= len(trees)
        return total.ravel() if flat else total

    return predict


def _boosted(model: Any) -> Predict | None:
    if model._preprocessor is not None:  # noqa: SLF001 - its transformation costs more than all that is saved here
        return None
    stages, start, loss = model._predictors, model._baseline_prediction, model._loss  # noqa: SLF001 - see above
    known, positions = model._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001 - see above
    most = _openmp_effective_n_threads()

    def predict(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        threads = most if len(rows) >= FEWEST_TO_SHARE else 1
        raw = np.zeros((len(rows), start.shape[1]), order="F")
        raw += start
        for stage in stages:
            for output, tree in enumerate(stage):
                raw[:, output] += tree.predict(rows, known, positions, threads)
        answer: NDArray[np.float64] = (
            loss.predict_proba(raw) if hasattr(model, "classes_") else loss.link.inverse(raw.ravel())
        )
        return answer

    return predict
