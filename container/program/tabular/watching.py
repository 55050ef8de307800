"""A look at histogram gradient boosting while it fits: the model of the iterations that it has behind it.

To pause such a fit and go on costs a second preparation of the data, for many rows as much as dozens of iterations. But
what an iteration has grown never changes, so a copy that ends with the last whole iteration is the model that a fit of
so many iterations returns. scikit-learn has no call for it: the names below with an underscore are its own, and
`tests/unit/tabular/test_fitting.py` holds what is made of them against plain fits, to the bit.
"""

from __future__ import annotations

import copy
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from tabular.model import final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What only a fit in progress has: by the first it tells its estimator that the rows it is to predict are its own; the
# others are of callbacks, set by a pipeline, and skops cannot write them.
IN_PROGRESS = ("_in_fit", "_callback_fit_ctx", "_parent_callback_ctx")
# Seconds until the first look at a fit.
EARLIEST = 2.0


def suits(estimator: Any) -> bool:
    """Whether the estimator can be watched.

    Where it draws features at random, a copy has the draws of an iteration that is not over; and while it computes a
    score of another kind than the loss, its answers are not its own.
    """
    kinds = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    return isinstance(estimator, kinds) and estimator.max_features == 1.0 and estimator.scoring == "loss"


@contextmanager
def watched(model: Any, done: int, interval: float, keep: Callable[[Any], None]) -> Iterator[None]:
    """Call `keep` with the model so far, every `interval` seconds and from another thread, while the block runs.

    Args:
        model: what the block fits.
        done: iterations that it had before.
        interval: in seconds; the first ones are shorter, from `EARLIEST` on, each twice the one before.
        keep: what to do with a copy; it is called only where there are iterations that it has not seen.

    """
    over = threading.Event()

    def look() -> None:
        last, wait = done, min(EARLIEST, interval)
        while not over.wait(wait):
            wait = min(2 * wait, interval)
            found = so_far(model, last)
            if found is not None:
                last = final(found).n_iter_
                keep(found)

    thread = threading.Thread(target=look, name="milestones", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def so_far(model: Any, done: int) -> Any:
    """Return a model of the whole iterations that the fit in progress, or interrupted, has behind it.

    It predicts, and a fit with ``warm_start`` goes on from it to the same end. None where there are no more than
    `done`: while a fit that goes on prepares its data, even those cannot be used.
    """
    estimator = final(model)
    state = vars(estimator).copy()
    grown = list(state.get("_predictors", ()))
    if grown and len(grown[-1]) < state["n_trees_per_iteration_"]:
        grown.pop()
    scores = {name: list(state.get(name, ())) for name in ("train_score_", "validation_score_")}
    # Scores begin with that of no iteration at all; where it does not stop early, there are none.
    count = min([len(grown), *(len(each) - 1 for each in scores.values() if each)])
    if count <= done:
        return None
    snapshot = copy.copy(estimator)
    vars(snapshot).update({name: np.asarray(each[: count + 1]) for name, each in scores.items()})
    snapshot._predictors = grown[:count]  # noqa: SLF001 - see the module's docstring
    for name in IN_PROGRESS:
        vars(snapshot).pop(name, None)
    return Pipeline([*model.steps[:-1], (model.steps[-1][0], snapshot)]) if isinstance(model, Pipeline) else snapshot
