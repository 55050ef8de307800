"""Which file of a folder is the model: by names and, where those tell nothing, by what is in them."""

import json

import lightgbm
import numpy as np
import pytest
import skops.io
import xgboost
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from byoc import flavors
from byoc.errors import ModelError

ROWS, CLASSES = load_iris(return_X_y=True)


def write(folder, *names):
    for name in names:
        if name == "model.txt":
            parameters = {"verbose": -1, "objective": "multiclass", "num_class": 3, "num_threads": 1}
            lightgbm.train(parameters, lightgbm.Dataset(ROWS, CLASSES), 2).save_model(folder / name)
        elif name == "model.json":
            xgboost.train({}, xgboost.DMatrix(ROWS, CLASSES), 2).save_model(folder / name)
        elif name.endswith(".skops"):
            skops.io.dump(DecisionTreeClassifier().fit(ROWS, CLASSES), folder / name)
        else:
            (folder / name).write_bytes(b"canary")
    return folder


# What lies there · the file that is the model, and its flavor
FOUND = [
    (["model.skops", "notes.md", "metrics.json"], "model.skops", "scikit-learn, as skops"),
    (["model.onnx", "model.onnx.data"], "model.onnx", "ONNX"),
    (["a.ubj"], "a.ubj", "XGBoost"),
    (["xgboost-model"], "xgboost-model", "XGBoost"),
    (["model.json", "requirements.txt"], "model.json", "XGBoost, as JSON"),
    (["model.txt", "labels.txt"], "model.txt", "LightGBM, as text"),
    (["lightgbm-model"], "lightgbm-model", "LightGBM"),
    (["model.joblib"], "model.joblib", "a pickle"),
    (["model.pkl", ".model.skops"], "model.pkl", "a pickle"),
]


@pytest.mark.parametrize(("names", "file", "name"), FOUND, ids=[str(row[0]) for row in FOUND])
def test_the_one_model_is_found(tmp_path, names, file, name):
    found = flavors.find(write(tmp_path, *names))
    assert (found.file.name, found.flavor.name) == (file, name)


def test_what_train_leaves_is_one_model(tmp_path):
    """Whatever else is there: a compiled one, or an old pickle."""
    (tmp_path / "schema.json").write_text(json.dumps({"version": 1, "created": {"estimator": "Ridge"}}))
    assert flavors.find(write(tmp_path, "model.skops", "model.onnx", "old.pkl")).flavor.module == "tabular.model"
    (tmp_path / "schema.json").write_text(json.dumps({"version": 1, "columns": []}))
    (tmp_path / "model.onnx").unlink()
    (tmp_path / "old.pkl").unlink()
    assert flavors.find(tmp_path).file.name == "model.skops"


def test_two_models_are_an_error_that_names_both(tmp_path):
    with pytest.raises(ModelError) as told:
        flavors.find(write(tmp_path, "model.skops", "scaler.pkl", "notes.md"))
    assert str(told.value) == (
        f"{tmp_path} holds more than one model: model.skops (scikit-learn, as skops), scaler.pkl (a pickle); "
        "leave one, or define model_fn in your handler"
    )


@pytest.mark.parametrize(
    ("names", "there"),
    [
        ([], "nothing: the model is not trained yet, or was not mounted"),
        (["notes.md", "weights.h5"], "notes.md, weights.h5"),
        ([f"part-{number:02}" for number in range(12)], ", ".join(f"part-{number:02}" for number in range(10))),
    ],
)
def test_none_is_an_error_that_tells_what_is_there_and_what_would_do(tmp_path, names, there):
    with pytest.raises(ModelError) as told:
        flavors.find(write(tmp_path, *names))
    message = str(told.value)
    assert f"(found: {there})" in message
    for understood in (
        "*.skops (scikit-learn, as skops)",
        "*.onnx (ONNX)",
        "*.ubj or *.xgb or xgboost-model (XGBoost)",
    ):
        # Where there is nothing, it is not what is understood that is missing.
        assert (understood in message) is bool(names)
    assert "schema.json" not in message
    assert "\n" not in message


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    with pytest.raises(ModelError, match="found: nothing"):
        flavors.find(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.json", b'{"class_name": "Sequential", "config": {}}'),
        ("model.json", b'["learner of something"]'),
        ("model.json", b""),
        ("model.txt", b"a tree\nversion=v4\n"),
        ("model.txt", b""),
    ],
)
def test_files_of_others_with_the_same_name_are_not_taken(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="holds no model that is known by its files"):
        flavors.find(tmp_path)


def test_json_in_any_layout_is_known(tmp_path):
    file = write(tmp_path, "model.json") / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()), indent=4))
    assert flavors.find(tmp_path).flavor.extra == "xgboost"
    np.testing.assert_allclose(flavors.load(tmp_path).predict(ROWS).labels, CLASSES, atol=0.8)


def test_a_library_that_the_image_lacks_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "xgboost", None)
    monkeypatch.delitem(sys.modules, "byoc.flavors.xgboost", raising=False)
    with pytest.raises(ModelError) as told:
        flavors.load(write(tmp_path, "model.json"))
    assert "model.json is a model of XGBoost, as JSON, and this image lacks what it needs" in str(told.value)
    assert str(told.value).endswith("build it with --extra xgboost")


def test_nothing_is_shared_by_forks_where_there_is_a_gpu(tmp_path, monkeypatch):
    write(tmp_path, "model.onnx")
    assert flavors.pure(tmp_path)
    for devices, is_safe in ((0, True), (1, False)):
        monkeypatch.setattr(flavors.machine, "devices", lambda kind, devices=devices: devices)
        assert flavors.fork_safe(tmp_path) is is_safe
    (tmp_path / "model.onnx").rename(tmp_path / "model.ubj")
    assert not flavors.fork_safe(tmp_path)
