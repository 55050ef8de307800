"""LightGBM's text answers as the library itself does, whatever the objective; pandas' categories are text again."""

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from byoc.errors import ModelError
from byoc.flavors import lightgbm as flavor
from byoc.predictions import Predictions
from tests import datasets

IRIS, CANCER, DIABETES = (load(return_X_y=True) for load in (load_iris, load_breast_cancer, load_diabetes))


def fit(rows, labels, rounds=5, **parameters):
    parameters = {"verbose": -1, "seed": 0, "num_threads": 1, **parameters}
    return lightgbm.train(parameters, lightgbm.Dataset(rows, labels), rounds)


def opened(booster, tmp_path, name="model.txt"):
    booster.save_model(tmp_path / name)
    return flavor.open_model(tmp_path / name)


def test_two_classes(tmp_path):
    booster = fit(*CANCER, objective="binary")
    for name in ("model.txt", "a.lgbm", "lightgbm-model"):
        model = opened(booster, tmp_path, name)
        told, shares = model.predict(CANCER[0]), booster.predict(CANCER[0])
        np.testing.assert_array_equal(told.probabilities[:, 1], shares)
        assert told.labels.tolist() == [int(share > 0.5) for share in shares]
        assert (told.classes, model.schema.problem_type) == ((0, 1), "classification")


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_many_classes(tmp_path, objective):
    booster = fit(*IRIS, objective=objective, num_class=3)
    told = opened(booster, tmp_path).predict(IRIS[0])
    np.testing.assert_array_equal(told.probabilities, booster.predict(IRIS[0]))
    np.testing.assert_array_equal(told.labels, told.probabilities.argmax(axis=1))
    assert told.classes == (0, 1, 2)


def test_as_the_estimator_that_the_model_comes_from(tmp_path):
    for data in (CANCER, IRIS):
        estimator = lightgbm.LGBMClassifier(n_estimators=60, verbose=-1, n_jobs=1, learning_rate=1.0)
        estimator.fit(
            data[0][::2],
            data[1][::2],
            eval_X=data[0][1::2],
            eval_y=data[1][1::2],
            callbacks=[lightgbm.early_stopping(2, verbose=False)],
        )
        assert estimator.best_iteration_ < 60
        told = opened(estimator.booster_, tmp_path).predict(data[0])
        booster = estimator.booster_
        shares = booster.predict(data[0])
        np.testing.assert_array_equal(told.probabilities if shares.ndim > 1 else told.probabilities[:, 1], shares)
        assert told.labels.tolist() == (shares.argmax(axis=1) if shares.ndim > 1 else (shares > 0.5) * 1).tolist()


@pytest.mark.parametrize("objective", ["regression", "poisson", "huber", "cross_entropy"])
def test_numbers(tmp_path, objective):
    labels = DIABETES[1] / 400
    booster = fit(DIABETES[0], labels, objective=objective)
    model = opened(booster, tmp_path)
    told = model.predict(DIABETES[0])
    assert isinstance(told, Predictions)
    np.testing.assert_array_equal(told.labels, booster.predict(DIABETES[0]))
    assert (told.probabilities, told.classes, model.schema.problem_type) == (None, (), "regression")


def test_columns_have_names_and_ranges(tmp_path):
    frame, labels = load_diabetes(return_X_y=True, as_frame=True)
    frame = frame.mask(np.random.default_rng(0).random(frame.shape) < 0.2)
    booster = fit(frame, labels)
    model = opened(booster, tmp_path)
    np.testing.assert_array_equal(model.predict(frame.to_numpy()).labels, booster.predict(frame))
    assert model.schema.names == tuple(frame.columns)
    age = model.schema.columns[0]
    assert (age.missing, age.minimum, age.maximum) == (True, frame["age"].min(), frame["age"].max())


@pytest.fixture(scope="module")
def penguins():
    dataset = datasets.penguins()
    table = pd.DataFrame(dataset.rows, columns=dataset.header).replace("NA", None)
    table = table.astype({"island": "category", "sex": "category", "bill_length_mm": float, "bill_depth_mm": float})
    labels = table["species"].astype("category").cat.codes
    columns = ["bill_length_mm", "island", "bill_depth_mm", "sex"]
    return table[columns], fit(table[columns], labels, objective="multiclass", num_class=3, min_data_per_group=1)


def test_the_categories_of_pandas_are_text(tmp_path, penguins):
    """Known ones, missing ones and ones that were not seen: as the library answers for a frame."""
    table, booster = penguins
    model = opened(booster, tmp_path)
    kinds = {column.name: column.kind for column in model.schema.columns}
    assert kinds == {"bill_length_mm": "number", "island": "text", "bill_depth_mm": "number", "sex": "text"}
    cells = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    told = model.predict(model.schema.matrix(cells))
    np.testing.assert_array_equal(told.probabilities, booster.predict(table))
    strange = table.assign(island=pd.Categorical([None] * len(table), table["island"].cat.categories))
    unseen = [[length, "Atlantis", depth, sex] for length, _, depth, sex in cells]
    np.testing.assert_array_equal(model.predict(model.schema.matrix(unseen)).probabilities, booster.predict(strange))
    assert len(set(map(tuple, told.probabilities.tolist()))) > 10


def test_categories_that_cannot_be_told_apart_are_refused(tmp_path):
    frame = pd.DataFrame({"a": DIABETES[0][:, 2], "b": ["x"] * len(DIABETES[0])}).astype({"b": "category"})
    with pytest.raises(ModelError, match="cannot be told which is which"):
        opened(fit(frame, DIABETES[1]), tmp_path)


def test_what_is_no_model_is_told(tmp_path):
    file = tmp_path / "model.txt"
    for content in ("", "canary", "tree\nversion=v4\nnum_class=1\n"):
        file.write_text(content)
        with pytest.raises(ModelError, match=r"model\.txt cannot be loaded by LightGBM") as told:
            flavor.open_model(file)
        assert "\n" not in str(told.value)
