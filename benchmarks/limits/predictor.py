"""The README's predictor: scikit-learn's public `predict`, and nothing of the sample algorithm's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc.flavors import sklearn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORK_SAFE = True


def model_fn(model_dir: str) -> Any:
    """Load the model."""
    return sklearn.load(Path(model_dir))


def predict_fn(data: NDArray[np.float64], model: Any) -> Any:
    """Predict: (rows, features) in, one label a row out."""
    return model.predict(data)
