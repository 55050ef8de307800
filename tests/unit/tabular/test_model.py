"""The model as serving uses it: predictions of real rows, and the way through the model folder."""

import dataclasses
import json
import logging
import subprocess
import sys

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

from byoc.errors import ConfigurationError, ModelError
from byoc.schema import Column, Schema
from tabular import model
from tabular.compile import compile_model
from tabular.engines import CompiledModel, ManyRows
from tabular.model import TabularModel
from tests.program import PROGRAM

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


def test_early_stopping_by_a_score_leaves_nothing_that_cannot_be_saved(tmp_path):
    given = trained(HistGradientBoostingClassifier(max_iter=5, early_stopping=True, scoring="accuracy"), NAMES)
    model.save(given, tmp_path)
    np.testing.assert_array_equal(model.load(tmp_path).predict(ROWS).labels, given.predict(ROWS).labels)


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


@pytest.fixture
def compiled(tmp_path):
    """A model folder with a forest in both formats."""
    given = trained(RandomForestClassifier(5, random_state=0), NAMES)
    created = {"estimator": "RandomForestClassifier"}
    given = TabularModel(given.estimator, dataclasses.replace(given.schema, created=created))
    model.save(given, tmp_path, compile_model(given, ROWS).content)
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "kind"),
    [("", ManyRows), ("auto", ManyRows), ("onnx", CompiledModel), ("sklearn", TabularModel)],
)
def test_the_engine_is_the_one_asked_for(compiled, monkeypatch, variable, kind):
    monkeypatch.setenv("SERVE_ENGINE", variable)
    loaded = model.load(compiled)
    assert type(loaded) is kind
    wanted = model.load(compiled, "sklearn").estimator
    np.testing.assert_array_equal(loaded.predict(ROWS).labels, wanted.predict(ROWS))
    np.testing.assert_array_equal(loaded.predict(ROWS).probabilities, wanted.predict_proba(ROWS))


def test_a_model_that_was_not_compiled_is_scikit_learns(tmp_path, monkeypatch):
    """Also where an earlier job left its model.onnx: it belongs to another model."""
    model.save(trained(SVC(), NAMES), tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"another")
    assert type(model.load(tmp_path)) is TabularModel
    with pytest.raises(ModelError, match="has no ONNX model; metrics"):
        model.load(tmp_path, "onnx")
    monkeypatch.setenv("SERVE_ENGINE", "fast")
    with pytest.raises(ConfigurationError, match="must be one of auto, onnx, sklearn"):
        model.load(tmp_path)


def test_many_rows_go_to_scikit_learn_once_it_is_there(compiled, caplog):
    loaded = model.load(compiled)
    loaded.most = 10
    for _ in range(2):  # ONNX, then scikit-learn
        np.testing.assert_array_equal(
            loaded.predict(ROWS).probabilities, model.load(compiled, "sklearn").predict(ROWS).probabilities
        )
        loaded._reader.join(30)
    assert type(loaded._estimator) is TabularModel

    broken = ManyRows(loaded.compiled, lambda: model.load(compiled / "nowhere"), 10)
    broken.predict(ROWS)
    broken._reader.join(30)
    assert len(broken.predict(ROWS)) == len(ROWS)
    assert "large requests stay with ONNX" in caplog.text


def test_a_shortcut_that_answers_otherwise_is_not_taken(compiled, monkeypatch, caplog):
    from byoc.flavors import sklearn_fast

    assert model.load(compiled, "sklearn").shortcut is not None
    monkeypatch.setattr(sklearn_fast, "shortcut", lambda estimator: lambda rows: estimator.predict_proba(rows) * 0.999)
    assert model.load(compiled, "sklearn").shortcut is None
    assert "public methods only" in caplog.text


def test_what_serves_onnx_imports_nothing_of_scikit_learns_world(compiled):
    """As the server does: predictor.py and the app of wsgi.py, and a prediction."""
    script = (
        "import sys, json, numpy, predictor, byoc.serving.app, byoc.serving.handler\n"
        "model = predictor.model_fn(sys.argv[1])\n"
        "assert len(predictor.predict_fn(numpy.zeros((3, 4)), model)) == 3\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, compiled], cwd=PROGRAM, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stdout))
    assert "onnxruntime" in loaded
    assert not loaded & {"sklearn", "scipy", "pandas", "joblib", "skops", "onnx", "skl2onnx"}
