"""The short ways through scikit-learn's trees: the same bits, or not used."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from byoc.flavors.sklearn_fast import agrees, shortcut

IRIS, DIABETES = load_iris(return_X_y=True), load_diabetes(return_X_y=True)
KNOWN = [
    (DecisionTreeClassifier(), IRIS),
    (RandomForestClassifier(9), IRIS),
    (ExtraTreesClassifier(9), IRIS),
    (HistGradientBoostingClassifier(max_iter=5), IRIS),
    (make_pipeline(StandardScaler(), RandomForestClassifier(9)), IRIS),
    (DecisionTreeRegressor(), DIABETES),
    (RandomForestRegressor(9), DIABETES),
    (HistGradientBoostingRegressor(max_iter=5), DIABETES),
    (HistGradientBoostingRegressor(max_iter=5, loss="poisson"), DIABETES),
]


@pytest.mark.parametrize(("estimator", "data"), KNOWN, ids=lambda value: type(value).__name__)
def test_equal_to_the_bit(estimator, data):
    model = estimator.fit(*data)
    short = shortcut(model)
    assert short is not None
    assert agrees(short, model, data[0])
    public = model.predict_proba if hasattr(model, "classes_") else model.predict
    np.testing.assert_array_equal(short(data[0]), public(data[0]))


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(max_iter=500), HistGradientBoostingClassifier(max_iter=2, categorical_features=[3])],
    ids=lambda estimator: type(estimator).__name__,
)
def test_none_where_there_is_none(estimator):
    rows, labels = IRIS
    assert shortcut(estimator.fit(np.round(rows), labels)) is None


def test_another_answer_is_noticed():
    model = RandomForestClassifier(9).fit(*IRIS)
    short = shortcut(model)
    assert agrees(short, model, IRIS[0])
    assert not agrees(lambda rows: short(rows) * (1 + 1e-15), model, IRIS[0])
