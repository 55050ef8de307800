"""The model as serving uses it: predictions of real rows, and the way through the model folder."""

import dataclasses
import logging

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from byoc.schema import Column, Schema
from tabular import model
from tabular.model import TabularModel

BUNCH = load_iris()
ROWS, NAMES = BUNCH.data, BUNCH.target_names[BUNCH.target].astype(str)
COLUMNS = tuple(Column(name, "number") for name in BUNCH.feature_names)


def trained(estimator, labels):
    fitted = estimator.fit(ROWS, labels)
    return TabularModel(fitted, Schema(COLUMNS, "y", "classification", tuple(fitted.classes_.tolist())))


CLASSIFIERS = [
    DecisionTreeClassifier(max_depth=2),
    HistGradientBoostingClassifier(max_iter=5),
    RandomForestClassifier(5),
    LogisticRegression(max_iter=1000),
    make_pipeline(StandardScaler(), LogisticRegression()),
    KNeighborsClassifier(),
    SVC(),
    RidgeClassifier(),
]
LABELS = {"text": NAMES, "whole numbers": BUNCH.target, "booleans": BUNCH.target == 1}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda estimator: type(estimator).__name__)
def test_labels_are_the_estimators_own_and_probabilities_where_it_has_them(estimator, labels):
    given = trained(estimator, labels)
    answer = given.predict(ROWS)
    np.testing.assert_array_equal(answer.labels, given.estimator.predict(ROWS))
    assert answer.classes == tuple(given.estimator.classes_.tolist())
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_array_equal(answer.probabilities, given.estimator.predict_proba(ROWS))
    else:
        assert answer.probabilities is None


def test_regression_answers_one_number_a_row():
    features, target = load_diabetes(return_X_y=True)
    fitted = RandomForestRegressor(5).fit(features, target)
    schema = Schema(tuple(Column(f"c{n}", "number") for n in range(10)), "y", "regression")
    answer = TabularModel(fitted, schema).predict(features)
    np.testing.assert_array_equal(answer.labels, fitted.predict(features))
    assert answer.labels.dtype == np.float64
    assert answer.probabilities is None


def test_what_is_saved_predicts_the_same_and_in_one_thread(tmp_path):
    """CONTRACT check 27."""
    given = trained(make_pipeline(StandardScaler(), RandomForestClassifier(5, n_jobs=2)), NAMES)
    expected = given.predict(ROWS)
    model.save(given, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.skops", "schema.json"]
    loaded = model.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(ROWS).probabilities, expected.probabilities)
    assert loaded.predict(ROWS).labels.tolist() == expected.labels.tolist()
    assert loaded.schema == given.schema
    assert loaded.estimator[-1].n_jobs is None


@pytest.mark.parametrize(
    ("then", "warned"),
    [({}, ""), ({"numpy": "0.1"}, "numpy 0.1 then"), ({"scikit-learn": "0.2"}, "scikit-learn 0.2 then")],
)
def test_other_versions_than_in_training_are_one_warning(tmp_path, caplog, then, warned):
    given = trained(DecisionTreeClassifier(), NAMES)
    created = {"versions": {**model.versions(), **then}}
    model.save(TabularModel(given.estimator, dataclasses.replace(given.schema, created=created)), tmp_path)
    with caplog.at_level(logging.WARNING):
        model.load(tmp_path)
    assert len(caplog.records) == bool(warned)
    assert warned in caplog.text
