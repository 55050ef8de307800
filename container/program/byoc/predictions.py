"""What a model answers for a number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """One answer a row.

    Attributes:
        labels: (n,) class labels, or numbers in regression.
        probabilities: (n, k) float64, one column a class; None where the model has none.
        classes: the k labels.

    """

    labels: NDArray[Any]
    probabilities: NDArray[Any] | None = None
    classes: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> Predictions:
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.labels[rows], probabilities, self.classes)
