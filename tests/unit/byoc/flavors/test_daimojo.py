"""Driverless AI without its licence: where one is looked for, and what passes between us and the package.

What the package itself says is tested in tests/image/test_daimojo.py; here its place is taken by a double, since without
a licence it reads no pipeline.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from byoc.errors import ModelError
from byoc.flavors import daimojo as flavor
from byoc.serving.formats import csv
from byoc.serving.formats import json as json_format

CELLS = [["blue", 1.5, True], ["", None, None], ["unknown", 2, False]]


class Double:
    """Has what a `daimojo.model` has; predicts what it was given."""

    uuid = "0b0e2f4e"
    dai_version = "1.11.1"
    feature_names = ("colour", "size", "new")
    feature_types = ("string", "float32", "bool")
    output_names = ("price.low", "price.high")
    missing_values = ("", "unknown")

    def predict(self, frame):
        self.asked = frame
        return SimpleNamespace(to_dict=lambda: {"price.low": [1.0, 2.0, 3.0], "price.high": [4.0, 5.0, 6.0]})


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No licence in the environment or at home."""
    for name in (flavor.KEY, flavor.FILE):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(flavor, "PLACES", (tmp_path / "home/license.sig",))
    return tmp_path


@pytest.fixture
def double(monkeypatch):
    """In the place of the package and of datatable."""
    model = Double()
    monkeypatch.setitem(sys.modules, "daimojo", SimpleNamespace(model=lambda _file: model))
    monkeypatch.setitem(sys.modules, "datatable", SimpleNamespace(Frame=lambda cells: cells))
    monkeypatch.setenv(flavor.KEY, "a2V5")
    return model


def test_without_a_licence_the_package_is_not_even_imported(nowhere, monkeypatch):
    monkeypatch.setitem(sys.modules, "daimojo", None)
    with pytest.raises(ModelError, match="needs your licence: set DRIVERLESS_AI_LICENSE_KEY to the key"):
        flavor.open_model(nowhere / "pipeline.mojo")


def test_a_licence_beside_the_pipeline_is_where_the_package_looks(nowhere, monkeypatch):
    (nowhere / "license.sig").write_text("signed")
    assert flavor.find_licence(nowhere) == str(nowhere / "license.sig")
    assert flavor.os.environ[flavor.FILE] == str(nowhere / "license.sig")


def test_the_environment_comes_first(nowhere, monkeypatch):
    (nowhere / "license.sig").write_text("signed")
    other = nowhere / "other.sig"
    other.write_text("signed")
    monkeypatch.setenv(flavor.FILE, str(other))
    assert flavor.find_licence(nowhere) == str(other)
    monkeypatch.setenv(flavor.KEY, "a2V5")
    assert flavor.find_licence(nowhere) == flavor.KEY


def test_a_licence_file_that_is_not_there(nowhere, monkeypatch):
    monkeypatch.setenv(flavor.FILE, "/nope")
    (nowhere / "license.sig").write_text("signed")
    with pytest.raises(ModelError, match="DRIVERLESS_AI_LICENSE_FILE=/nope names no file"):
        flavor.find_licence(nowhere)


def test_a_licence_where_the_package_looks_by_itself(nowhere):
    (nowhere / "home").mkdir()
    (nowhere / "home/license.sig").write_text("signed")
    assert flavor.find_licence(nowhere) == str(nowhere / "home/license.sig")


def test_rows_in_and_named_outputs_out(double, tmp_path):
    """Text stays text, what is missing is None, and answers go by the pipeline's own names."""
    model = flavor.open_model(tmp_path / "pipeline.mojo")
    assert (model.id, model.outputs) == ("0b0e2f4e", ("price.low", "price.high"))
    rows = model.schema.matrix(CELLS)
    found = model.predict(rows)
    assert double.asked == {"colour": ["blue", None, None], "size": [1.5, None, 2.0], "new": [1.0, None, 0.0]}
    assert found == [
        {"price.low": 1.0, "price.high": 4.0},
        {"price.low": 2.0, "price.high": 5.0},
        {"price.low": 3.0, "price.high": 6.0},
    ]


def test_every_form_of_request_keeps_text(double, tmp_path):
    schema = flavor.open_model(tmp_path / "pipeline.mojo").schema
    by_csv = csv.decode(b"size,new,colour\n2,true,007\n", {}, schema).array()
    by_json = json_format.decode(b'{"instances": [["007", 2, true]]}', {}, schema).array()
    assert by_csv.tolist() == by_json.tolist() == [["007", 2.0, 1.0]]


def test_a_pipeline_of_numbers_takes_numbers(double, tmp_path):
    double.feature_types = ("int32", "float64", "bool")
    schema = flavor.open_model(tmp_path / "pipeline.mojo").schema
    assert schema.matrix([[1, 2, True]]).dtype == np.float64


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("Driverless AI license error!", "does not accept the licence in DRIVERLESS_AI_LICENSE_KEY"),
        ("Unable to create a mojo model", "cannot be read by daimojo .Unable to create a mojo model."),
    ],
)
def test_what_the_package_says_is_one_line(double, monkeypatch, tmp_path, told, wanted):
    def refuse(_file):
        raise RuntimeError(told)

    monkeypatch.setattr(sys.modules["daimojo"], "model", refuse)
    with pytest.raises(ModelError, match=wanted):
        flavor.open_model(tmp_path / "pipeline.mojo")
