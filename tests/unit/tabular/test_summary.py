"""Summaries of parts: whatever the parts, they merge to what is learned from the whole table."""

import math
import random

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import SGDClassifier

from byoc.errors import DataError
from tabular import features, pipeline, summary
from tabular.summary import Summary
from tests import datasets


def frame(name):
    made = getattr(datasets, name)()
    table = pd.DataFrame(made.rows, columns=made.header or [f"column_{n}" for n in range(len(made.rows[0]))])
    table = table.replace(["", "NA"], None)
    for column in table.columns:
        try:
            table[column] = pd.to_numeric(table[column])
        except ValueError:
            table[column] = table[column].astype("str")
    return table


def parts(table, seed):
    generator = random.Random(seed)
    cuts = sorted(generator.sample(range(1, len(table)), generator.randint(1, 12)))
    return [table[first:last] for first, last in zip([0, *cuts], [*cuts, len(table)], strict=True)]


def merged(tables, target):
    total, *others = [Summary.of(table, target, f"part {number}") for number, table in enumerate(tables)]
    for other in others:
        total.merge(other)
    return total


TABLES = {"iris": "column_0", "penguins": "species", "diabetes": "progression", "digits": "column_0"}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("name", "target"), TABLES.items())
def test_any_parts_give_the_schema_of_the_whole(name, target, seed):
    table = frame(name)
    found = merged(parts(table, seed), target)
    labelled = features.drop_unlabelled(table, target)
    problem_type = features.find_problem_type(labelled[target])
    assert found.problem_type(target) == problem_type
    assert found.schema(target, problem_type) == features.learn(labelled, target, problem_type)
    assert found.rows == len(labelled)


@pytest.mark.parametrize("seed", range(8))
def test_moments_are_those_of_the_whole_with_its_mean_for_what_is_missing(seed):
    table = frame("penguins")
    found = merged(parts(table, seed), "species")
    numbers = table.select_dtypes("number")
    for name in numbers.columns:
        filled = numbers[name].fillna(numbers[name].mean())
        mean, variance = found.columns[name].moments
        assert mean == pytest.approx(filled.mean(), rel=1e-12)
        assert variance == pytest.approx(filled.var(ddof=0), rel=1e-9)


def test_moments_far_from_zero_keep_their_digits():
    values = 1e9 + np.random.default_rng(0).random(3000)
    found = merged(parts(pd.DataFrame({"a": values, "b": 1}), 0), "b")
    assert found.columns["a"].moments[1] == pytest.approx(values.var(), rel=1e-5)


def test_a_boolean_has_the_moments_of_0_and_1():
    table = pd.DataFrame({"f": [True, True, False, True, False], "y": [1, 2, 3, 4, 5]})
    found = merged([table[:2], table[2:]], "y")
    assert found.columns["f"].kind == "boolean"
    assert found.columns["f"].moments == (pytest.approx(0.6), pytest.approx(0.24))


def test_what_stands_before_the_estimator_is_what_fitting_to_the_whole_makes():
    """But for the mean in place of the median."""
    table = frame("penguins")
    schema = features.learn(table, "species", "classification")
    whole = pipeline.build(SGDClassifier(), schema, scale=True, impute_by="mean")[0]
    matrix = features.encode(table, schema)
    expected = whole.fit_transform(matrix)
    built = pipeline.build(SGDClassifier(), schema, scale=True, impute_by="mean")
    found = merged(parts(table, 3), "species")
    pipeline.fit_to_summary(built, schema, found.columns, found.rows)
    np.testing.assert_allclose(built[0].transform(matrix), expected, rtol=1e-9, atol=1e-12)
    odd = matrix[:3].copy()
    for position, column in enumerate(schema.columns):
        odd[:, position] = [-1.0, math.nan, 0.0] if column.kind == "text" else [0.0, math.nan, 1e6]
    np.testing.assert_allclose(built[0].transform(odd), whole.transform(odd), rtol=1e-9, atol=1e-12)


def test_rare_categories_share_a_column_as_when_fitted_to_the_whole():
    counts = [*range(3, 200, 3), 1, 1, 2]
    names = [f"c{number:03d}" for number, count in enumerate(counts) for _ in range(count)]
    table = pd.DataFrame({"t": pd.Series([*names, None], dtype="str"), "y": 0.5}).sample(frac=1, random_state=0)
    schema = features.learn(table, "y", "regression")
    matrix = features.encode(table, schema)
    whole = pipeline.build(SGDClassifier(), schema, scale=False)[0].fit(matrix)
    built = pipeline.build(SGDClassifier(), schema, scale=False)
    found = merged(parts(table, 1), "y")
    pipeline.fit_to_summary(built, schema, found.columns, found.rows)
    assert built[0].transform(matrix).shape[1] == pipeline.MOST_ONE_HOT
    np.testing.assert_array_equal(built[0].transform(matrix), whole.transform(matrix))


def test_a_column_that_is_constant_is_not_scaled():
    table = pd.DataFrame({"a": [0.1] * 7, "b": range(7), "y": [0.5] * 7})
    schema = features.learn(table, "y", "regression")
    built = pipeline.build(SGDClassifier(), schema, scale=True)
    pipeline.fit_to_summary(built, schema, merged([table[:3], table[3:]], "y").columns, 7)
    assert built[0].named_transformers_["numbers"].scale_.tolist() == [1.0, 2.0]


def test_text_in_one_part_makes_it_text_in_all():
    first, second = pd.DataFrame({"a": [1, 2], "y": [1, 2]}), pd.DataFrame({"a": ["x", "2"], "y": [1, 2]})
    found = merged([first, second], "y")
    assert found.mixed() == {"a": "part 1"}
    assert merged([first, first], "y").mixed() == {}
    nothing = pd.DataFrame({"a": [np.nan, np.nan], "y": [1, 2]})
    assert merged([nothing, second, nothing], "y").mixed() == {}


def test_too_many_texts_are_told_with_where_they_began(monkeypatch):
    monkeypatch.setattr(summary, "MOST_TEXTS", 50)
    table = pd.DataFrame({"id": [f"name {number}" for number in range(80)], "y": [0.5] * 80})
    with pytest.raises(DataError, match=r"column 'id' holds more than 50 different texts \(part 0\)"):
        merged([table[:40], table[40:]], "y")


LABELS = {
    "one class": (["a", "a", "a"], "only one class"),
    "fractions": ([0.5, 1.0, 2.0], "has fractions"),
    "nothing": ([None, None, None], "empty in every row"),
}


@pytest.mark.parametrize(("labels", "message"), LABELS.values(), ids=LABELS)
def test_labels_that_will_not_do(labels, message):
    table = pd.DataFrame({"a": [1, 2, 3], "y": labels})
    with pytest.raises(DataError, match=message):
        merged([table[:1], table[1:]], "y").schema("y", "classification")
