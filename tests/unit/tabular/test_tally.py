"""Metrics from blocks: those of `tabular.evaluate`, which has all rows at once."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Perceptron, SGDRegressor

from byoc.schema import Column, Schema
from tabular.evaluate import evaluate
from tabular.tally import Tally


def tally(model, features, truth, schema, parts):
    total = Tally()
    for part in np.array_split(np.arange(len(truth)), parts):
        total.add(Tally.of(model, features[part], truth[part], schema))
    return total


def schema(features, problem_type, classes=()):
    return Schema(tuple(Column(f"c{n}", "number") for n in range(features.shape[1])), "y", problem_type, tuple(classes))


@pytest.mark.parametrize("parts", [1, 7, 200])
@pytest.mark.parametrize("estimator", [LogisticRegression(max_iter=20), Perceptron()])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.filterwarnings("ignore:lbfgs failed")
def test_labels(parts, estimator, named):
    features, truth = load_iris(return_X_y=True)
    truth = np.array(["setosa", "versicolor", "virginica"])[truth] if named else truth
    model = estimator.fit(features[::2, :2], truth[::2])
    rows = schema(features[:, :2], "classification", model.classes_.tolist())
    expected = evaluate(model, features[:, :2], truth, rows.names, "classification", seed=0, importance=False).metrics
    expected.pop("roc_auc", None)
    found = tally(model, features[:, :2], truth, rows, parts)
    assert found.rows == len(truth)
    assert found.metrics() == pytest.approx(expected, rel=1e-12)
    assert ("log_loss" in expected) is hasattr(estimator, "predict_proba")


def test_a_class_that_the_model_never_saw_has_no_log_loss():
    features, truth = load_iris(return_X_y=True)
    model = LogisticRegression().fit(features[:100], truth[:100])
    rows = schema(features, "classification", [0, 1])
    expected = evaluate(model, features, truth, rows.names, "classification", seed=0, importance=False).metrics
    found = tally(model, features, truth, rows, 5).metrics()
    assert found == pytest.approx(expected, rel=1e-12)
    assert "log_loss" not in found


@pytest.mark.parametrize("parts", [1, 7, 442])
def test_numbers(parts):
    features, truth = load_diabetes(return_X_y=True)
    model = SGDRegressor(max_iter=5, tol=None).fit(features, truth)
    rows = schema(features, "regression")
    expected = evaluate(model, features, truth, rows.names, "regression", seed=0, importance=False).metrics
    assert tally(model, features, truth, rows, parts).metrics() == pytest.approx(expected, rel=1e-10)


def test_a_fit_that_diverged_has_no_metrics():
    features, truth = load_diabetes(return_X_y=True)
    model = SGDRegressor(max_iter=1, tol=None).fit(features, truth)
    model.coef_ = model.coef_ * np.inf
    with np.errstate(all="ignore"):
        assert tally(model, features, truth, schema(features, "regression"), 2).metrics() == {}


def test_no_rows_have_no_metrics():
    assert Tally().metrics() == {}
