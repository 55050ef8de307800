"""The fitted model as serving uses it: rows in, predictions out."""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from byoc.env import Reader
from byoc.errors import ModelError
from byoc.predictions import Predictions
from byoc.schema import Schema
from tabular.engines import FORESTS, MANY, CompiledModel, ManyRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from byoc.env import Engine

    Shortcut = Callable[[NDArray[np.float64]], NDArray[np.float64]]

log = logging.getLogger(__name__)

# Classifiers whose predict() is, by its definition, the class of the largest probability: one call serves both.
LABEL_BY_PROBABILITY = frozenset(
    [
        "DecisionTreeClassifier",
        "ExtraTreesClassifier",
        "HistGradientBoostingClassifier",
        "LogisticRegression",
        "RandomForestClassifier",
    ]
)
LIBRARIES = ("numpy", "onnxruntime", "scikit-learn", "skops")
# Where schema.json has the SHA-256 of model.onnx, if there is one.
COMPILED = "model_onnx_sha256"
# Rows that a shortcut is compared on when the model is loaded.
COMPARED = 64


@dataclass(frozen=True)
class TabularModel:
    """A fitted estimator with the schema of its rows.

    Attributes:
        estimator: what `tabular.pipeline.build` made, fitted.
        schema: of its rows.
        shortcut: `byoc.flavors.sklearn_fast`'s quicker way to predict_proba, or to a regressor's predict.

    """

    estimator: Any
    schema: Schema
    shortcut: Shortcut | None = field(default=None, compare=False)

    def predict(self, rows: NDArray[np.float64]) -> Predictions:
        """Predict.

        Args:
            rows: (n, features) as `byoc.schema.Schema.matrix` makes them.

        Returns:
            n labels or numbers and, from classifiers that have them, the (n, classes) probabilities.

        """
        if self.schema.problem_type == "regression":
            numbers = (self.shortcut or self.estimator.predict)(rows)
            return Predictions(np.asarray(numbers, dtype=np.float64).reshape(len(rows)))
        return Predictions(*classify(self.estimator, rows, self.shortcut), self.schema.classes)


def classify(
    estimator: Any, rows: NDArray[np.float64], shortcut: Shortcut | None = None
) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    """Return the labels (n,) and probabilities (n, classes) of rows (n, features); None from what gives labels only."""
    if not hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict(rows)), None
    probabilities = np.asarray((shortcut or estimator.predict_proba)(rows), dtype=np.float64)
    if type(final(estimator)).__name__ in LABEL_BY_PROBABILITY:
        return estimator.classes_[probabilities.argmax(axis=1)], probabilities
    return np.asarray(estimator.predict(rows)), probabilities


def final(estimator: Any) -> Any:
    """Return the estimator itself, without what stands before it; nothing of scikit-learn is imported for that."""
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def save(model: TabularModel, folder: Path, compiled: bytes | None = None) -> None:
    """Write ``model.skops`` and ``schema.json`` into the folder, and ``model.onnx`` where there is one.

    Raises:
        ModelError: a file cannot be written.

    """
    from byoc.flavors import sklearn as flavor  # noqa: PLC0415 - see load

    estimator = final(model.estimator)
    if "n_jobs" in estimator.get_params(deep=False):
        # A request's few rows are no work for a pool; serving spreads requests over workers instead.
        estimator.set_params(n_jobs=None)
    # What histogram gradient boosting leaves of the scores that it stopped early by: skops cannot write it.
    for name in ("_scorer", "_raw_predict"):
        vars(estimator).pop(name, None)
    flavor.save(model.estimator, folder)
    schema = model.schema
    if compiled is not None:
        from byoc.flavors import onnx  # noqa: PLC0415 - see load

        schema = replace(schema, created={**schema.created, COMPILED: onnx.save(compiled, folder)})
    schema.save(folder)


def load(folder: Path, engine: Engine | None = None) -> Model:
    """Read what `save` wrote, for the engine that ``SERVE_ENGINE`` asks for.

    Only what that engine needs is imported: without scikit-learn a process starts in a third of the time.

    Raises:
        ModelError: a file is missing, damaged or not trusted, or there is no ONNX model and one is asked for.
        ConfigurationError: ``SERVE_ENGINE`` names no engine.

    """
    reader = Reader(os.environ)
    engine = engine or reader.engine()
    reader.finish()
    schema = Schema.load(folder)
    drift = [
        f"{name} {then} then, {now} now"
        for name, now in versions().items()
        if (then := schema.created.get("versions", {}).get(name, now)) != now
    ]
    if drift:
        log.warning("the model was trained with other versions of libraries: %s", ", ".join(drift))
    digest = schema.created.get(COMPILED)
    if engine == "onnx" and not digest:
        raise ModelError(f"SERVE_ENGINE=onnx, but {folder} has no ONNX model; metrics.json there says why. Unset it")
    if engine == "sklearn" or not digest:
        return _load_estimator(folder, schema)
    from byoc.flavors import onnx  # noqa: PLC0415 - see above

    compiled = CompiledModel(onnx.load(folder, digest), schema)
    if engine == "auto" and schema.created.get("estimator") in FORESTS:
        return ManyRows(compiled, partial(_load_estimator, folder, schema), MANY)
    return compiled


def _load_estimator(folder: Path, schema: Schema) -> TabularModel:
    from byoc.flavors import sklearn as flavor  # noqa: PLC0415 - see load
    from byoc.flavors.sklearn_fast import agrees, shortcut  # noqa: PLC0415 - see load

    estimator = flavor.load(folder)
    short = shortcut(estimator)
    if short is not None and not agrees(short, estimator, schema.sample(COMPARED)):
        log.warning("this scikit-learn is asked by its public methods only: its trees answer otherwise")
        short = None
    return TabularModel(estimator, schema, short)


Model = TabularModel | CompiledModel | ManyRows


def versions() -> dict[str, str]:
    """Return the versions of what a model's numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def open_model(file: Path) -> Model:
    """Read the folder of a ``schema.json``; as `load`."""
    return load(file.parent)
