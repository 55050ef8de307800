"""Fitting, so that a job that is told to stop leaves the best model it has, and an interrupted one goes on from it."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import time
import warnings
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from byoc.errors import ModelError
from byoc.flavors import sklearn as flavor
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
# Parameters that change how fast a model comes and what is printed, never the model: another machine may go on.
NEVER_THE_MODEL = ("n_jobs", "verbose")


def fit(model: Any, features: NDArray[Any], labels: NDArray[Any], job: Job, report: Callable[[Any], None]) -> Any:
    """Fit the model and return it; where the job is stopped, return it as of its last milestone.

    An iterative estimator pauses at milestones: `report` is called with the model so far, and a snapshot is kept, as a
    checkpoint too where the job has those. A job that finds one goes on from there. When it pauses or was interrupted
    depends on the machine; the model it ends with does not.

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
    total = final(model).get_params()[parameter]
    key = fingerprint(model, features, labels) if job.checkpoints.enabled else ""
    model, done = _resume(model, job, key)
    estimator = final(model).set_params(warm_start=True)
    snapshot = pickle.dumps(model) if done else b""
    started, milestone = time.monotonic(), min(done + FIRST_MILESTONE, total)
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
            # On the disk in skops, although pickle is quicker: whoever may write to a bucket could put a pickle there
            # that runs as this job. The model goes on from either to the same bit.
            job.checkpoints.save(done, partial(flavor.write, model), key)
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


def _resume(model: Any, job: Job, key: str) -> tuple[Any, int]:
    """Return the model of the newest checkpoint and its iterations; the given one and 0 where there is none."""
    checkpoint = job.checkpoints.latest(key)
    if checkpoint is None:
        return model, 0
    try:
        resumed = flavor.read(checkpoint.file)
    except ModelError as error:
        log.warning("starting anew: %s", error)
        return model, 0
    wanted = final(model).get_params()
    final(resumed).set_params(**{name: wanted[name] for name in NEVER_THE_MODEL if name in wanted})
    log.info("going on from the checkpoint of %d iterations, %s", checkpoint.step, checkpoint.file)
    return resumed, checkpoint.step


def fingerprint(model: Any, features: NDArray[Any], labels: NDArray[Any]) -> str:
    """Return a hash over the data, the parameters and the library: where it is equal, so is the model in the end."""
    total = hashlib.sha256(json.dumps([version("scikit-learn"), _describe(model)]).encode())
    total.update(repr((features.shape, features.dtype)).encode())
    total.update(np.ascontiguousarray(features).data)
    total.update(json.dumps(labels.tolist()).encode())
    return total.hexdigest()[:16]


def _describe(value: Any) -> Any:
    """Return an estimator's class and parameters, and those of all within it, as JSON can write them."""
    if hasattr(value, "get_params"):
        parameters = value.get_params(deep=False).items()
        return [
            type(value).__name__,
            {name: _describe(each) for name, each in parameters if name not in NEVER_THE_MODEL},
        ]
    return [_describe(each) for each in value] if isinstance(value, list | tuple) else repr(value)


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
