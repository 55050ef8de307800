"""How good a model is on rows that come in blocks: counts and sums that add up to the usual metrics."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tabular.model import classify

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from byoc.schema import Schema

# Of a probability that ought to be 1, as scikit-learn has it.
SMALLEST = np.finfo(np.float64).eps


@dataclass
class Tally:
    """What a model answered.

    Attributes:
        rows: how many.
        pairs: of classification: how often a label was answered with a label.
        loss: of classification: the sum of the logarithmic losses; nan where it is not defined.
        error, absolute: of regression: the sums of squared and of absolute errors.
        mean, squares: of regression: the mean of the true numbers, and their squared differences from it.

    """

    rows: int = 0
    pairs: Counter[tuple[Any, Any]] = field(default_factory=Counter)
    loss: float = 0.0
    error: float = 0.0
    absolute: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, model: Any, features: NDArray[np.float64], truth: NDArray[Any], schema: Schema) -> Tally:
        """Have the model answer rows (n, features), of which the labels are known."""
        if not len(truth):
            return cls()
        if schema.problem_type == "regression":
            predicted = np.asarray(model.predict(features)).reshape(-1)
            off, mean = predicted - truth, float(truth.mean())
            return cls(
                len(truth),
                error=float(np.square(off).sum()),
                absolute=float(np.abs(off).sum()),
                mean=mean,
                squares=float(np.square(truth - mean).sum()),
            )
        answered, probabilities = classify(model, features)
        pairs = Counter(zip(truth.tolist(), answered.tolist(), strict=True))
        return cls(len(truth), pairs, math.nan if probabilities is None else _loss(truth, probabilities, schema))

    def add(self, other: Tally) -> None:
        """Take in what was answered to other rows."""
        if not other.rows:
            return
        total, apart = self.rows + other.rows, other.mean - self.mean
        self.squares += other.squares + apart**2 * (self.rows * (other.rows / total))
        self.mean += apart * (other.rows / total)
        self.rows = total
        self.pairs.update(other.pairs)
        self.loss += other.loss
        self.error += other.error
        self.absolute += other.absolute

    def metrics(self) -> dict[str, float]:
        """Return the metrics by their names; one that is not defined is left out."""
        if not self.rows:
            return {}
        found = self._of_labels() if self.pairs else self._of_numbers()
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _of_numbers(self) -> dict[str, float]:
        found = {"rmse": math.sqrt(self.error / self.rows), "mae": self.absolute / self.rows}
        return {**found, "r2": 1 - self.error / self.squares} if self.squares > 0 else found

    def _of_labels(self) -> dict[str, float]:
        true, answered, right = Counter[Any](), Counter[Any](), Counter[Any]()
        for (label, answer), count in self.pairs.items():
            true[label] += count
            answered[answer] += count
            right[label] += count * (label == answer)
        scores = [2 * right[label] / (true[label] + answered[label]) for label in dict.fromkeys([*true, *answered])]
        return {
            "accuracy": sum(right.values()) / self.rows,
            "balanced_accuracy": sum(right[label] / count for label, count in true.items()) / len(true),
            "macro_f1": sum(scores) / len(scores),
            "log_loss": self.loss / self.rows,
        }


def _loss(truth: NDArray[Any], probabilities: NDArray[np.float64], schema: Schema) -> float:
    """Return the sum of the logarithmic losses, nan where a class is none of the model's."""
    position = {label: number for number, label in enumerate(schema.classes)}
    columns = np.array([position.get(label, -1) for label in truth.tolist()])
    if columns.min() < 0:
        return math.nan
    given = probabilities / probabilities.sum(axis=1, keepdims=True)
    chosen = given[np.arange(len(columns)), columns]
    return float(-np.log(np.clip(chosen, SMALLEST, 1 - SMALLEST)).sum())
