"""EDIT 2 of 2: how a model answers.

    model_fn(model_dir)           returns your model, from the files that train left there
    predict_fn(data, model)       returns one prediction a row

`data` is a pandas DataFrame or, where its annotation says so, a NumPy array. Requests in CSV, JSON and more are
decoded, checked and answered for you; define input_fn(body, content_type) or output_fn(prediction, accept) for
media types of your own. As it stands, it answers with what train makes, and with any model that is known by its files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc import flavors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# True: loaded once and shared by all workers. Not for models that start threads or hold a GPU when loaded.
FORK_SAFE = flavors.fork_safe
# True: predict_fn only computes, brief calls need no thread. Not where it waits for a network, a lock or a device.
PURE = flavors.pure


def model_fn(model_dir: str) -> flavors.Model:
    """Load the model."""
    return flavors.load(Path(model_dir))


def predict_fn(data: NDArray[np.float64], model: flavors.Model) -> Any:
    """Predict: (rows, features) float64 in, one prediction a row out."""
    return model.predict(data)
