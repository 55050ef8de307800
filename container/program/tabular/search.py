"""A randomized search for hyperparameters: candidates drawn from a space, each judged by cross-validation.

Every fit is a task of joblib's, so it runs on all CPUs of one host, or on all hosts where Dask spreads the work. What
is found does not depend on that: candidates and folds come from the seed, and each fit has one thread.
"""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.model_selection import KFold, ParameterSampler, StratifiedKFold
from threadpoolctl import threadpool_limits

from byoc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from byoc.training import Job

log = logging.getLogger(__name__)

# Seconds between two lines that tell how far the search is.
INTERVAL = 10.0
MOST_FOLDS = 100
MOST_CANDIDATES = 100_000
FORM = (
    '{"space": {"max_depth": [3, 5, null], "learning_rate": {"low": 0.01, "high": 0.3, "log": true}}, '
    '"n_iter": 20, "cv": 5}'
)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included where both are whole; uniform, or by their logarithm."""

    low: float
    high: float
    log: bool = False

    def distribution(self) -> Any:
        """Return it as SciPy draws from it."""
        if self.log:
            return loguniform(self.low, self.high)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return randint(self.low, self.high + 1)
        return uniform(self.low, self.high - self.low)


@dataclass(frozen=True)
class Search:
    """What to search: values or ranges by the estimator's own names, how many candidates to draw, and the folds."""

    space: Mapping[str, list[Any] | Range]
    n_iter: int = 10
    cv: int = 5

    @classmethod
    def read(cls, value: Any) -> Search:
        """Check the decoded hyperparameter.

        Raises:
            ValueError: says what is wrong, to complete "search=... ".

        """
        if not isinstance(value, dict) or not isinstance(value.get("space"), dict) or not value["space"]:
            raise ValueError(f"must be a JSON object with a space, for instance {FORM}")
        if unknown := sorted(map(str, value.keys() - cls.__dataclass_fields__.keys())):
            raise ValueError(f"has {', '.join(unknown)}, but can only have space, n_iter and cv")
        counts = {"n_iter": (1, MOST_CANDIDATES), "cv": (2, MOST_FOLDS)}
        given = {name: _whole(name, value[name], *limits) for name, limits in counts.items() if name in value}
        return cls({name: _dimension(name, each) for name, each in value["space"].items()}, **given)

    def extremes(self) -> list[tuple[str, Any]]:
        """Return every value of every list, and both ends of every range, by parameter."""
        found: list[tuple[str, Any]] = []
        for name, values in self.space.items():
            found += [(name, each) for each in ([values.low, values.high] if isinstance(values, Range) else values)]
        return found

    def candidates(self, seed: int) -> list[dict[str, Any]]:
        """Return the candidates, each once; fewer than ``n_iter`` where the space has no more."""
        space = {
            name: values.distribution() if isinstance(values, Range) else values for name, values in self.space.items()
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The total space of parameters")
            drawn = list(ParameterSampler(space, self.n_iter, random_state=seed))
        return [{name: _plain(each) for name, each in candidate.items()} for candidate in drawn]


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or int(value) != value or not low <= value <= high:
        raise ValueError(f"has {name}={value!r}, which must be a whole number from {low} to {high}")
    return int(value)


def _dimension(name: str, value: Any) -> list[Any] | Range:
    if isinstance(value, list) and value:
        return value
    if isinstance(value, dict) and {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        found = Range(**value)
        numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (found.low, found.high))
        if numbers and isinstance(found.log, bool) and (0 if found.log else -np.inf) < found.low < found.high < np.inf:
            return found
    raise ValueError(
        f"has {name}={value!r} in its space, which must be a list of values, or a range such as "
        '{"low": 0.01, "high": 1, "log": true} with low below high, and above 0 where log is true'
    )


def _plain(value: Any) -> Any:
    """Return Python's own number for one of NumPy's, which the model's facts could not show as typed."""
    return value.item() if isinstance(value, np.generic) else value


def run(
    search: Search,
    make: Callable[[Mapping[str, Any]], Any],
    features: NDArray[Any],
    labels: NDArray[Any],
    job: Job,
    *,
    stratified: bool,
    seed: int,
) -> dict[str, Any]:
    """Return the best candidate; where several are equally good, the first drawn.

    Its score, the mean over the folds of what the estimator's own ``score`` gives, is the metric ``search:best_score``.

    Args:
        search: what to search.
        make: gives the unfitted model for a candidate.
        features: (rows, features).
        labels: one for each row.
        job: gives the CPUs and takes the metric.
        stratified: whether each fold is to have each class by its share.
        seed: of candidates and folds.

    Raises:
        DataError: there are too few rows, or no candidate can be fitted.

    """
    candidates = search.candidates(seed)
    splitter = (StratifiedKFold if stratified else KFold)(search.cv, shuffle=True, random_state=seed)
    try:
        folds = list(splitter.split(features, labels))
    except ValueError as error:
        raise DataError(f"search: cv={search.cv} folds cannot be made of {len(labels)} rows: {error}") from error
    log.info("search: %d candidates of %s, %d folds each", len(candidates), ", ".join(search.space), len(folds))
    tasks = (
        joblib.delayed(_score)((row, column), model, features, labels, *fold)
        for row, model in enumerate(map(make, candidates))
        for column, fold in enumerate(folds)
    )
    scores = np.full((len(candidates), len(folds)), np.nan)
    refusals: list[str] = []
    told = best = -np.inf
    parallel = joblib.Parallel(n_jobs=job.cpus, return_as="generator_unordered")
    for done, (place, score, refusal) in enumerate(parallel(tasks), start=1):
        scores[place] = score
        refusals += [refusal] if refusal else []
        if time.monotonic() - told >= INTERVAL or done == scores.size:
            told = time.monotonic()
            log.info("search: %d of %d fits", done, scores.size)
            best = _tell(job, scores, best)
    means = scores.mean(axis=1)
    if np.isnan(means).all():
        raise DataError(f"search: no candidate can be fitted: {refusals[0]}")
    if refusals:
        log.warning("search: %d of %d fits failed, for instance: %s", len(refusals), scores.size, refusals[0])
    winner = int(np.nanargmax(means))
    log.info("search: the best of %d candidates, with %.6g, is %s", len(candidates), means[winner], candidates[winner])
    return candidates[winner]


def _tell(job: Job, scores: NDArray[np.float64], best: float) -> float:
    """Print the best score of the candidates that are complete, if better than the last; return the best."""
    complete = scores.mean(axis=1)
    complete = complete[~np.isnan(complete)]
    if len(complete) and complete.max() > best:
        best = float(complete.max())
        job.metric("search:best_score", best)
    return best


def _score(
    place: tuple[int, int],
    model: Any,
    features: NDArray[Any],
    labels: NDArray[Any],
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
) -> tuple[tuple[int, int], float, str]:
    """Fit on one part and score on the other; a model that refuses the data scores nan and says why."""
    # Here the CPUs are taken by other fits; and sums of floats depend on how many threads share them.
    with joblib.parallel_config("sequential"), threadpool_limits(1):
        try:
            model.fit(features[training], labels[training])
            return place, float(model.score(features[validation], labels[validation])), ""
        except ValueError as error:
            return place, float("nan"), str(error)
