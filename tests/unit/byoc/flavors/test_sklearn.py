"""skops: every estimator that the options accept comes back the same; nothing foreign is loaded."""

import functools
import io
import os
import pickle
import warnings
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from byoc.errors import ModelError
from byoc.flavors import sklearn as flavor
from tabular.options import HyperparameterError, find_class

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def accepted():
    for kind, data in (("classifier", IRIS), ("regressor", DIABETES)):
        for name, _ in all_estimators(type_filter=kind):
            try:
                yield pytest.param(find_class(name), data, id=name)
            except HyperparameterError:
                continue


@pytest.mark.parametrize(("cls", "data"), [*accepted()])
def test_every_estimator_comes_back_the_same(tmp_path, cls, data):
    features, labels = np.abs(data[0][::3]), data[1][::3]
    small = {
        "n_estimators": 5,
        "max_iter": 20,
        "Cs": 2,
        "cv": 2,
        "l1_ratios": (0.0,),
        "use_legacy_attributes": False,
        "n_jobs": None,
        "random_state": 0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        estimator = cls()
    estimator.set_params(**{name: value for name, value in small.items() if name in estimator.get_params()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            estimator.fit(features, labels)
        except (ValueError, TypeError, AttributeError) as error:
            pytest.skip(f"not for this data: {error}")
        expected = estimator.predict(features)
        flavor.save(estimator, tmp_path)
        loaded = flavor.load(tmp_path)
        assert type(loaded) is cls
        # What BLAS rounds depends on where its arrays lie in memory.
        np.testing.assert_allclose(loaded.predict(features), expected, rtol=1e-12)


class Foreign(DecisionTreeClassifier):
    """A user's own class, which a file must not bring to life."""


TOUCHED = []


class Bomb:
    """Does harm when it is unpickled."""

    def __reduce__(self):
        return TOUCHED.append, ("pickle ran",)


def tree():
    return DecisionTreeClassifier(max_depth=1).fit(*IRIS)


def with_attribute(value):
    model = tree()
    model.extra_ = value
    return model


FOREIGN = {
    "a class of one's own": lambda: Foreign(max_depth=1).fit(*IRIS),
    "a partial of os.system": lambda: with_attribute(functools.partial(os.system, "true")),
    "a function": lambda: with_attribute(os.system),
    "a bound method": lambda: with_attribute(TOUCHED.append),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_type_is_refused_and_nothing_is_run(tmp_path, make, monkeypatch):
    """CONTRACT check 108; fault test 29."""
    ran = []
    try:
        skops.io.dump(make(), tmp_path / flavor.FILE)
    except (TypeError, AttributeError) as error:
        pytest.skip(f"skops cannot even write it: {error}")
    monkeypatch.setattr(os, "system", ran.append)
    with pytest.raises(ModelError, match=flavor.FILE):
        flavor.load(tmp_path)
    assert ran == []


def pickled():
    return pickle.dumps(Bomb())


def empty_zip():
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    return out.getvalue()


def hostile_schema(module, name):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "schema.json",
            f'{{"__class__": "{name}", "__module__": "{module}", "__loader__": "ObjectNode", "__id__": 1, '
            '"protocol": 2, "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", '
            '"__id__": 2, "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", '
            '"__id__": 3, "content": []}, "content": {}}}',
        )
    return out.getvalue()


DAMAGED = {
    "a pickle by another name": pickled,
    "nothing": lambda: b"",
    "an empty archive": empty_zip,
    "half a model": lambda: skops.io.dumps(tree())[:500],
    "a shell": lambda: hostile_schema("subprocess", "Popen"),
    "a module of scikit-learn's that is not there": lambda: hostile_schema("sklearn.nowhere", "Popen"),
    "a function of scikit-learn's": lambda: hostile_schema("sklearn.datasets", "fetch_openml"),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_or_disguised_file_is_refused(tmp_path, content):
    """CONTRACT checks 46 and 108; fault test 29."""
    (tmp_path / flavor.FILE).write_bytes(content())
    with pytest.raises(ModelError, match=flavor.FILE):
        flavor.load(tmp_path)
    assert TOUCHED == []


def test_no_model_says_that_nothing_is_trained(tmp_path):
    with pytest.raises(ModelError, match="the model is not trained yet, or was not mounted"):
        flavor.load(tmp_path)


def test_what_cannot_be_written_says_why(tmp_path):
    """CONTRACT check 30."""
    with pytest.raises(ModelError, match="cannot write"):
        flavor.save(tree(), tmp_path / "nowhere")
    with pytest.raises(ModelError, match="DecisionTreeClassifier cannot be saved as skops"):
        flavor.save(with_attribute(each for each in ()), tmp_path)


def test_what_fills_in_missing_values_comes_back(tmp_path):
    """An imputer holds the type of its numbers."""
    features, labels = IRIS
    gaps = np.where(features > 5, np.nan, features)
    model = make_pipeline(SimpleImputer(), DecisionTreeClassifier(random_state=0)).fit(gaps, labels)
    flavor.save(model, tmp_path)
    np.testing.assert_array_equal(flavor.load(tmp_path).predict(gaps), model.predict(gaps))
