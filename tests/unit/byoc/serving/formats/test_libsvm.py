"""libsvm in: what scikit-learn's own writer writes comes back, and every way to be wrong is told by row."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file

from byoc.errors import RowError
from byoc.serving.errors import RequestError
from byoc.serving.formats import libsvm
from tests import datasets


@pytest.fixture(scope="module")
def digits():
    """Real rows, half of whose numbers are 0."""
    return np.array(datasets.digits().features(slice(0, 200)), dtype=float)


@pytest.mark.parametrize("zero_based", [True, False])
@pytest.mark.parametrize("comment", [None, "written by a test"])
def test_what_scikit_learn_writes_comes_back(digits, zero_based, comment):
    out = io.BytesIO()
    dump_svmlight_file(digits, np.arange(len(digits)), out, zero_based=zero_based, comment=comment)
    found = libsvm.decode(out.getvalue(), {} if zero_based else {"base": "1"}, None)
    width = found.matrix.shape[1]
    np.testing.assert_array_equal(found.matrix, digits[:, :width])
    assert not digits[:, width:].any(), "without a schema the highest position tells the width"


ROWS = [
    b"0:5.1 1:3.5 2:1.4 3:0.2\n0:5.1 3:0.2",
    b"1 0:5.1 1:3.5 2:1.4 3:0.2\n-1 0:5.1 3:0.2\n",
    b"setosa 3:0.2 2:1.4 1:3.5 0:5.1\r\n\r\n2 qid:7 3:0.2 0:5.1 # a comment\r\n# another\r\n",
    b"\xef\xbb\xbf0:5.1\t1:3.5  2:1.4 3:0.2\n0:5.1 3:2e-1",
]


@pytest.mark.parametrize("body", ROWS)
def test_every_spelling(iris, body):
    expected = [[5.1, 3.5, 1.4, 0.2], [5.1, 0, 0, 0.2]]
    np.testing.assert_array_equal(libsvm.decode(body, {}, iris[0]).matrix, expected)


def test_a_line_with_a_label_alone_is_a_record_of_zeros(iris):
    np.testing.assert_array_equal(libsvm.decode(b"1\n0:1\n", {}, iris[0]).matrix, [[0, 0, 0, 0], [1, 0, 0, 0]])


BAD = {
    "nothing": (b"", None, None, "holds no rows"),
    "CSV": (b"5.1,3.5,1.4,0.2\n5.1,3.5 1.4 0.2", 2, None, "is not a list of position:value"),
    "no position": (b"0:1\n:1", 2, None, "is not a list of position:value"),
    "negative": (b"-1:1", 1, None, "is not a list of position:value"),
    "a name": (b"0:1\n1:2 wing:1", 2, None, "is not a list of position:value"),
    "a digit of another script": ("٣:1".encode(), 1, None, "is not a list of position:value"),
    "not a number": (b"0:1\n1:canary", 2, 1, "has a value that is not a number"),
    "no value": (b"0:1\n1:", 2, 1, "has a value that is not a number"),
    "infinite": (b"0:1\n1:1e999", 2, "column_2", "must be a finite number"),
    "missing": (b"0:1\n1:nan", 2, "column_2", "is missing"),
    "too far": (b"0:1\n4:1", 2, None, "has a value at position 4, and positions go from 0 to 3"),
    "far too far": (b"1234567890123456789:1", 1, None, "has a value at position 1234567890123456789"),
    "twice": (b"0:1\n1:1 1:1", 2, None, "gives a position twice"),
    "Latin-1": (b"0:1\n1:\xe9", 2, None, "not UTF-8"),
}


@pytest.mark.parametrize(("body", "row", "column", "message"), BAD.values(), ids=BAD)
def test_a_bad_body_is_told(iris, body, row, column, message):
    with pytest.raises((RowError, RequestError), match=message) as refused:
        libsvm.decode(body, {}, iris[0])
    assert (refused.value.row, refused.value.column) == (row, column)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("base", "body", "message"), [("1", b"0:1 1:2", "though base=1 says from 1"), ("2", b"2:1", "must be 0 or 1")]
)
def test_a_bad_base_is_told(iris, base, body, message):
    with pytest.raises((RowError, RequestError), match=message):
        libsvm.decode(body, {"base": base}, iris[0])


def test_a_model_with_text_says_what_to_send(penguins):
    with pytest.raises(RowError, match="column island: is text, and this request can hold numbers only; send text/csv"):
        libsvm.decode(b"0:1\n", {}, penguins[0])


def test_a_few_bytes_cannot_take_all_memory():
    """One far position without a schema, and many records of a wide one."""
    for body in (b"1000000000000:1", b"99999:1\n" + b"1\n" * 100_000):
        with pytest.raises(RequestError, match="send fewer") as refused:
            libsvm.decode(body, {}, None)
        assert refused.value.status == 413


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=60) | st.text("012:.e-# \nnaq", max_size=60).map(str.encode))
def test_any_bytes_are_rows_or_an_error_of_ours(iris, body):
    for schema in (iris[0], None):
        try:
            assert len(libsvm.decode(body, {}, schema)) > 0
        except (RowError, RequestError):
            continue
