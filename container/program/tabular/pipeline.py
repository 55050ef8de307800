"""What stands between the matrix of `byoc.schema` and an estimator: only what that estimator needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

if TYPE_CHECKING:
    from byoc.schema import Column, Schema

# Rarer categories of a column share one column of the one-hot encoding.
MOST_ONE_HOT = 50


def build(estimator: Any, schema: Schema, *, scale: bool) -> Any:
    """Return the estimator with what it needs before it; the estimator itself where it needs nothing.

    Histogram gradient boosting takes categories and missing values as they are, and no scale matters to it. For all
    others text becomes one-hot columns, and missing numbers the median where the estimator cannot have them.
    """
    texts = [position for position, column in enumerate(schema.columns) if column.kind == "text"]
    numbers = [position for position, column in enumerate(schema.columns) if column.kind != "text"]
    if "categorical_features" in estimator.get_params(deep=False):
        # What is missing in every row teaches nothing, and finding its bins would fail.
        kept = [position for position, column in enumerate(schema.columns) if not _is_empty(column)]
        if texts and estimator.categorical_features in (None, "from_dtype"):
            estimator.set_params(categorical_features=[kept.index(position) for position in texts if position in kept])
        if len(kept) == len(schema.columns):
            return estimator
        parts = [("kept", "passthrough", kept)]
        return Pipeline([("features", ColumnTransformer(parts)), ("estimator", estimator)])
    impute = any(schema.columns[n].missing for n in numbers) and not get_tags(estimator).input_tags.allow_nan
    if not (texts or impute or scale):
        return estimator
    steps = [SimpleImputer(strategy="median", keep_empty_features=True)] if impute else []
    steps += [StandardScaler()] if scale else []
    numeric = make_pipeline(*steps) if len(steps) > 1 else steps[0] if steps else "passthrough"
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MOST_ONE_HOT, sparse_output=False, dtype=np.float64
    )
    parts = [("numbers", numeric, numbers)] if numbers else []
    parts += [("texts", encoder, texts)] if texts else []
    return Pipeline([("features", ColumnTransformer(parts)), ("estimator", estimator)])


def _is_empty(column: Column) -> bool:
    return column.missing and (column.minimum is None if column.kind == "number" else column.codes == {})
