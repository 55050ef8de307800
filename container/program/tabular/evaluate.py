"""Measure a fitted model on rows it was not fitted on."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_selection import f_classif, f_regression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from tabular.model import classify

ProblemType = Literal["classification", "regression"]

# The importances may cost this much and no more: columns x repeats x rows predicted stays within MAX_PREDICTIONS,
# which a forest of a hundred trees answers in a few seconds.
MAX_ROWS = 2_000
MAX_COLUMNS = 50
REPEATS = 5
MAX_PREDICTIONS = 200_000


@dataclass(frozen=True)
class Importance:
    """How much the score falls when one column is shuffled: mean and standard deviation over the repeats."""

    column: str
    mean: float
    deviation: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a fitted model does on rows it was not fitted on."""

    problem_type: ProblemType
    metrics: dict[str, float]  # finite; one that is undefined on these rows is left out
    truth: NDArray[Any]  # (n,) labels or numbers
    predicted: NDArray[Any]  # (n,)
    classes: tuple[Any, ...]  # the label of each column of probabilities; () in regression
    probabilities: NDArray[np.float64] | None  # (n, k); None when the model does not give any
    importances: tuple[Importance, ...]  # largest first; the fall of accuracy or of R2
    column_count: int  # of the features; more than the importances when only some columns were shuffled


def evaluate(
    estimator: Any,
    features: NDArray[np.float64],
    truth: NDArray[Any],
    columns: Sequence[str],
    problem_type: ProblemType,
    *,
    seed: int,
    importance: bool = True,
) -> Evaluation:
    """Predict `features` (n, columns) and compare with `truth` (n,), which may hold classes the model never saw.

    The same arguments and seed give the same evaluation. Without `importance` the columns' importances, which take the
    longest, are left out. Raises ValueError when there is no row or shapes disagree.
    """
    if not len(truth) or features.shape != (len(truth), len(columns)):
        raise ValueError(
            f"cannot evaluate features {features.shape} against {len(truth)} rows of {len(columns)} columns"
        )
    # Small or one-sided hold-outs make scikit-learn warn about every undefined metric; those are left out below.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classes: tuple[Any, ...] = ()
        probabilities = None
        if problem_type == "classification":
            classes = tuple(np.asarray(estimator.classes_).tolist())
            predicted, probabilities = classify(estimator, features)
            metrics = _classification_metrics(truth, predicted, classes, probabilities)
        else:
            predicted = np.asarray(estimator.predict(features)).reshape(-1)
            metrics = _regression_metrics(truth, predicted)
        importances: tuple[Importance, ...] = ()
        if importance:
            arguments = (estimator, features, truth, predicted, columns)
            importances = _importances(*arguments, problem_type=problem_type, seed=seed)
    metrics = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    return Evaluation(
        problem_type, metrics, truth, predicted, classes, probabilities, importances, column_count=len(columns)
    )


def encode(
    truth: NDArray[Any], predicted: NDArray[Any], classes: Sequence[Any]
) -> tuple[tuple[Any, ...], NDArray[np.intp], NDArray[np.intp]]:
    """Return all labels, and truth and predicted (n,) as positions among them.

    The model's `classes` come first, so that a position is also a column of the probabilities; then the labels it never
    saw. Positions, unlike labels, may be compared and sorted whatever the mix of types.
    """
    seen = truth.tolist(), predicted.tolist()
    labels = (*classes, *sorted({*seen[0], *seen[1]}.difference(classes), key=str))
    position = {label: index for index, label in enumerate(labels)}
    first, second = (np.array([position[label] for label in side], dtype=np.intp) for side in seen)
    return labels, first, second


def _classification_metrics(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    classes: tuple[Any, ...],
    probabilities: NDArray[np.float64] | None,
) -> dict[str, float]:
    _, true, answer = encode(truth, predicted, classes)
    metrics = {
        "accuracy": accuracy_score(true, answer),
        "balanced_accuracy": balanced_accuracy_score(true, answer),
        "macro_f1": f1_score(true, answer, average="macro", zero_division=0),
    }
    all_known = true.max() < len(classes)  # no probability was ever given to a class that the model never saw
    if probabilities is not None and all_known and len(classes) > 1 and np.isfinite(probabilities).all():
        metrics["log_loss"] = log_loss(true, probabilities, labels=range(len(classes)))
        metrics["roc_auc"] = _roc_auc(true, probabilities)
    return metrics


def _roc_auc(true: NDArray[np.intp], probabilities: NDArray[np.float64]) -> float:
    """Area of the second class's curve when there are two; else the mean over the classes that are present."""
    count = probabilities.shape[1]
    present = set(true.tolist())
    if len(present) == 1:
        return math.nan
    one_vs_rest = [1] if count == 2 else sorted(present)  # noqa: PLR2004
    return float(np.mean([roc_auc_score(true == column, probabilities[:, column]) for column in one_vs_rest]))


def _regression_metrics(truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    if not np.isfinite(predicted).all():  # a fit that diverged
        return {}
    metrics = {"rmse": root_mean_squared_error(truth, predicted), "mae": mean_absolute_error(truth, predicted)}
    if np.ptp(truth) > 0:
        metrics["r2"] = r2_score(truth, predicted)
    return metrics


def _importances(
    estimator: Any,
    features: NDArray[np.float64],
    truth: NDArray[Any],
    predicted: NDArray[Any],
    columns: Sequence[str],
    *,
    problem_type: ProblemType,
    seed: int,
) -> tuple[Importance, ...]:
    """Shuffle one column at a time; when there are many, those that go most with the predictions."""
    chosen = np.arange(len(columns))
    if len(chosen) > MAX_COLUMNS:
        chosen = _most_associated(features, predicted, problem_type)
    row_count = min(len(truth), MAX_ROWS, MAX_PREDICTIONS // (REPEATS * max(1, len(chosen))))
    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(len(truth), row_count, replace=False))
    sample, answers = features[rows], truth[rows]

    def score(shuffled: NDArray[np.float64]) -> NDArray[Any]:
        """Return the score of each block of `row_count` rows."""
        found = np.asarray(estimator.predict(shuffled)).reshape(-1, row_count)
        if problem_type == "classification":
            return np.asarray(np.mean(found == answers, axis=1))
        return np.asarray(1.0 - np.mean((found - answers) ** 2, axis=1) / np.var(answers))

    unshuffled = score(sample)
    # All repeats of a column in one call: for models of many trees it is the calls that take the time.
    block = np.tile(sample, (REPEATS, 1))
    importances = []
    for column in chosen:
        block[:, column] = np.concatenate([random.permutation(sample[:, column]) for _ in range(REPEATS)])
        falls = unshuffled - score(block)
        block[:, column] = np.tile(sample[:, column], REPEATS)
        if np.isfinite(falls).all():
            importances.append(Importance(columns[int(column)], float(falls.mean()), float(falls.std())))
    return tuple(sorted(importances, key=lambda importance: -importance.mean))


def _most_associated(
    features: NDArray[np.float64], predicted: NDArray[Any], problem_type: ProblemType
) -> NDArray[np.intp]:
    """Return the positions, ascending, of the MAX_COLUMNS columns with the largest F statistic against `predicted`."""
    known = np.isfinite(features)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, features, 0.0).sum(axis=0) / counts
    filled = np.where(known, features, means)
    statistic = f_classif if problem_type == "classification" else f_regression
    try:
        strength = np.nan_to_num(statistic(filled, predicted)[0], nan=-1.0)
    except ValueError:  # the model always gives the same answer, or not a number: no column stands out
        strength = np.zeros(features.shape[1])
    return np.sort(np.argsort(-strength, kind="stable")[:MAX_COLUMNS])
