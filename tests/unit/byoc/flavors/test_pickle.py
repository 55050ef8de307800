"""Pickles: not without the setting, and with it one warning that says so."""

import logging
import os
import pickle
import warnings

import joblib
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from byoc.errors import ConfigurationError, ModelError
from byoc.flavors import pickle as flavor

ROWS, CLASSES = load_iris(return_X_y=True)
TREE = DecisionTreeClassifier(random_state=0).fit(ROWS, CLASSES)


def dump(tmp_path, model, name="model.pkl"):
    file = tmp_path / name
    if file.suffix == ".joblib":
        joblib.dump(model, file, compress=3)
    else:
        file.write_bytes(pickle.dumps(model))
    return file


class Bomb:
    def __reduce__(self):
        return (os.mkdir, (str(self.folder),))


@pytest.fixture
def allowed(monkeypatch):
    monkeypatch.setenv("SERVE_ALLOW_PICKLE", "true")


@pytest.mark.parametrize("setting", [None, "", "false"])
def test_nothing_of_it_is_run_without_the_setting(tmp_path, monkeypatch, setting):
    if setting is not None:
        monkeypatch.setenv("SERVE_ALLOW_PICKLE", setting)
    bomb = Bomb()
    bomb.folder = tmp_path / "harm"
    file = dump(tmp_path, bomb)
    with pytest.raises(ModelError) as refused:
        flavor.open_model(file)
    assert not bomb.folder.exists()
    for part in ("model.pkl is a pickle", "skops.io.dump(model, 'model.skops')", "SERVE_ALLOW_PICKLE=true"):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_setting_is_true_or_false(tmp_path, monkeypatch):
    monkeypatch.setenv("SERVE_ALLOW_PICKLE", "maybe")
    with pytest.raises(ConfigurationError, match="SERVE_ALLOW_PICKLE='maybe' must be true or false"):
        flavor.open_model(dump(tmp_path, TREE))


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib"])
def test_with_it_the_log_says_so_once(tmp_path, allowed, caplog, name):
    with caplog.at_level(logging.INFO):
        model = flavor.open_model(dump(tmp_path, TREE, name))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert (
        record.message == f"{name} is a pickle and was loaded, since SERVE_ALLOW_PICKLE=true: it may do anything here"
    )
    told = model.predict(ROWS)
    np.testing.assert_array_equal(told.probabilities, TREE.predict_proba(ROWS))
    assert (told.classes, model.takes, len(model.schema.columns)) == ((0, 1, 2), "array", 4)


class Old(DecisionTreeClassifier):
    """Writes what an older scikit-learn would have written."""

    def __getstate__(self):
        return {**super().__getstate__(), "_sklearn_version": "1.0"}


# scikit-learn looks at the version of what is its own only.
Old.__module__ = "sklearn.canary"


def test_another_version_is_told_in_the_same_line(tmp_path, allowed, caplog):
    import sys
    import types

    module = types.ModuleType("sklearn.canary")
    module.Old = Old
    sys.modules["sklearn.canary"] = module
    try:
        flavor.open_model(dump(tmp_path, Old().fit(ROWS, CLASSES)))
    finally:
        del sys.modules["sklearn.canary"]
    (record,) = caplog.records
    assert "Trying to unpickle estimator Old from version 1.0 when using version" in record.message
    assert "\n" not in record.message


def test_another_librarys_estimator(tmp_path, allowed):
    estimator = xgboost.XGBClassifier(n_estimators=3).fit(ROWS, CLASSES)
    told = flavor.open_model(dump(tmp_path, estimator)).predict(ROWS)
    np.testing.assert_array_equal(told.probabilities, estimator.predict_proba(ROWS))


def test_what_cannot_be_used_is_told(tmp_path, allowed):
    file = tmp_path / "model.pkl"
    cases = {
        pickle.dumps({"model": TREE}): "dict has neither predict nor transform",
        b"\x80\x05garbage": r"model\.pkl cannot be loaded: ",
        b"cno_such_module\nThing\n.": "needs the module no_such_module, which this image lacks; add it to requirements",
    }
    for content, message in cases.items():
        file.write_bytes(content)
        with warnings.catch_warnings(), pytest.raises(ModelError, match=message) as refused:
            flavor.open_model(file)
        assert "\n" not in str(refused.value)
