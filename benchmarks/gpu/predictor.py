"""A predictor.py for any model that is known by its files; with BATCHABLE=false it is called once a request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc import flavors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCHABLE = os.environ.get("BATCHABLE") != "false"


def model_fn(model_dir: str) -> flavors.Model:
    """Load the model."""
    return flavors.load(Path(model_dir))


def predict_fn(data: NDArray[np.float64], model: flavors.Model) -> Any:
    """Predict."""
    return model.predict(data)
