"""EDIT 2 of 2: how a model answers.

    model_fn(model_dir)           returns your model, from the files that train left there
    predict_fn(data, model)       returns one prediction a row

`data` is a pandas DataFrame or, where its annotation says so, a NumPy array. Requests in CSV, JSON and more are
decoded, checked and answered for you; define input_fn(body, content_type) or output_fn(prediction, accept) for
media types of your own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tabular import model as tabular

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from byoc.predictions import Predictions

# Loaded once and shared by all workers. Leave it out for models that start threads or hold a GPU when loaded.
FORK_SAFE = True
# predict_fn only computes: brief calls need no thread. Leave it out where it waits for a network, a lock or a device.
PURE = True


def model_fn(model_dir: str) -> tabular.Model:
    """Load the model."""
    return tabular.load(Path(model_dir))


def predict_fn(data: NDArray[np.float64], model: tabular.Model) -> Predictions:
    """Predict: (rows, features) float64 in, one prediction a row out."""
    return model.predict(data)
