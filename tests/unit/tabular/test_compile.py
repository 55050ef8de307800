"""Compiling: which estimators ONNX serves, that it answers the same wherever a row stands, and why not where not."""

import warnings

import numpy as np
import onnx
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from byoc.flavors import onnx as flavor
from tabular import compile as compiling
from tabular import convert, features, pipeline, trees
from tabular.engines import CompiledModel
from tabular.model import TabularModel
from tests import datasets

TREES = [
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(7, random_state=0),
    ExtraTreesClassifier(7, random_state=0),
    GradientBoostingClassifier(n_estimators=5),
    HistGradientBoostingClassifier(max_iter=5),
    DecisionTreeRegressor(random_state=0),
    RandomForestRegressor(7, random_state=0),
    ExtraTreesRegressor(7, random_state=0),
    GradientBoostingRegressor(n_estimators=5),
    HistGradientBoostingRegressor(max_iter=5),
    HistGradientBoostingRegressor(max_iter=5, loss="poisson"),
]
OTHERS = [LogisticRegression(max_iter=200), MLPClassifier(max_iter=20, random_state=0), Ridge()]
# What is served by scikit-learn, and what is said.
REASONS = [
    (KNeighborsClassifier(), "which of equally near neighbours count would depend on the engine"),
    (SVC(), "skl2onnx computes it in float32"),
    (RidgeClassifier(), "skl2onnx cannot convert it: NotImplementedError"),
    (GradientBoostingClassifier(n_estimators=2, init=LogisticRegression(max_iter=200)), "it starts from"),
    (GradientBoostingClassifier(n_estimators=2, loss="exponential"), "its loss has a HalfLogitLink"),
]


@pytest.fixture(scope="module")
def penguins(tmp_path_factory):
    """Text, numbers and missing values, with a column that is always empty."""
    import pandas as pd

    file = datasets.penguins().write(tmp_path_factory.mktemp("data") / "penguins.csv")
    frame = pd.read_csv(file)
    return frame.assign(nothing=np.nan).dropna(subset=["body_mass_g"])


def fitted(estimator, frame, scale=False, target=None):
    problem = "classification" if isinstance(estimator, ClassifierMixin) else "regression"
    target = target or ("species" if problem == "classification" else "body_mass_g")
    schema = features.learn(frame, target, problem)
    rows, labels = features.encode(frame, schema), features.encode_labels(frame[target], problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = pipeline.build(clone(estimator), schema, scale=scale).fit(rows[::2], labels[::2])
    return TabularModel(built, schema), rows[1::2]


@pytest.mark.parametrize("scale", [False, True], ids=["", "scaled"])
@pytest.mark.parametrize("estimator", [*TREES, *OTHERS], ids=lambda estimator: type(estimator).__name__)
def test_equal_wherever_a_row_stands(penguins, estimator, scale):
    model, rows = fitted(estimator, penguins, scale)
    outcome = compiling.compile_model(model, rows)
    assert outcome.reason == ""
    compiled = CompiledModel(flavor.Session(outcome.content), model.schema)
    probes = compiling.probes(model, rows)
    found, wanted = compiled.predict(probes), model.predict(probes)
    assert found.labels.dtype == wanted.labels.dtype
    assert found.classes == wanted.classes
    if estimator in TREES and model.schema.problem_type == "regression":
        np.testing.assert_allclose(found.labels, wanted.labels, rtol=1e-14)
    elif isinstance(estimator, (DecisionTreeClassifier, RandomForestClassifier, ExtraTreesClassifier)):
        np.testing.assert_array_equal(found.probabilities, wanted.probabilities)


@pytest.mark.parametrize("target", ["sex", "long_bill"])
@pytest.mark.parametrize("estimator", [TREES[1], TREES[3], TREES[4], OTHERS[1]], ids=lambda e: type(e).__name__)
def test_two_classes_of_text_and_of_booleans(penguins, estimator, target):
    frame = penguins.dropna(subset=["sex"]).assign(long_bill=penguins["bill_length_mm"] > 45)
    model, rows = fitted(estimator, frame, target=target)
    assert compiling.compile_model(model, rows).reason == ""


@pytest.mark.parametrize(("estimator", "reason"), REASONS, ids=lambda value: type(value).__name__)
def test_the_reason_where_scikit_learn_serves(penguins, estimator, reason):
    two = penguins.dropna(subset=["sex"])
    model, rows = fitted(estimator, two, target="sex")
    outcome = compiling.compile_model(model, rows)
    assert outcome.content is None
    assert outcome.reason.startswith(reason)


class Own(ClassifierMixin, BaseEstimator):
    """An estimator that no converter has heard of."""

    def fit(self, rows, labels):
        self.classes_ = np.unique(labels)
        return self

    def predict(self, rows):
        return self.classes_[np.zeros(len(rows), dtype=int)]


def test_an_estimator_of_ones_own_is_no_failure(penguins):
    assert "skl2onnx cannot convert it" in compiling.compile_model(*fitted(Own(), penguins)).reason


@pytest.mark.parametrize("name", ["LARGEST", "LARGEST_ARRAYS"])
def test_what_is_too_large_is_not_tried(penguins, monkeypatch, name):
    monkeypatch.setattr(compiling, name, 100)
    estimator = TREES[1] if name == "LARGEST" else KNeighborsClassifier()
    monkeypatch.setattr(convert, "to_onnx", None)
    reason = compiling.compile_model(*fitted(estimator, penguins)).reason
    assert reason.startswith("it would take" if name == "LARGEST" else "it compares each row with")


@pytest.mark.parametrize("estimator", [TREES[1], TREES[3], TREES[4]], ids=lambda e: type(e).__name__)
def test_thresholds_in_float32_are_found_out(penguins, monkeypatch, estimator):
    """What other converters do; without rows on the splits it would go unseen."""
    exact = trees._nodes

    def rounded(*arguments):
        arrays = exact(*arguments)
        return arrays | {"nodes_splits": arrays["nodes_splits"].astype(np.float32)}

    monkeypatch.setattr(trees, "_nodes", rounded)
    reason = compiling.compile_model(*fitted(estimator, penguins)).reason
    assert "labels are others" in reason or "numbers differ" in reason


@pytest.mark.parametrize("operator", ["IsNaN", "Less"])
def test_a_missing_or_unseen_value_taken_otherwise_is_found_out(penguins, monkeypatch, operator):
    model, rows = fitted(TREES[1], penguins)
    graph = convert.to_onnx(model.estimator, model.schema)
    for node in graph.graph.node:
        if node.op_type == operator:
            # Never so: a constant of the same shape in place of the test.
            node.op_type = "Greater" if operator == "Less" else "IsInf"
    compiled = CompiledModel(flavor.Session(graph.SerializeToString()), model.schema)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            told = compiling.difference(model, compiled, compiling.probes(model, rows))
        except Exception as error:  # noqa: BLE001 - an index out of the table
            told = str(error)
    assert told


def test_a_forest_in_several_operators_answers_the_same(penguins, monkeypatch):
    monkeypatch.setattr(trees, "NODES_TOGETHER", 60)
    model, rows = fitted(TREES[1], penguins)
    outcome = compiling.compile_model(model, rows)
    operators = [node.op_type for node in onnx.load_from_string(outcome.content).graph.node]
    assert operators.count("TreeEnsemble") > 1


VOTES = [
    # An even number of trees, each fitted on half of the rows: ties are common.
    RandomForestClassifier(2, random_state=0),
    ExtraTreesClassifier(4, random_state=0, bootstrap=True),
    DecisionTreeClassifier(random_state=0),
]


@pytest.mark.parametrize("together", [trees.NODES_TOGETHER, 20], ids=["one operator", "several"])
@pytest.mark.parametrize("estimator", VOTES, ids=lambda estimator: type(estimator).__name__)
def test_votes_are_counted_to_the_bit_and_ties_go_to_the_first(penguins, monkeypatch, estimator, together):
    monkeypatch.setattr(trees, "NODES_TOGETHER", together)
    model, rows = fitted(estimator, penguins.drop(columns="nothing").dropna(), target="sex")
    outcome = compiling.compile_model(model, rows)
    operators = [node.op_type for node in onnx.load_from_string(outcome.content).graph.node]
    assert "ReduceSum" not in operators
    found = CompiledModel(flavor.Session(outcome.content), model.schema).predict(rows)
    wanted = model.predict(rows)
    np.testing.assert_array_equal(found.probabilities, wanted.probabilities)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    if not isinstance(estimator, DecisionTreeClassifier):
        assert (wanted.probabilities == 0.5).any()


def test_leaves_that_are_not_certain_are_no_votes(penguins):
    model, rows = fitted(
        RandomForestClassifier(3, random_state=0, max_depth=2), penguins.drop(columns="nothing").dropna(), target="sex"
    )
    outcome = compiling.compile_model(model, rows)
    assert "ReduceSum" in [node.op_type for node in onnx.load_from_string(outcome.content).graph.node]
    found = CompiledModel(flavor.Session(outcome.content), model.schema).predict(rows)
    np.testing.assert_array_equal(found.probabilities, model.predict(rows).probabilities)


def test_neighbours_are_those_of_float64_and_float32():
    around = compiling.neighbours(0.1)
    assert {0.1, np.nextafter(0.1, 1), np.nextafter(0.1, -1)} <= set(around)
    assert len({np.float32(value) for value in around}) == 3
