"""What stands before an estimator: only what it needs."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from byoc.schema import Column, Schema
from tabular import model, pipeline

NUMBER, GAP = Column("n", "number"), Column("g", "number", missing=True, minimum=0.0, maximum=1.0)
TEXT, FLAG = Column("t", "text", missing=True, categories=("a", "b")), Column("f", "boolean")

# estimator · columns · scale · the steps before it
CASES = [
    (HistGradientBoostingClassifier, (NUMBER, GAP, TEXT, FLAG), False, []),
    (HistGradientBoostingClassifier, (NUMBER, TEXT), True, []),
    (DecisionTreeClassifier, (NUMBER, FLAG), False, []),
    (DecisionTreeClassifier, (NUMBER, GAP), False, []),
    (RandomForestClassifier, (GAP, TEXT), False, ["passthrough", "OneHotEncoder"]),
    (LogisticRegression, (NUMBER,), False, []),
    (LogisticRegression, (NUMBER, GAP), False, ["SimpleImputer"]),
    (LogisticRegression, (NUMBER,), True, ["StandardScaler"]),
    (LogisticRegression, (GAP, TEXT), True, ["Pipeline", "OneHotEncoder"]),
    (KNeighborsClassifier, (TEXT,), False, ["OneHotEncoder"]),
]


@pytest.mark.parametrize(("estimator", "columns", "scale", "steps"), CASES)
def test_only_what_is_needed(estimator, columns, scale, steps):
    given = estimator()
    built = pipeline.build(given, Schema(columns), scale=scale)
    assert model.final(built) is given
    if not steps:
        assert built is given
        return
    told = [each if isinstance(each, str) else type(each).__name__ for _, each, _ in built[0].transformers]
    assert told == steps


def test_histogram_gradient_boosting_is_told_which_columns_are_text():
    built = pipeline.build(HistGradientBoostingClassifier(), Schema((NUMBER, TEXT, FLAG)), scale=False)
    assert built.categorical_features == [1]
    chosen = HistGradientBoostingClassifier(categorical_features=[0])
    assert pipeline.build(chosen, Schema((NUMBER, TEXT)), scale=False).categorical_features == [0]


@pytest.mark.parametrize("estimator", [HistGradientBoostingClassifier, RandomForestClassifier, LogisticRegression])
def test_missing_and_unseen_values_are_predicted(estimator):
    schema = Schema((NUMBER, GAP, TEXT, Column("empty", "number", missing=True)))
    generator = np.random.default_rng(0)
    rows = np.column_stack([generator.random((60, 2)), generator.integers(0, 2, 60), np.full(60, np.nan)])
    rows[::7, 1] = np.nan
    rows[::5, 2] = np.nan
    labels = (rows[:, 0] > 0.5).astype(int)
    fitted = pipeline.build(estimator(), schema, scale=False).fit(rows, labels)
    odd = np.array([[0.9, np.nan, -1.0, np.nan], [0.1, 0.5, np.nan, 3.0]])
    assert set(fitted.predict(odd)) <= {0, 1}
    assert (fitted.predict(rows) == labels).mean() > 0.85
