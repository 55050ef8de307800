"""A predictor.py that calls the model once a request: what a server without batching does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc import flavors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCHABLE = False


def model_fn(model_dir: str) -> flavors.Model:
    """Load the model."""
    return flavors.load(Path(model_dir))


def predict_fn(data: NDArray[np.float64], model: flavors.Model) -> Any:
    """Predict."""
    return model.predict(data)
