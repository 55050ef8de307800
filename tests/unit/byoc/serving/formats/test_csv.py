"""CSV in: by position or by name, and every way to be wrong told by row; CSV out."""

import csv as reference
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc.errors import RowError
from byoc.predictions import Predictions
from byoc.serving.errors import RequestError
from byoc.serving.formats import csv


def write(rows, terminator="\n", **options):
    out = io.StringIO()
    reference.writer(out, lineterminator=terminator, **options).writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
@pytest.mark.parametrize("quoting", [reference.QUOTE_MINIMAL, reference.QUOTE_ALL])
def test_real_rows_in_every_spelling(penguins, end, quoting):
    """CONTRACT checks 51 and 77: with and without the last end of line, CRLF, quotes, BOM, header."""
    schema, header, rows = penguins
    expected = schema.matrix(rows)
    body = write(rows, end or "\n", quoting=quoting)
    body = body if end else body.rstrip(b"\n")
    for spelt in (body, b"\xef\xbb\xbf" + body, body + b"\n \n" * (quoting == reference.QUOTE_MINIMAL)):
        np.testing.assert_array_equal(csv.decode(spelt, {}, schema).matrix, expected)
    turned = write([header[::-1], *(row[::-1] for row in rows)], end or "\n", quoting=quoting)
    np.testing.assert_array_equal(csv.decode(turned, {}, schema).matrix, expected)


def test_a_header_can_be_announced(penguins, iris):
    """RFC 4180's parameter decides, where the first line would not."""
    schema, rows = iris
    body = write([schema.names, *rows[:3]])
    assert len(csv.decode(body, {"header": "present"}, schema)) == 3
    with pytest.raises(RowError, match="row 1, column column_1: is not a number"):
        csv.decode(body, {"header": "absent"}, schema)
    with pytest.raises(RowError, match="is not a column of this model"):
        csv.decode(write(rows[:3]), {"header": "present"}, schema)


# body · row · column · message
BAD = {
    "short row": (b"1,2,3,4\n1,2,3\n", 2, None, "has 3 values, not the 4 expected"),
    "long row": (b"1,2,3,4\n1,2,3,4,5\n", 2, None, "has 5 values, not the 4 expected"),
    "trailing comma": (b"1,2,3,4,\n", 1, None, "has 5 values"),
    "semicolons": (b"1;2;3;4\n", 1, None, "has 1 values"),
    "text": (b"1,2,3,4\n1,canary,3,4\n", 2, "column_2", "is not a number"),
    "formula": (b"=1+1,2,3,4\n", 1, "column_1", "is not a number"),
    "empty cell": (b"1,2,,4\n", 1, "column_3", "is missing"),
    "NaN": (b"1,2,NaN,4\n", 1, "column_3", "is missing"),
    "infinite": (b"1,2,3,1e400\n", 1, "column_4", "must be a finite number"),
    "unknown column": (b"column_1,wings\n1,2\n", None, "wings", "is not a column of this model"),
    "lacking column": (b"column_1,column_2,column_3\n1,2,3\n", None, "column_4", "is not in the request"),
    "row after blank lines": (b"1,2,3,4\n\n\n1,2,3\n", 2, None, "has 3 values"),
    "ragged under quotes": (b'"1",2,3,4\n1,2,3\n', 2, None, "has 3 values"),
    "nothing": (b"", None, None, "the request holds no rows"),
    "blank lines": (b"\n \r\n\n", None, None, "the request holds no rows"),
    "header alone": (b"column_1,column_2,column_3,column_4\n", None, None, "the request holds no rows"),
    "open quote": (b'1,2,3,4\n"1,2,3,4\n', 2, None, "the quotes do not match"),
    "text after a quote": (b'"1"x,2,3,4\n', 1, None, "the quotes do not match"),
    "a million columns": (b"1," * 1_000_000 + b"1\n", 1, None, "has 1000001 values"),
    "a huge quoted cell": (b'"' + b"1" * 200_000 + b'",2,3,4\n', 1, None, ""),
    "NUL": (b"1,2,3,\0\n", 1, "column_4", "is not a number"),
}


@pytest.mark.parametrize(("body", "row", "column", "message"), BAD.values(), ids=BAD)
def test_a_bad_body_is_told_by_row_and_column(iris, body, row, column, message):
    """CONTRACT checks 68, 69 and 71; fault test 24."""
    with pytest.raises(RowError) as refused:
        csv.decode(body, {}, iris[0])
    assert (refused.value.row, refused.value.column) == (row, column)
    assert message in str(refused.value)
    assert "canary" not in str(refused.value)


def test_bytes_that_are_not_utf_8_are_told_by_line(iris):
    with pytest.raises(RequestError, match="the body is not UTF-8") as refused:
        csv.decode(b"1,2,3,4\n1,2,3,\xe9\n", {}, iris[0])
    assert (refused.value.status, refused.value.row) == (400, 2)


def test_without_a_schema_rows_are_held_against_each_other():
    assert csv.decode(b"a,b\n1,2\n", {"header": "present"}, None).names == ("a", "b")
    assert csv.decode(b"a,b\n1,2\n", {}, None).cells == [["a", "b"], ["1", "2"]]
    with pytest.raises(RowError, match="row 2: has 1 values, not 2 as the others"):
        csv.decode(b"1,2\n3\n", {}, None)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=12)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)))
def test_whatever_the_csv_module_writes_comes_back(rows):
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return
    for quoting in (reference.QUOTE_MINIMAL, reference.QUOTE_ALL):
        if quoting == reference.QUOTE_ALL or not any("\r" in cell for row in rows for cell in row):
            assert csv.decode(write(rows, quoting=quoting), {"header": "absent"}, None).cells == rows


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=60) | st.text('12,"\r\n é.e-NaN\0', max_size=60).map(str.encode))
def test_any_bytes_are_rows_or_an_error_of_ours(penguins, body):
    """Fault test 24."""
    for schema in (penguins[0], None):
        for parameters in ({}, {"header": "present"}):
            try:
                decoded = csv.decode(body, parameters, schema)
            except (RowError, RequestError):
                continue
            assert len(decoded) > 0


ANSWERS = {
    "labels": (Predictions(np.array(["a", 'b"c', "d,e"])), (), b'a\n"b""c"\n"d,e"\n'),
    "numbers": (Predictions(np.array([0.1, 2.0])), (), b"0.1\n2.0\n"),
    "whole numbers": (Predictions(np.array([3, 4]), classes=(3, 4)), (), b"3\n4\n"),
    "outputs": (
        Predictions(np.array([3, 4]), np.array([[0.75, 0.25], [0.5, 0.5]]), (3, 4)),
        ("predicted_label", "probability", "probabilities"),
        b'3,0.75,"[0.75,0.25]"\n4,0.5,"[0.5,0.5]"\n',
    ),
    "a user's rows": (np.array([[1, 2], [3, 4]]), (), b"1,2\n3,4\n"),
    "a user's list": (["x", None], (), b'x\n""\n'),
}


@pytest.mark.parametrize(("predictions", "outputs", "body"), ANSWERS.values(), ids=ANSWERS)
def test_one_line_a_prediction(predictions, outputs, body):
    """CONTRACT checks 51 and 79."""
    assert csv.encode(predictions, outputs) == body


CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=64).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(
        ["", "0", "-0", "1.", ".5", "+1", "01", "1e5", "1E+400", "nan", "1_0", " 1", "-", "1,2", "x", "null"]
    ),
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=4), st.sampled_from(["\n", "\r\n", "\n\n"])
)
def test_plain_numbers_are_read_as_the_careful_way_reads_them(iris, rows, end):
    schema, _ = iris
    body = (end.join(",".join(row) for row in rows) + end).encode()
    # The parameter takes the careful way.
    outcomes = []
    for parameters in ({}, {"header": "absent"}):
        try:
            outcomes.append(csv.decode(body, parameters, schema).matrix.tolist())
        except RowError as error:
            outcomes.append((str(error), error.row, error.column))
    assert outcomes[0] == outcomes[1]


def test_plain_numbers_take_the_fast_way(iris):
    schema, rows = iris
    numbers = csv._numbers(write(rows))
    np.testing.assert_array_equal(numbers, schema.matrix(rows))
    assert csv._numbers(b"1,2,x,4\n") is None
