"""What stands between the matrix of `byoc.schema` and an estimator: only what that estimator needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from byoc.schema import UNSEEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc.schema import Column, Schema
    from tabular.summary import ColumnSummary

# Rarer categories of a column share one column of the one-hot encoding.
MOST_ONE_HOT = 50
EPSILON = np.finfo(np.float64).eps


def build(estimator: Any, schema: Schema, *, scale: bool, impute_by: str = "median") -> Any:
    """Return the estimator with what it needs before it; the estimator itself where it needs nothing.

    Histogram gradient boosting takes categories and missing values as they are, and no scale matters to it. For all
    others text becomes one-hot columns, and missing numbers the median, or the mean where ``impute_by`` says so, where
    the estimator cannot have them.
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
    steps = [SimpleImputer(strategy=impute_by, keep_empty_features=True)] if impute else []
    steps += [StandardScaler()] if scale else []
    numeric = make_pipeline(*steps) if len(steps) > 1 else steps[0] if steps else "passthrough"
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MOST_ONE_HOT, sparse_output=False, dtype=np.float64
    )
    parts = [("numbers", numeric, numbers)] if numbers else []
    parts += [("texts", encoder, texts)] if texts else []
    return Pipeline([("features", ColumnTransformer(parts)), ("estimator", estimator)])


def fit_to_summary(model: Any, schema: Schema, columns: Mapping[str, ColumnSummary], rows: int) -> None:
    """Fit what `build` put before the estimator, by means, to a table that is known by its summary only.

    It is fitted to a few rows that have each category and, of a column's categories, the rare ones rarer. Then it is
    given the table's own means and variances.
    """
    if not isinstance(model, Pipeline):
        return
    known = [columns[column.name] for column in schema.columns]
    codes = [
        _codes(column, each) if column.kind == "text" else [0.0]
        for column, each in zip(schema.columns, known, strict=True)
    ]
    height = max(map(len, codes))
    model[0].fit(np.column_stack([[*each, *each[:1] * (height - len(each))] for each in codes]))
    numbers = dict(model[0].named_transformers_).get("numbers", "passthrough")
    moments = np.array(
        [each.moments for column, each in zip(schema.columns, known, strict=True) if column.kind != "text"]
    )
    for step in [step for _, step in numbers.steps] if isinstance(numbers, Pipeline) else [numbers]:
        if isinstance(step, SimpleImputer):
            step.statistics_ = moments[:, 0].copy()
        if isinstance(step, StandardScaler):
            means, variances = moments.T
            step.mean_, step.var_, step.n_samples_seen_ = means.copy(), variances.copy(), np.int64(rows)
            # As scikit-learn has it: what varies by no more than its mean's rounding is constant, and not scaled.
            is_constant = variances <= rows * EPSILON * variances + (rows * means * EPSILON) ** 2
            step.scale_ = np.where(is_constant, 1.0, np.sqrt(variances))


def _codes(column: Column, summary: ColumnSummary) -> list[float]:
    """Return each code of a column of text, the commonest twice: one-hot encoding tells these from the rare."""
    counts = dict(summary.seen or {})
    known = {code: counts.get(text, 0) for text, code in column.codes.items()}
    others = {UNSEEN: summary.count - sum(known.values()), np.nan: summary.missing}
    found = {code: count for code, count in {**known, **others}.items() if count}
    ranked = sorted(found, key=lambda code: -found[code])
    return [*ranked[: MOST_ONE_HOT - 1], *ranked]


def _is_empty(column: Column) -> bool:
    return column.missing and (column.minimum is None if column.kind == "number" else column.codes == {})
