"""Rows against the schema: numbers out, or the row and column that do not fit."""

import dataclasses
import json
import math

import numpy as np
import pytest

from byoc.errors import ModelError, RowError
from byoc.schema import FILE, MISSING, UNSEEN, VERSION, Column, FreeText, Schema

SCHEMA = Schema(
    (
        Column("length", "number", missing=True, minimum=0.5, maximum=9.5),
        Column("count", "number", minimum=0, maximum=9),
        Column("island", "text", missing=True, categories=("Biscoe", "3", "NA, really")),
        Column("sex", "text", categories=("female", "male")),
        Column("ringed", "boolean", missing=True),
    ),
    target="species",
    problem_type="classification",
    classes=("Adelie", "Gentoo"),
    created={"versions": {"numpy": "2"}},
)
GOOD = ["1.5", "3", "Biscoe", "male", "true"]
NUMBERS = [1.5, 3.0, 0.0, 1.0, 1.0]

# column · cell · number
CELLS = [
    (0, " 2.5 ", 2.5),
    (0, "1e-3", 0.001),
    (0, "-0", 0.0),
    (0, 7, 7.0),
    (0, None, math.nan),
    (2, " Biscoe", 0.0),
    (2, "Atlantis", UNSEEN),
    (2, "biscoe", UNSEEN),
    (2, "NA, really", 2.0),
    (2, 3, 1.0),
    (2, 3.0, 1.0),
    (2, "3", 1.0),
    (2, True, UNSEEN),
    (2, None, math.nan),
    (4, "False", 0.0),
    (4, "1", 1.0),
    (4, 0, 0.0),
    (4, 1.0, 1.0),
    (4, True, 1.0),
    *((0, text, math.nan) for text in sorted(MISSING)),
    *((2, text, math.nan) for text in sorted(MISSING)),
    *((4, text, math.nan) for text in sorted(MISSING)),
]


@pytest.mark.parametrize(("column", "cell", "number"), CELLS)
def test_cells(column, cell, number):
    row = [*GOOD]
    row[column] = cell
    expected = [*NUMBERS]
    expected[column] = number
    np.testing.assert_array_equal(SCHEMA.matrix([row]), [expected])


# column · cell · message
BAD = [
    (0, "1,5", "is not a number"),
    (0, "canary", "is not a number"),
    (0, "1_000", "is not a number"),
    (0, "inf", "must be a finite number"),
    (0, "1e999", "must be a finite number"),
    (0, True, "is not a number"),
    (0, [1], "must be a number, not a JSON array"),
    (0, {"a": 1}, "must be a number, not a JSON object"),
    (1, "", "is missing, and the training data had a value in every row"),
    (1, None, "is missing"),
    (1, math.nan, "must be a finite number"),
    (3, "", "is missing"),
    (3, [], "must be a text, not a JSON array"),
    (4, "yes", "must be true or false"),
    (4, 2, "must be true or false"),
    (4, 0.5, "must be true or false"),
]


@pytest.mark.parametrize(("column", "cell", "message"), BAD)
def test_a_bad_cell_is_told_by_row_and_column_never_by_value(column, cell, message):
    """CONTRACT checks 68 and 71."""
    row = [*GOOD]
    row[column] = cell
    with pytest.raises(RowError) as refused:
        SCHEMA.matrix([GOOD, row], first=7)
    assert (refused.value.row, refused.value.column) == (8, SCHEMA.names[column])
    assert message in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("width", [0, 1, 4, 6])
def test_a_wrong_count_is_told_by_row(width):
    """CONTRACT check 68."""
    with pytest.raises(RowError, match=rf"^row 2: has {width} values, not the 5 expected$"):
        SCHEMA.matrix([GOOD, (GOOD * 2)[:width]])


def test_columns_by_name_in_any_order_and_the_target_is_passed_over():
    names = ["sex", "species", "length", "ringed", "count", "island"]
    row = ["male", "Gentoo", "1.5", "true", "3", "Biscoe"]
    np.testing.assert_array_equal(SCHEMA.matrix([row], names), [NUMBERS])


NAMES = [
    (["length", "count", "island", "sex", "wings"], "wings", "is not a column of this model"),
    (["length", "count", "island", "sex", "length"], "length", "appears twice"),
    (["length", "count", "island", "sex"], "ringed", "is not in the request"),
    ([], "length", "is not in the request"),
]


@pytest.mark.parametrize(("names", "column", "message"), NAMES)
def test_wrong_names_are_told(names, column, message):
    with pytest.raises(RowError, match=message) as refused:
        SCHEMA.matrix([GOOD], names)
    assert refused.value.column == column


HEADERS = [
    (["length", "count", "island", "sex", "ringed"], True),
    ([" length ", "wings"], True),
    (["length", "3"], False),
    (GOOD, False),
    (["Biscoe", "male"], False),
    (["species"], False),
    ([], False),
]


@pytest.mark.parametrize(("cells", "header"), HEADERS)
def test_a_header_names_a_feature_and_holds_no_number(cells, header):
    assert SCHEMA.is_header(cells) is header


def test_no_rows_are_an_empty_matrix():
    assert SCHEMA.matrix([]).shape == (0, 5)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    SCHEMA.save(tmp_path)
    assert Schema.load(tmp_path) == SCHEMA


def test_classes_keep_their_types(tmp_path):
    for classes in ((0, 1, 2), (False, True), ("é", "ñ")):
        dataclasses.replace(SCHEMA, classes=classes).save(tmp_path)
        assert [*map(repr, Schema.load(tmp_path).classes)] == [*map(repr, classes)]


def damaged(**changes):
    return json.dumps({"version": VERSION, **dataclasses.asdict(SCHEMA), **changes}).encode()


DAMAGED = {
    "later": (damaged(version=VERSION + 1), "later version of this image"),
    "empty": (b"", "cannot be read"),
    "a list": (b"[]", "cannot be read"),
    "a field more": (damaged(colour="red"), "cannot be read"),
    "no columns": (damaged(columns=None), "cannot be read"),
    "no version": (b'{"columns": []}', "cannot be read"),
    "not UTF-8": (b'{"version": "\xff"}', "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_schema_is_told_by_file(tmp_path, content, message):
    """CONTRACT check 46."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError, match=message) as refused:
        Schema.load(tmp_path)
    assert str(tmp_path / FILE) in str(refused.value)


def test_no_schema_says_that_nothing_is_trained(tmp_path):
    with pytest.raises(ModelError, match="the model is not trained yet, or was not mounted"):
        Schema.load(tmp_path)


NUMERIC = Schema(
    (Column("length", "number", missing=True), Column("count", "number"), Column("ringed", "boolean", missing=True))
)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, np.uint64, bool, ">f4"])
def test_a_matrix_of_numbers_is_adopted_as_a_copy(dtype):
    matrix = np.array([[1, 0, 1], [0, 1, 0]], dtype=dtype, order="F")
    found = NUMERIC.adopt(matrix)
    np.testing.assert_array_equal(found, [[1, 0, 1], [0, 1, 0]])
    assert (found.dtype, found.flags.c_contiguous, found.flags.writeable) == (np.float64, True, True)
    assert not np.shares_memory(found, matrix)


def test_what_is_missing_may_be_where_training_saw_that():
    row = [math.nan, 3.0, math.nan]
    np.testing.assert_array_equal(NUMERIC.adopt(np.array([row])), [row])


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, math.inf, "row 2, column length: must be a finite number"),
        (1, -math.inf, "row 2, column count: must be a finite number"),
        (1, math.nan, "row 2, column count: is missing"),
        (2, 2.0, "row 2, column ringed: must be true or false"),
        (2, 0.5, "row 2, column ringed: must be true or false"),
        (2, math.inf, "row 2, column ringed: must be true or false"),
    ],
)
def test_a_number_that_does_not_fit_is_told_as_in_every_other_request(position, value, message):
    matrix = np.ones((3, 3))
    matrix[0] = [math.nan, 1, math.nan]  # may be missing
    matrix[1:, position] = value
    with pytest.raises(RowError, match=f"^{message}"):
        NUMERIC.adopt(matrix)
    with pytest.raises(RowError, match=f"^{message}"):
        NUMERIC.matrix([[None if math.isnan(cell) else cell for cell in row] for row in matrix.tolist()])


def test_a_matrix_of_another_width_or_for_a_model_with_text_is_refused():
    with pytest.raises(RowError, match="row 1: has 2 values, not the 3 expected"):
        NUMERIC.adopt(np.ones((3, 2)))
    with pytest.raises(RowError, match="column island: is text, and this request can hold numbers only; send text/csv"):
        SCHEMA.adopt(np.ones((3, 5)))


def test_a_sample_is_what_the_schema_lets_in_and_always_the_same():
    schema = Schema(
        (
            Column("whole", "number", minimum=-3.0, maximum=5.0),
            Column("gap", "number", missing=True, minimum=0.0, maximum=1e308),
            Column("text", "text", categories=("a", "b")),
            Column("flag", "boolean"),
            Column("empty", "number", missing=True),
        )
    )
    rows = schema.sample(200)
    np.testing.assert_array_equal(rows, schema.sample(200))
    assert rows.shape == (200, 5)
    assert np.isnan(rows).any(axis=0).tolist() == [False, True, False, False, True]
    assert rows[:, 0].min() >= -3
    assert rows[:, 0].max() <= 5
    assert [set(rows[:, position]) for position in (2, 3)] == [{UNSEEN, 0.0, 1.0}, {0.0, 1.0}]


def test_free_text_stays_text():
    schema = Schema((FreeText("name"), Column("size", "number", missing=True)))
    matrix = schema.matrix([[" Ada", "1"], [7, 2], [None, None], ["NA", "3"]])
    assert matrix.dtype == object
    assert matrix[:2].tolist() == [[" Ada", 1.0], ["7", 2.0]]
    assert np.isnan([*matrix[2], matrix[3, 0]]).all()
    with pytest.raises(RowError, match="column name: is text, and this request can hold numbers only"):
        schema.adopt(np.zeros((1, 2)))
