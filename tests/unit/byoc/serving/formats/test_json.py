"""JSON in, in every shape that SageMaker's clients send, and every way to be wrong; strict JSON out."""

import json as reference
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc.errors import RowError
from byoc.predictions import Predictions
from byoc.serving.errors import RequestError
from byoc.serving.formats import json

ROW = [5.1, 3.5, 1.4, 0.2]
NAMED = dict(zip(["column_1", "column_2", "column_3", "column_4"], ROW, strict=True))
SHAPES = {
    "rows": [ROW, ROW],
    "instances": {"instances": [ROW, ROW]},
    "features": [{"features": ROW}, {"features": ROW}],
    "instances of features": {"instances": [{"features": ROW}, {"features": ROW}]},
    "nested": {"instances": [{"data": {"features": {"values": ROW}}}] * 2},
    "named": [NAMED, NAMED],
    "named, in another order": [NAMED, dict(reversed(NAMED.items()))],
    "named features": {"instances": [{"features": NAMED}] * 2},
    "with the label": [{**NAMED, "column_0": "setosa"}] * 2,
    "text": [[*map(str, ROW)]] * 2,
    "fields and rows": {"fields": ["column_4", *list(NAMED)[:3]], "rows": [[0.2, 5.1, 3.5, 1.4]] * 2},
    "fields and rows of text": {"fields": list(NAMED), "rows": [[*map(str, ROW)]] * 2, "idField": "id"},
    "sparse": {
        "instances": [{"data": {"features": {"keys": [3, 0, 1, 2], "shape": [4], "values": [0.2, *ROW[:3]]}}}] * 2
    },
    "sparse and dense": [{"features": {"keys": [0, 1, 2, 3], "shape": [4], "values": ROW}}, ROW],
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_of_two_records(iris, shape):
    """CONTRACT check 52."""
    np.testing.assert_array_equal(json.decode(reference.dumps(shape).encode(), {}, iris[0]).matrix, [ROW, ROW])


@pytest.mark.parametrize("shape", [ROW, NAMED, {"features": ROW}, {"data": {"features": {"values": ROW}}}, [NAMED]])
def test_one_record_alone(iris, shape):
    np.testing.assert_array_equal(json.decode(reference.dumps(shape).encode(), {}, iris[0]).matrix, [ROW])


def test_what_a_sparse_record_leaves_out_is_0(iris):
    """CONTRACT 4: keys are positions, counted from 0."""
    for record in (
        {"data": {"features": {"keys": [1, 3], "shape": [4], "values": [3.5, "0.2"]}}},
        {"features": {"keys": [3, 1], "shape": [4], "values": [0.2, 3.5]}},
    ):
        for content in (record, [record], {"instances": [record]}):
            found = json.decode(reference.dumps(content).encode(), {}, iris[0]).matrix
            np.testing.assert_array_equal(found, [[0, 3.5, 0, 0.2]])


def sparse(**changed):
    return body(ROW, {"features": {"keys": [1, 3], "shape": [4], "values": [1, 2], **changed}})


def body(*rows):
    return reference.dumps(rows).encode()


BAD = {
    "deep": (b"[" * 200_000, None, None, "not valid JSON"),
    "deep and closed": (b"[" * 2000 + b"]" * 2000, None, None, "not valid JSON"),
    "a huge number": (b"[[1,2,3," + b"9" * 5000 + b"]]", None, None, "not valid JSON"),
    "an infinite number": (b"[[1,2,3,1e400]]", None, None, "not valid JSON"),
    "NaN": (b"[[1,2,3,NaN]]", None, None, "not valid JSON"),
    "Infinity": (b"[[1,2,3,-Infinity]]", None, None, "not valid JSON"),
    "a lone surrogate": (rb'[["\ud800",2,3,4]]', None, None, "not valid JSON"),
    "UTF-16": ("[[1,2,3,4]]".encode("utf-16"), None, None, "not valid JSON"),
    "Latin-1": (b'[["\xe9",2,3,4]]', None, None, "not valid JSON"),
    "nothing": (b"", None, None, "Request cannot be empty"),
    "null": (b"null", None, None, "Request cannot be empty"),
    "cut": (b"[[1,2,3,4]", None, None, "not valid JSON"),
    "a number": (b"1", None, None, "must hold records"),
    "a text": (b'"canary"', None, None, "must hold records"),
    "no rows": (b"[]", None, None, "holds no rows"),
    "no instances": (b'{"instances": []}', None, None, "holds no rows"),
    "no features": (b"{}", None, "column_1", "is not in the request"),
    "a text among rows": (b'[[1,2,3,4],"canary"]', 2, None, "must be a list of values or an object"),
    "null among rows": (b"[[1,2,3,4],null]", 2, None, "must be a list of values or an object"),
    "short": (body(ROW, ROW[:3]), 2, None, "has 3 values, not the 4 expected"),
    "long": (body(ROW, [*ROW, 1]), 2, None, "has 5 values"),
    "an array in a cell": (body([1, 2, [3], 4]), 1, "column_3", "must be a number, not a JSON array"),
    "text": (body(ROW, [1, "canary", 3, 4]), 2, "column_2", "is not a number"),
    "true": (body([1, 2, 3, True]), 1, "column_4", "is not a number"),
    "missing": (body(ROW, [1, 2, 3, None]), 2, "column_4", "is missing"),
    "unknown name": (body(NAMED, {**NAMED, "wings": 2}), 2, "wings", "is not a column of this model"),
    "lacking name": (body(NAMED, {"column_1": 1}), 2, "column_2", "is missing"),
    "sparse of another width": (sparse(shape=[5]), 2, None, "has 5 values, not the 4 expected"),
    "sparse without a shape": (sparse(shape=None), 2, None, "needs the number of its values next to its keys"),
    "sparse with a matrix's shape": (sparse(shape=[2, 2]), 2, None, "needs the number of its values"),
    "a key too far": (sparse(keys=[1, 4]), 2, None, "has a value at position 4, and positions go from 0 to 3"),
    "a key below 0": (sparse(keys=[1, -1]), 2, None, "has a value at position -1"),
    "a key twice": (sparse(keys=[1, 1]), 2, None, "gives a position twice"),
    "a key that is a name": (sparse(keys=[1, "column_3"]), 2, None, "positions from 0"),
    "a key without a value": (sparse(keys=[1, 2, 3]), 2, None, "has 3 positions for 2 values"),
    "a sparse value that is text": (sparse(values=[1, "canary"]), 2, "column_4", "is not a number"),
    "names after lists": (body(ROW, NAMED), 2, None, "is a list of values where others are named values"),
    "lists after names": (body(NAMED, ROW), 2, None, "is a list of values where others are named values"),
}


@pytest.mark.parametrize(("content", "row", "column", "message"), BAD.values(), ids=BAD)
def test_a_bad_body_is_told_by_row_and_column(iris, content, row, column, message):
    """CONTRACT checks 68, 69 and 71; fault test 23."""
    with pytest.raises((RowError, RequestError)) as refused:
        json.decode(content, {}, iris[0])
    assert (refused.value.row, refused.value.column) == (row, column)
    assert message in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("shape", [10**15, 5_000_000])
def test_a_few_bytes_cannot_take_all_memory(shape):
    """Sparse records of a model without a schema: one that is huge, and several that are."""
    record = {"features": {"keys": [0], "shape": [shape], "values": [1]}}
    with pytest.raises(RequestError, match="send fewer") as refused:
        json.decode(body(record, record), {}, None)
    assert refused.value.status == 413


def test_sparse_records_of_a_model_with_text_say_what_to_send(penguins):
    content = body({"features": {"keys": [1], "shape": [7], "values": [1]}})
    with pytest.raises(RowError, match="is text, and this request can hold numbers only"):
        json.decode(content, {}, penguins[0])


def test_documented_oddities(iris):
    """Fault test 23: a BOM is passed over; of doubled keys the last counts."""
    assert len(json.decode(b"\xef\xbb\xbf[[1,2,3,4]]", {}, iris[0])) == 1
    doubled = b'[{"column_1":9,"column_2":2,"column_3":3,"column_4":4,"column_1":1}]'
    np.testing.assert_array_equal(json.decode(doubled, {}, iris[0]).matrix, [[1, 2, 3, 4]])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["instances", "data", "features", "values", "keys", "shape", "fields", "rows", "column_1", "island"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=40) | VALUES.map(lambda value: reference.dumps(value).encode()))
def test_any_bytes_are_rows_or_an_error_of_ours(penguins, content):
    """Fault test 23."""
    for schema in (penguins[0], None):
        try:
            decoded = json.decode(content, {}, schema)
        except (RowError, RequestError):
            continue
        assert len(decoded) > 0


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.lists(NUMBERS, min_size=4, max_size=4), min_size=1, max_size=5))
def test_numbers_come_back_to_the_bit(iris, rows):
    np.testing.assert_array_equal(
        json.decode(reference.dumps(rows).encode(), {}, iris[0]).matrix, np.array(rows, float)
    )


def strictly(text):
    return reference.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_answers_are_strict_json():
    """CONTRACT check 52; ANCHORS, parser facts: NaN is never written."""
    odd = [math.nan, np.float64("inf"), np.int64(3), np.bool_(True), None, {"a": np.nan, 1: [np.float32(0.5)]}]
    assert strictly(json.encode(odd, ())) == {"predictions": [None, None, 3, True, None, {"a": None, "1": [0.5]}]}
    assert strictly(json.encode(Predictions(np.array([np.nan, 1.0])), ())) == {
        "predictions": [{"predicted_label": None, "score": None}, {"predicted_label": 1.0, "score": 1.0}]
    }
    frame = pd.DataFrame({"label": ["a", "b"], "p": [0.5, np.nan]})
    assert strictly(json.encode(frame, ())) == {"predictions": [{"label": "a", "p": 0.5}, {"label": "b", "p": None}]}
