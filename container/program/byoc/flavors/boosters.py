"""What boosters tell of a row, by their objective: XGBoost and LightGBM number classes from 0 and keep no names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from byoc.predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALF = 0.5


def predictions(answer: NDArray[Any], classes: tuple[int, ...]) -> Predictions | NDArray[Any]:
    """Return what a booster computed as labels and probabilities.

    Args:
        answer: (n,) numbers or probabilities of the second of two classes, (n, k) probabilities of k classes, or
            (n, k) numbers.
        classes: the k classes, () where the numbers are none's probabilities.

    """
    if not classes:
        return Predictions(answer.astype(np.float64)) if answer.ndim == 1 else answer
    if answer.ndim == 1:
        labels = (answer > HALF).astype(np.int64)
        # In the precision that the library computes them with.
        answer = np.column_stack((1.0 - answer, answer))
    else:
        labels = answer.argmax(axis=1)
    return Predictions(labels, answer.astype(np.float64), classes)
