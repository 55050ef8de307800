"""What has scikit-learn's interface, whichever library wrote it and whichever file it was kept in."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector
from sklearn.utils import get_tags

from byoc.errors import ModelError, RowError
from byoc.flavors import columns
from byoc.predictions import Predictions

if TYPE_CHECKING:
    from byoc.schema import Schema


class Estimator:
    """What was fitted with scikit-learn's interface, and answers by what it is.

    Classifiers answer with labels and, where they have them, probabilities; regressors with numbers; outlier detectors
    with 1 or -1 and a score; clusterers with the number of a cluster; transformers with what they make of a row.

    Attributes:
        takes: ``frame`` where it was fitted on one, so that columns go by their names; ``records`` where it takes
            texts; else ``array``.
        schema: of what takes an array: numbers, missing where the estimator can do with that.

    Raises:
        ModelError: it can do nothing with rows it was not fitted on.

    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        if not callable(getattr(estimator, "predict", None)) and not callable(getattr(estimator, "transform", None)):
            raise ModelError(
                f"{type(estimator).__name__} has neither predict nor transform for rows that it was not fitted on; "
                "define model_fn and predict_fn in a handler"
            )
        # A request's few rows are no work for a pool; serving spreads requests over workers instead.
        if hasattr(estimator, "get_params"):
            jobs = {name: None for name in estimator.get_params() if name.rpartition("__")[2] == "n_jobs"}
            estimator.set_params(**jobs)
        names = getattr(estimator, "feature_names_in_", None)
        self._names: list[str] | None = None if names is None else list(names)
        self._is_detector = is_outlier_detector(estimator)
        self._is_clusterer = is_clusterer(estimator)
        self.schema: Schema | None = None
        self.takes = "array" if self._names is None else "frame"
        width = getattr(estimator, "n_features_in_", None)
        if _takes_texts(estimator):
            self.takes = "records"
        elif self.takes == "array" and isinstance(width, int):
            classes = estimator.classes_ if is_classifier(estimator) else ()
            self.schema = columns.numbers(width, missing=self._allows_missing(width), classes=_plain(classes))

    def predict(self, data: Any) -> Any:
        """Return one prediction a row.

        Args:
            data: (n, features) numbers; a table of n rows, whose columns may go by position; or records of one text.

        Raises:
            RowError: a column is missing, or there is more than a text.

        """
        if self._names is not None:
            data = columns.named(data, self._names)
        elif self.takes == "records":
            data = _texts(data)
        model = self._estimator
        if not hasattr(model, "predict"):
            made = model.transform(data)
            return made.toarray() if hasattr(made, "toarray") else np.asarray(made)
        labels = np.asarray(model.predict(data))
        if labels.ndim > 1 or self._is_clusterer:
            return labels
        if self._is_detector:
            scores = np.asarray(model.decision_function(data)).tolist()
            return [
                {"predicted_label": label, "score": score} for label, score in zip(labels.tolist(), scores, strict=True)
            ]
        classes = _plain(getattr(model, "classes_", ()))
        if not hasattr(model, "predict_proba"):
            return Predictions(labels, None, classes)
        return Predictions(labels, np.asarray(model.predict_proba(data), dtype=np.float64), classes)

    def _allows_missing(self, width: int) -> bool:
        """Tell whether a row of missing values is answered; what a pipeline itself says is of its first step."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.predict(np.full((1, width), np.nan))
            except Exception:  # noqa: BLE001 - whatever it is that cannot be done
                return False
        return True


def _takes_texts(estimator: Any) -> bool:
    """Tell whether an estimator takes a text a row, as vectorizers of words do, instead of columns."""
    if getattr(estimator, "steps", None):
        return _takes_texts(estimator.steps[0][1])
    try:
        tags = get_tags(estimator).input_tags
    except (AttributeError, TypeError):  # whatever has no tags is none of scikit-learn's
        return False
    return bool(tags.string and not tags.two_d_array)


def _plain(classes: Any) -> tuple[Any, ...]:
    """Return classes as Python's values; () of several targets', which have a list of them each."""
    return tuple(classes.tolist()) if isinstance(classes, np.ndarray) else ()


def _texts(records: Any) -> list[str]:
    """Return the one text of each record."""
    if records.matrix is not None or len(records.cells[0]) != 1:
        raise RowError("must be one text; send application/json or text/csv", 1)
    return ["" if row[0] is None else str(row[0]) for row in records.cells]
