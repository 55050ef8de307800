"""Pickles: ``*.joblib``, ``*.pkl`` and ``*.pickle``. To load one is to run a program, so it takes a setting."""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

import joblib

from byoc.env import Reader
from byoc.errors import ModelError
from byoc.flavors.estimator import Estimator

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def open_model(file: Path) -> Estimator:
    """Return the model in a pickle, where ``SERVE_ALLOW_PICKLE`` allows it.

    Raises:
        ModelError: it is not allowed; it cannot be loaded; or what it holds cannot predict.
        ConfigurationError: the setting is neither true nor false.

    """
    reader = Reader(os.environ)
    is_allowed = reader.allow_pickle()
    reader.finish()
    if not is_allowed:
        raise ModelError(
            f"{file.name} is a pickle, and loading one runs whatever program it holds, so it is not loaded: save the "
            "model as skops, skops.io.dump(model, 'model.skops'), or set SERVE_ALLOW_PICKLE=true if you trust who made "
            "it"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = _read(file)
    # scikit-learn's own, of another version; one line whatever their number.
    drift = f"; {str(caught[0].message).partition('. ')[0]}" if caught else ""
    log.warning(
        "%s is a pickle and was loaded, since SERVE_ALLOW_PICKLE=true: it may do anything here%s", file.name, drift
    )
    return Estimator(model)


def _read(file: Path) -> Any:
    try:
        return joblib.load(file)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{file.name} needs the module {error.name}, which this image lacks; add it to requirements.txt"
        ) from error
    except Exception as error:
        raise ModelError(f"{file.name} cannot be loaded: {type(error).__name__}: {error}") from error
