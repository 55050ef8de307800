"""Fitting, so that a job that is told to stop leaves the best model it has, and an interrupted one goes on from it."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import pickle
import time
import warnings
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from byoc.errors import ModelError
from byoc.flavors import sklearn as flavor
from byoc.training.stop import Stopped
from tabular import watching
from tabular.model import final

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

    An iterative estimator has milestones: `report` is called with the model so far, which is kept as a checkpoint too
    where the job has those. A job that finds one goes on from there. When it has one or was interrupted depends on the
    machine; the model it ends with does not. Estimators pause at milestones, except for those that `tabular.watching`
    can watch: for them `report` is called from another thread, and a stop keeps all whole iterations.

    Raises:
        Stopped: the job was stopped and there is no model yet.

    """
    estimator = final(model)
    parameter = ITERATIVE.get(type(estimator).__name__)
    if parameter is None or estimator.warm_start or _loses_count(estimator):
        return model.fit(features, labels)
    total = estimator.get_params()[parameter]
    key = fingerprint(model, features, labels) if job.checkpoints.enabled else ""
    model, done = _resume(model, job, key)
    final(model).set_params(warm_start=True)
    milestones = _Milestones(job, parameter, total, key, report)
    with warnings.catch_warnings():
        # Each pause sees the same data, so presets computed from it do not drift.
        warnings.filterwarnings("ignore", message="class_weight presets")
        by = milestones.fit_watched if watching.suits(estimator) else milestones.fit_by_pauses
        fitted = by(model, done, features, labels)
    final(fitted).set_params(warm_start=False, **{parameter: total})
    return fitted


@dataclass
class _Milestones:
    """What a fit needs besides model and data; ``total`` iterations are what it is to end with."""

    job: Job
    parameter: str
    total: int
    key: str
    report: Callable[[Any], None]
    started: float = field(default_factory=time.monotonic)

    def keep(self, model: Any, done: int) -> None:
        # On the disk in skops, although pickle is quicker: whoever may write to a bucket could put a pickle there
        # that runs as this job. The model goes on from either to the same bit.
        self.job.checkpoints.save(done, partial(flavor.write, model), self.key)
        log.info("fitted %d of %d iterations in %.1f s", done, self.total, time.monotonic() - self.started)
        self.report(model)

    def fit_watched(self, model: Any, done: int, features: NDArray[Any], labels: NDArray[Any]) -> Any:
        estimator = final(model).set_params(**{self.parameter: self.total})
        if done and has_converged(estimator, done):
            return model
        before = pickle.dumps(model) if done else b""
        try:
            with watching.watched(model, done, INTERVAL, lambda found: self.keep(found, final(found).n_iter_)):
                return model.fit(features, labels)
        except Stopped as stop:
            found = watching.so_far(model, done)
            if found is None:
                return self._stop(stop, before, done)
            done = final(found).n_iter_
            self.job.checkpoints.save(done, partial(flavor.write, found), self.key)
            return self._stop(stop, pickle.dumps(found), done)

    def fit_by_pauses(self, model: Any, done: int, features: NDArray[Any], labels: NDArray[Any]) -> Any:
        estimator = final(model)
        snapshot = pickle.dumps(model) if done else b""
        together = _together(estimator)
        milestone = min(done + _rounded_up(FIRST_MILESTONE, together), self.total)
        try:
            while True:
                began = time.monotonic()
                estimator.set_params(**{self.parameter: milestone})
                model.fit(features, labels)
                if milestone == self.total or has_converged(estimator, milestone):
                    return model
                pace = (time.monotonic() - began) / (milestone - done)
                done = milestone
                snapshot = pickle.dumps(model)
                self.keep(model, done)
                milestone = min(self.total, done + _rounded_up(int(INTERVAL / pace), together))
        except Stopped as stop:
            return self._stop(stop, snapshot, done)

    def _stop(self, stop: Stopped, snapshot: bytes, done: int) -> Any:
        """Return the model of the snapshot, where there is one."""
        if not snapshot:
            raise stop
        log.warning("%s: keeping the model of %d of %d iterations", stop, done, self.total)
        # Asking tells that the job ends by itself: evaluating and saving may take their time.
        assert self.job.stopping
        return pickle.loads(snapshot)  # noqa: S301 - written a moment ago, by this process


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
    total = hashlib.sha256(json.dumps([version("scikit-learn"), describe(model)]).encode())
    total.update(repr((features.shape, features.dtype)).encode())
    total.update(np.ascontiguousarray(features).data)
    total.update(json.dumps(labels.tolist()).encode())
    return total.hexdigest()[:16]


def describe(value: Any) -> Any:
    """Return an estimator's class and parameters, and those of all within it, as JSON can write them."""
    if hasattr(value, "get_params"):
        parameters = value.get_params(deep=False).items()
        return [
            type(value).__name__,
            {name: describe(each) for name, each in parameters if name not in NEVER_THE_MODEL},
        ]
    return [describe(each) for each in value] if isinstance(value, list | tuple) else repr(value)


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


def _together(estimator: Any) -> int:
    """Return how many iterations are done at a time: as many trees of a forest as there are CPUs, of all hosts."""
    return joblib.effective_n_jobs(estimator.n_jobs) if hasattr(estimator, "n_jobs") else 1


def _rounded_up(iterations: int, together: int) -> int:
    """Return the multiple, at least one: between fewer, CPUs would wait at every pause."""
    return together * max(1, math.ceil(iterations / together))


def _loses_count(estimator: Any) -> bool:
    """Whether early stopping would forget, at a pause, how long it has waited: classic gradient boosting does."""
    return type(estimator).__name__.startswith("GradientBoosting") and estimator.n_iter_no_change is not None
