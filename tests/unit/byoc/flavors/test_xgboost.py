"""XGBoost models in all its formats answer as the library itself does, whatever their objective."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from byoc.errors import ModelError
from byoc.flavors import xgboost as flavor
from byoc.predictions import Predictions

IRIS, CANCER, DIABETES = (load(return_X_y=True) for load in (load_iris, load_breast_cancer, load_diabetes))


def fit(data, names=None, rounds=5, **parameters):
    return xgboost.train({"seed": 0, **parameters}, xgboost.DMatrix(*data, feature_names=names), num_boost_round=rounds)


def opened(booster, tmp_path, name="model.ubj", kind=None):
    file = tmp_path / name
    file.write_bytes(booster.save_raw(kind or ("json" if name.endswith("json") else "ubj")))
    return flavor.open_model(file)


NAMES = [
    ("model.ubj", None),
    ("model.json", None),
    ("model.xgb", "ubj"),
    ("model.xgb", "json"),
    ("xgboost-model", "ubj"),
]


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_two_classes_from_every_format(tmp_path, name, kind):
    booster = fit(CANCER, objective="binary:logistic")
    told = opened(booster, tmp_path, name, kind).predict(CANCER[0])
    shares = booster.predict(xgboost.DMatrix(CANCER[0]))
    np.testing.assert_array_equal(told.probabilities[:, 1], shares)
    np.testing.assert_allclose(told.probabilities.sum(axis=1), 1.0, rtol=1e-6)
    assert told.labels.tolist() == [int(share > 0.5) for share in shares]
    assert told.classes == (0, 1)


def test_as_the_estimators_that_the_models_come_from(tmp_path):
    """Also up to the best iteration, where fitting was stopped early."""
    for data in (CANCER, IRIS):
        estimator = xgboost.XGBClassifier(n_estimators=60, max_depth=3, early_stopping_rounds=2, learning_rate=1.0)
        estimator.fit(data[0][::2], data[1][::2], eval_set=[(data[0][1::2], data[1][1::2])], verbose=False)
        assert estimator.best_iteration + 1 < estimator.get_booster().num_boosted_rounds()
        estimator.save_model(tmp_path / "model.json")
        told = flavor.open_model(tmp_path / "model.json").predict(data[0])
        np.testing.assert_array_equal(told.probabilities, estimator.predict_proba(data[0]))
        np.testing.assert_array_equal(told.labels, estimator.predict(data[0]))


def test_many_classes(tmp_path):
    booster = fit(IRIS, objective="multi:softprob", num_class=3)
    model = opened(booster, tmp_path)
    told = model.predict(IRIS[0])
    np.testing.assert_array_equal(told.probabilities, booster.predict(xgboost.DMatrix(IRIS[0])))
    np.testing.assert_array_equal(told.labels, told.probabilities.argmax(axis=1))
    assert (model.schema.classes, model.schema.problem_type) == ((0, 1, 2), "classification")


@pytest.mark.parametrize(
    ("data", "parameters", "classes"),
    [
        (IRIS, {"objective": "multi:softmax", "num_class": 3}, (0, 1, 2)),
        (CANCER, {"objective": "binary:hinge"}, (0, 1)),
    ],
)
def test_labels_alone(tmp_path, data, parameters, classes):
    booster = fit(data, **parameters)
    told = opened(booster, tmp_path).predict(data[0])
    assert told.labels.dtype == np.int64
    np.testing.assert_array_equal(told.labels, booster.predict(xgboost.DMatrix(data[0])))
    assert (told.probabilities, told.classes) == (None, classes)


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "reg:squarederror"},
        {"objective": "count:poisson"},
        {"objective": "rank:pairwise"},
        {"booster": "gblinear"},
        {"booster": "dart", "rate_drop": 0.5},
        {"objective": "binary:logitraw"},
    ],
)
def test_numbers(tmp_path, parameters):
    data = (DIABETES[0], (DIABETES[1] > 100).astype(float))
    booster = fit(data, **parameters)
    model = opened(booster, tmp_path)
    told = model.predict(data[0])
    assert isinstance(told, Predictions)
    np.testing.assert_array_equal(told.labels, booster.predict(xgboost.DMatrix(data[0])))
    assert (told.labels.dtype, told.probabilities, told.classes) == (np.float64, None, ())
    assert model.schema.problem_type == "regression"


def test_several_targets(tmp_path):
    for objective, labels in (
        ("reg:squarederror", np.column_stack([DIABETES[1], -DIABETES[1]])),
        ("binary:logistic", np.column_stack([DIABETES[1] > 100, DIABETES[1] > 200])),
    ):
        booster = fit((DIABETES[0], labels), objective=objective)
        told = opened(booster, tmp_path).predict(DIABETES[0])
        np.testing.assert_array_equal(told, booster.predict(xgboost.DMatrix(DIABETES[0])))


def test_missing_values_and_names(tmp_path):
    rows = DIABETES[0].copy()
    rows[np.random.default_rng(0).random(rows.shape) < 0.2] = np.nan
    names = load_diabetes().feature_names
    booster = fit((rows, DIABETES[1]), names)
    model = opened(booster, tmp_path)
    np.testing.assert_array_equal(
        model.predict(rows).labels, booster.predict(xgboost.DMatrix(rows, feature_names=names))
    )
    assert (model.takes, model.schema.names) == ("array", tuple(names))
    assert all(column.missing for column in model.schema.columns)
    assert opened(fit(DIABETES), tmp_path).schema.names[:2] == ("column_0", "column_1")


def test_categories_are_codes(tmp_path):
    codes = (DIABETES[0] > 0).astype(int) + (DIABETES[0] > 0.04)
    frame = pd.DataFrame(codes).astype("category")
    booster = xgboost.train({}, xgboost.DMatrix(frame, DIABETES[1], enable_categorical=True), 5)
    assert "c" in booster.feature_types
    wanted = booster.predict(xgboost.DMatrix(frame, enable_categorical=True))
    np.testing.assert_array_equal(opened(booster, tmp_path).predict(codes.astype(float)).labels, wanted)


def test_what_is_no_model_is_told(tmp_path):
    raw = bytes(fit(DIABETES).save_raw("ubj"))
    file = tmp_path / "model.ubj"
    for content in (b"", b"canary", b"binf", raw[:300], raw[:-9], json.dumps({"learner": {}}).encode()):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.ubj cannot be loaded by XGBoost \d") as told:
            flavor.open_model(file)
        assert "\n" not in str(told.value)
    file = tmp_path / "xgboost-model"
    file.write_bytes(pickle.dumps(fit(DIABETES)))
    with pytest.raises(ModelError, match="xgboost-model is a pickle"):
        flavor.open_model(file)
