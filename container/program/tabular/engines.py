"""Models that predict by ONNX Runtime, alone or beside scikit-learn; neither imports it."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from byoc.predictions import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from byoc.flavors.onnx import Session
    from byoc.schema import Schema
    from tabular.model import TabularModel

log = logging.getLogger(__name__)

# Of more rows than this scikit-learn's forests are the faster ones: they go tree by tree, ONNX goes row by row.
FORESTS = frozenset(["ExtraTreesClassifier", "ExtraTreesRegressor", "RandomForestClassifier", "RandomForestRegressor"])
MANY = 2_000


@dataclass(frozen=True)
class CompiledModel:
    """The same as a `TabularModel`, computed by ONNX Runtime without scikit-learn."""

    session: Session
    schema: Schema

    def predict(self, rows: NDArray[np.float64]) -> Predictions:
        """Predict; like `TabularModel.predict`."""
        answer = self.session.run(rows)
        if self.schema.problem_type == "regression":
            return Predictions(answer["labels"].reshape(len(rows)))
        classes = np.array(self.schema.classes)
        if "labels" in answer:
            labels = answer["labels"].astype(classes.dtype)
        elif "positions" in answer:
            labels = classes[answer["positions"]]
        else:
            labels = classes[answer["probabilities"].argmax(axis=1)]
        return Predictions(labels, answer.get("probabilities"), self.schema.classes)


@dataclass
class ManyRows:
    """Both engines: ONNX Runtime, but scikit-learn where it is the faster one, for forests and many rows.

    scikit-learn is imported, and its model read, in a thread once a request is so large; until then ONNX answers.
    """

    compiled: CompiledModel
    read: Callable[[], TabularModel]
    most: int
    _estimator: TabularModel | None = None
    _reader: threading.Thread | None = None

    def predict(self, rows: NDArray[np.float64]) -> Predictions:
        """Predict; like `TabularModel.predict`."""
        if len(rows) <= self.most:
            return self.compiled.predict(rows)
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, name="scikit-learn", daemon=True)
            self._reader.start()
        return (self._estimator or self.compiled).predict(rows)

    def _read(self) -> None:
        try:
            self._estimator = self.read()
        except Exception:
            log.exception("large requests stay with ONNX: the scikit-learn model cannot be loaded")
