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
FIRST_MILESTONE = 10


def fit(model: Any, features: NDArray[Any], labels: NDArray[Any], job: Job, report: Callable[[Any], None]) -> Any:
    """Fit the model and return it; where the job is stopped, return it as of its last milestone.

    An iterative estimator pauses after 10, 20, 40, … iterations: `report` is called with the model so far, and a
    snapshot is kept. The milestones double, so that pausing costs little, and do not depend on the machine's speed, so
    that the same data and seed give the same model.

    Raises:
        Stopped: the job was stopped and there is no model yet.

    """
    parameter = ITERATIVE.get(type(final(model)).__name__)
    if parameter is None or final(model).get_params()["warm_start"]:
        return model.fit(features, labels)
    with warnings.catch_warnings():
        # Each milestone sees the same data, so presets computed from it do not drift.
        warnings.filterwarnings("ignore", message="class_weight presets")
        return _fit_by_milestones(model, parameter, features, labels, job, report)


def _fit_by_milestones(
    model: Any, parameter: str, features: NDArray[Any], labels: NDArray[Any], job: Job, report: Callable[[Any], None]
) -> Any:
    estimator = final(model)
    total = estimator.get_params()[parameter]
    estimator.set_params(warm_start=True)
    started, snapshot, done = time.monotonic(), b"", 0
    try:
        for milestone in milestones(total):
            estimator.set_params(**{parameter: milestone})
            model.fit(features, labels)
            done = getattr(estimator, "n_iter_", milestone)
            if done < milestone or milestone == total:
                break
            snapshot = pickle.dumps(model)
            log.info("fitted %d of %d iterations in %.1f s", done, total, time.monotonic() - started)
            report(model)
    except Stopped as stop:
        if not snapshot:
            raise
        log.warning("%s: keeping the model of %d of %d iterations", stop, done, total)
        # Asking tells that the job ends by itself: evaluating and saving may take their time.
        assert job.stopping
        model = pickle.loads(snapshot)  # noqa: S301 - written a moment ago, by this function
    final(model).set_params(warm_start=False, **{parameter: total})
    return model


def milestones(total: int) -> list[int]:
    """Return the iterations after which fitting pauses: 10, 20, 40, … and the total."""
    steps = []
    step = FIRST_MILESTONE
    while step < total:
        steps.append(step)
        step *= 2
    return [*steps, total]
