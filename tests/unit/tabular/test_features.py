"""From tables to matrices: the schema that is learned, and the same numbers that serving will make."""

import numpy as np
import pandas as pd
import pytest

from byoc.errors import DataError
from byoc.schema import UNSEEN
from byoc.training.channels import Channel
from tabular import data, features
from tests import datasets


def read(dataset, folder):
    dataset.write(folder / "a.csv")
    return data.read(Channel("training", folder))


def frame(**columns):
    return pd.DataFrame(columns)


def test_penguins_are_learned_as_they_are(tmp_path):
    birds = read(datasets.penguins(), tmp_path)
    schema = features.learn(birds, "species", "classification")
    assert schema.classes == ("Adelie", "Chinstrap", "Gentoo")
    told = {column.name: (column.kind, column.missing) for column in schema.columns}
    assert told == {
        "island": ("text", False),
        "bill_length_mm": ("number", True),
        "bill_depth_mm": ("number", True),
        "flipper_length_mm": ("number", True),
        "body_mass_g": ("number", True),
        "sex": ("text", True),
        "year": ("number", False),
    }
    assert schema.columns[0].categories == ("Biscoe", "Dream", "Torgersen")
    assert (schema.columns[6].minimum, schema.columns[6].maximum) == (2007, 2009)


@pytest.mark.parametrize("make", [datasets.iris, datasets.digits, datasets.penguins, datasets.diabetes])
def test_serving_makes_the_numbers_that_training_saw(tmp_path, make):
    """CONTRACT check 55: one encoding in training, another in requests, the same matrix."""
    dataset = make()
    table = read(dataset, tmp_path)
    target = features.target_name(table, dataset.target)
    kind = features.find_problem_type(table[target])
    schema = features.learn(table, target, kind)
    np.testing.assert_allclose(
        schema.matrix(dataset.features(slice(None))), features.encode(table, schema), rtol=1e-15, atol=0
    )


TARGETS = [("b", "b"), (0, "a"), (2, "7"), (-1, "7"), (-3, "a"), (7, "7"), ("7", "7")]


@pytest.mark.parametrize(("target", "name"), TARGETS)
def test_a_target_by_name_or_position(target, name):
    assert features.target_name(frame(a=[1], b=[2], **{"7": [3]}), target) == name


@pytest.mark.parametrize("target", ["c", 3, -4, "", "B"])
def test_a_target_that_is_not_there_is_told_with_those_that_are(target):
    """CONTRACT check 8."""
    with pytest.raises(DataError, match="is not a column; the data has a, b"):
        features.target_name(frame(a=[1], b=[2]), target)


def test_rows_without_a_label_are_left_out():
    table = frame(y=["a", None, "b"], x=[1, 2, 3])
    assert features.drop_unlabelled(table, "y")["x"].tolist() == [1, 3]
    assert features.drop_unlabelled(table, "x") is table
    with pytest.raises(DataError, match="'y', the target, is empty in every row"):
        features.drop_unlabelled(frame(y=[None, None], x=[1, 2]), "y")


PROBLEMS = {
    "text": (["a", "b"], "classification"),
    "booleans": ([True, False], "classification"),
    "few whole numbers": ([0, 1, 2] * 2, "classification"),
    "few whole floats": ([1.0, 2.0] * 2, "classification"),
    "20 whole numbers": (list(range(20)) * 2, "classification"),
    "21 whole numbers": (list(range(21)) * 2, "regression"),
    "whole numbers that do not come again": (list(range(15)), "regression"),
    "fractions": ([0.5, 1.0], "regression"),
    "infinite": ([1.0, float("inf")], "regression"),
}


@pytest.mark.parametrize(("labels", "problem_type"), PROBLEMS.values(), ids=PROBLEMS)
def test_the_target_tells_the_problem_type(labels, problem_type):
    assert features.find_problem_type(pd.Series(labels)) == problem_type


LABELS = {
    "whole numbers": ([1, 2], "classification", np.int64, [1, 2]),
    "whole floats": ([1.0, 2.0], "classification", np.int64, [1, 2]),
    "booleans": ([True, False], "classification", np.bool_, [True, False]),
    "text": (["a", "b"], "classification", np.str_, ["a", "b"]),
    "numbers": ([1, 2], "regression", np.float64, [1.0, 2.0]),
}


@pytest.mark.parametrize(("labels", "problem_type", "dtype", "expected"), LABELS.values(), ids=LABELS)
def test_labels(labels, problem_type, dtype, expected):
    encoded = features.encode_labels(pd.Series(labels), problem_type)
    assert np.issubdtype(encoded.dtype, dtype)
    assert encoded.tolist() == expected


CANARY = "canary4711"
BAD = {
    "one class": (frame(y=[CANARY] * 3, x=[1, 2, 3]), "classification", "holds only one class"),
    "text in regression": (
        frame(y=[CANARY, "b"], x=[1, 2]),
        "regression",
        "is not all numbers; regression needs numbers",
    ),
    "booleans in regression": (frame(y=[True, False], x=[1, 2]), "regression", "is not all numbers"),
    "fractions as classes": (frame(y=[47.11, 2], x=[1, 2]), "classification", "has fractions, which are no classes"),
    "an infinite label": (frame(y=[1.5, np.inf], x=[1, 2]), "regression", "column 'y', row 2: the number is infinite"),
    "an infinite feature": (frame(y=[1, 2], x=[1, -np.inf]), "regression", "column 'x', row 2: the number is infinite"),
    "nothing but the target": (frame(y=[1, 2]), "regression", "no column besides the target 'y'"),
}


@pytest.mark.parametrize(("table", "problem_type", "message"), BAD.values(), ids=BAD)
def test_data_that_teaches_nothing_is_told_without_its_values(table, problem_type, message):
    """CONTRACT checks 30 and 33."""
    with pytest.raises(DataError) as refused:
        features.learn(table, "y", problem_type)
    assert message in str(refused.value)
    assert CANARY not in str(refused.value)
    assert "47.11" not in str(refused.value)


COLUMNS = {
    "booleans": ([True, False, True], "boolean", [1, 0, 1]),
    "booleans, one missing": ([True, None, False], "boolean", [1, np.nan, 0]),
    "booleans as text": (["true", "FALSE", "1"], "boolean", [1, 0, 1]),
    "whole numbers": ([3, 1, 2], "number", [3, 1, 2]),
    "nothing": ([np.nan] * 3, "number", [np.nan] * 3),
    "text by frequency": (["b", "a", "b"], "text", [0, 1, 0]),
    "text, equally frequent": (["c", "b", "a"], "text", [2, 1, 0]),
    "text, one missing": (["b", None, "b"], "text", [0, np.nan, 0]),
    "nearly booleans": (["true", "false", "maybe"], "text", [2, 0, 1]),
}


@pytest.mark.parametrize(("values", "kind", "codes"), COLUMNS.values(), ids=COLUMNS)
def test_kinds_and_codes(values, kind, codes):
    table = frame(y=[0, 1, 0], x=values)
    schema = features.learn(table, "y", "classification")
    assert schema.columns[0].kind == kind
    np.testing.assert_array_equal(features.encode(table, schema)[:, 0], codes)


def test_many_spellings_of_booleans_before_another_word_are_text():
    values = ["true", "True", "TRUE", "1", "false", "0", "maybe"]
    assert features.learn(frame(y=range(7), x=values), "y", "regression").columns[0].kind == "text"


def test_rare_categories_beyond_the_limit_count_as_unseen():
    values = [f"v{number:03}" for number in range(300)] + ["v299"]
    table = frame(y=range(301), x=values)
    schema = features.learn(table, "y", "regression")
    assert len(schema.columns[0].categories) == features.MOST_CATEGORIES
    assert schema.columns[0].categories[0] == "v299"
    codes = features.encode(table, schema)[:, 0]
    assert (codes == UNSEEN).sum() == 300 - features.MOST_CATEGORIES


def test_validation_data_must_fit():
    schema = features.learn(frame(y=[0, 1], n=[1, 2], t=["a", "b"]), "y", "classification")
    np.testing.assert_array_equal(features.encode(frame(t=["b", "z"], n=[5, None]), schema), [[5, 1], [np.nan, UNSEEN]])
    with pytest.raises(DataError, match="column 't' of the training data is not in the validation data"):
        features.encode(frame(n=[1]), schema)
    with pytest.raises(
        DataError, match="'n' holds numbers in the training data and text in the validation data"
    ) as refused:
        features.encode(frame(n=[CANARY], t=["a"]), schema)
    assert CANARY not in str(refused.value)
