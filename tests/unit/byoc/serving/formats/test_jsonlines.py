"""JSON Lines in and out, a record a line."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc.errors import RowError
from byoc.predictions import Predictions
from byoc.serving.errors import RequestError
from byoc.serving.formats import jsonlines

GOOD = {
    "lists": b"[1,2,3,4]\n[5,6,7,8]\n",
    "no last end": b"[1,2,3,4]\n[5,6,7,8]",
    "blank lines": b"\n[1,2,3,4]\n \n[5,6,7,8]\n\n",
    "CRLF": b"[1,2,3,4]\r\n[5,6,7,8]\r\n",
    "BOM": b"\xef\xbb\xbf[1,2,3,4]\n[5,6,7,8]\n",
    "features": b'{"features":[1,2,3,4]}\n{"features":[5,6,7,8]}\n',
    "nested": b'{"data":{"features":{"values":[1,2,3,4]}}}\n{"data":{"features":{"values":[5,6,7,8]}}}\n',
    "named": b'{"column_1":1,"column_2":2,"column_3":3,"column_4":4}\n'
    b'{"column_4":8,"column_3":7,"column_2":6,"column_1":5}\n',
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_records(iris, body):
    """CONTRACT check 53."""
    np.testing.assert_array_equal(jsonlines.decode(body, {}, iris[0]).matrix, [[1, 2, 3, 4], [5, 6, 7, 8]])


BAD = {
    "broken line": (b"[1,2,3,4]\n\n[1,2\n", 2, None, "not valid JSON"),
    "short": (b"[1,2,3,4]\n[1,2,3]\n", 2, None, "has 3 values"),
    "text": (b'[1,2,3,4]\n[1,2,3,"canary"]\n', 2, "column_4", "is not a number"),
    "deep": (b"[1,2,3,4]\n" + b"[" * 200_000, 2, None, "not valid JSON"),
    "scalar": (b"1\n", 1, None, "must be a list of values or an object"),
    "nothing": (b"", None, None, "holds no rows"),
    "blank": (b"\n\n", None, None, "holds no rows"),
    "NUL": (b"[1,2,3,4]\n\0\n", 2, None, "not valid JSON"),
}


@pytest.mark.parametrize(("body", "row", "column", "message"), BAD.values(), ids=BAD)
def test_a_bad_body_is_told_by_row_and_column(iris, body, row, column, message):
    """CONTRACT checks 68, 69 and 71; fault test 23."""
    with pytest.raises((RowError, RequestError)) as refused:
        jsonlines.decode(body, {}, iris[0])
    assert (refused.value.row, refused.value.column) == (row, column)
    assert message in str(refused.value)
    assert "canary" not in str(refused.value)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=40) | st.text('[]{}",:\n 12null', max_size=40).map(str.encode))
def test_any_bytes_are_rows_or_an_error_of_ours(penguins, body):
    """Fault test 23."""
    for schema in (penguins[0], None):
        try:
            decoded = jsonlines.decode(body, {}, schema)
        except (RowError, RequestError):
            continue
        assert len(decoded) > 0


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_answers_are_one_line_each_whatever_the_label(labels):
    """CONTRACT check 53."""
    try:
        "".join(labels).encode()
    except UnicodeEncodeError:
        return
    lines = jsonlines.encode(Predictions(np.array(labels, dtype=object)), ("predicted_label",)).split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == labels
