"""Fitting, so that a job that is told to stop still leaves the best model it has."""

from __future__ import annotations

import logging
import pickle
import time
import warnings
from typing import TYPE_CHECKING, Any

from byoc.training.stop import Stopped
from tabular.pipeline import final

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from byoc.training import Job

log = logging.getLogger(__name__)

# Estimators that grow by trees, and go on where they stopped when warm_start is set, to the same end to the bit.
ITERATIVE = {
    "HistGradientBoostingClassifier": "max_iter",
    "HistGradientBoostingRegressor": "max_iter",
    "GradientBoostingClassifier": "n_estimators",
    "GradientBoostingRegressor": "n_estimators",
    "RandomForestClassifier": "n_estimators",
    "RandomForestRegressor": "n_estimators",
    "ExtraTreesClassifier": "n_estimators",
    "ExtraTreesRegressor": "n_estimators",
}
# Iterations before the first milestone, and seconds between the later ones: what a stop may lose. A pause costs a
# second preparation of the data, so a short training has few.
FIRST_MILESTONE = 10
INTERVAL = 30.0


def fit(model: Any, features: NDArray[Any], labels: NDArray[Any], job: Job, report: Callable[[Any], None]) -> Any:
    """Fit the model and return it; where the job is stopped, return it as of its last milestone.

    An iterative estimator pauses at milestones: `report` is called with the model so far, and a snapshot is kept. When
    it pauses depends on the machine's speed; the model it ends with does not.

    Raises:
        Stopped: the job was stopped and there is no model yet.

    """
    estimator = final(model)
    parameter = ITERATIVE.get(type(estimator).__name__)
    if parameter is None or estimator.warm_start or _loses_count(estimator):
        return model.fit(features, labels)
    with warnings.catch_warnings():
        # Each pause sees the same data, so presets computed from it do not drift.
        warnings.filterwarnings("ignore", message="class_weight presets")
        return _fit_by_milestones(model, parameter, features, labels, job, report)


def _fit_by_milestones(
    model: Any, parameter: str, features: NDArray[Any], labels: NDArray[Any], job: Job, report: Callable[[Any], None]
) -> Any:
    estimator = final(model)
    total = estimator.get_params()[parameter]
    estimator.set_params(warm_start=True)
    started, snapshot, done, milestone = time.monotonic(), b"", 0, min(FIRST_MILESTONE, total)
    try:
        while True:
            began = time.monotonic()
            estimator.set_params(**{parameter: milestone})
            model.fit(features, labels)
            if milestone == total or has_converged(estimator, milestone):
                break
            pace = (time.monotonic() - began) / (milestone - done)
            done = milestone
            snapshot = pickle.dumps(model)
            log.info("fitted %d of %d iterations in %.1f s", done, total, time.monotonic() - started)
            report(model)
            milestone = min(total, done + max(1, int(INTERVAL / pace)))
    except Stopped as stop:
        if not snapshot:
            raise
        log.warning("%s: keeping the model of %d of %d iterations", stop, done, total)
        # Asking tells that the job ends by itself: evaluating and saving may take their time.
        assert job.stopping
        model = pickle.loads(snapshot)  # noqa: S301 - written a moment ago, by this function
    final(model).set_params(warm_start=False, **{parameter: total})
    return model


def has_converged(estimator: Any, milestone: int) -> bool:
    """Whether early stopping ended the fit; on the very milestone, only the scores tell.

    The rule is the one that scikit-learn documents for histogram gradient boosting: none of the last
    ``n_iter_no_change`` scores is better, by more than ``tol``, than the one before them.
    """
    if getattr(estimator, "n_iter_", milestone) < milestone:
        return True
    if not getattr(estimator, "do_early_stopping_", False):
        return False
    scores = estimator.train_score_ if estimator.validation_fraction is None else estimator.validation_score_
    patience = estimator.n_iter_no_change
    return bool(len(scores) > patience and max(scores[-patience:]) <= scores[-patience - 1] + estimator.tol)


def _loses_count(estimator: Any) -> bool:
    """Whether early stopping would forget, at a pause, how long it has waited: classic gradient boosting does."""
    return type(estimator).__name__.startswith("GradientBoosting") and estimator.n_iter_no_change is not None
