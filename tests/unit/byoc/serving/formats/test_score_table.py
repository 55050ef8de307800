"""H2O's form of a request: what it copies, what it names, every way to be wrong, and values that lose nothing."""

import json as reference
import math
import uuid

import numpy as np
import pandas as pd
import pytest

from byoc.errors import RowError
from byoc.predictions import Predictions
from byoc.schema import Column, Schema
from byoc.serving.errors import RequestError
from byoc.serving.formats import json, score_table
from byoc.serving.formats.records import Copied

ROW = ["5.1", "3.5", "1.4", "0.2"]
NAMES = ["column_1", "column_2", "column_3", "column_4"]
OTHER = ["6.3", "3.3", "6.0", "2.5"]


def decode(schema, **request):
    return json.decode(reference.dumps({"fields": NAMES, "rows": [ROW, OTHER], **request}).encode(), {}, schema)


def told(copied, predictions=(1.5, 2.5), outputs=()):
    body = score_table.encode(predictions, copied, "the id", outputs)
    assert body.endswith(b"\n")
    return reference.loads(body)


def test_rows_are_read_by_name_whatever_their_order(iris):
    schema = iris[0]
    np.testing.assert_array_equal(decode(schema).matrix, [[float(cell) for cell in row] for row in (ROW, OTHER)])
    turned = decode(schema, fields=NAMES[::-1], rows=[ROW[::-1], OTHER[::-1]])
    np.testing.assert_array_equal(turned.matrix, decode(schema).matrix)
    numbers = decode(schema, rows=[[float(cell) for cell in row] for row in (ROW, OTHER)])
    np.testing.assert_array_equal(numbers.matrix, decode(schema).matrix)


def test_what_the_model_does_not_know_is_passed_over(iris):
    """As the Java scorer does; a label column too, and cells of any kind."""
    records = decode(iris[0], fields=["remark", *NAMES, "column_0"], rows=[[{"a": 1}, *ROW, "setosa"]])
    np.testing.assert_array_equal(records.matrix, [[float(cell) for cell in ROW]])
    assert told(records.copied, [1.5])["fields"] == ["predict"]


def test_fields_are_copied_in_the_order_of_the_request(iris):
    rows = [["x", *ROW], [None, *map(float, OTHER)]]
    records = decode(
        iris[0], fields=["remark", *NAMES], rows=rows, includeFieldsInOutput=["column_4", "remark", "column_1"]
    )
    assert told(records.copied) == {
        "id": "the id",
        "fields": ["remark", "column_1", "column_4", "predict"],
        "score": [["x", "5.1", "0.2", "1.5"], [None, "6.3", "2.5", "2.5"]],
    }


def test_an_id_is_made_only_where_it_is_asked_for_and_not_there(iris):
    schema = iris[0]
    made = told(decode(schema, idField="id", includeFieldsInOutput=["id", "column_2"]).copied)
    assert made["fields"] == ["column_2", "id", "predict"]
    ids = [row[1] for row in made["score"]]
    assert len({uuid.UUID(each).int for each in ids}) == 2
    assert all(uuid.UUID(each).version == 4 for each in ids)
    assert [row[0] for row in made["score"]] == ["3.5", "3.3"]

    assert told(decode(schema, idField="id").copied)["fields"] == ["predict"]
    given = {"fields": ["id", *NAMES], "rows": [["a", *ROW], ["b", *OTHER]], "idField": "id"}
    assert told(decode(schema, **given, includeFieldsInOutput=["id"]).copied)["score"] == [["a", "1.5"], ["b", "2.5"]]


def test_names_are_left_out_on_request(iris):
    assert told(decode(iris[0], noFieldNamesInOutput=True).copied) == {"id": "the id", "score": [["1.5"], ["2.5"]]}
    assert "fields" in told(decode(iris[0], noFieldNamesInOutput=False).copied)


def test_yes_and_no_are_numbers_where_the_column_is():
    """As the Java scorer reads them; a column of text keeps them as text."""
    schema = Schema(
        (Column("n", "number", missing=True), Column("b", "boolean"), Column("t", "text", categories=("true", "no")))
    )
    rows = [
        ["true", "true", "true"],
        ["FALSE", "false", "no"],
        [True, True, "true"],
        [False, False, "x"],
        ["", "1", "no"],
    ]
    found = decode(schema, fields=["n", "b", "t"], rows=rows).matrix
    np.testing.assert_array_equal(found, [[1, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, -1], [math.nan, 1, 1]])


SHAPLEY, INTERVALS = "requestShapleyValueType", "requestPredictionIntervals"
# The request's keys that differ · row · column · message
BAD = {
    "no fields": ({"fields": []}, None, None, "List of input fields cannot be empty"),
    "fields are null": ({"fields": None}, None, None, "List of input fields cannot be empty"),
    "no rows": ({"rows": []}, None, None, "List of input data rows cannot be empty"),
    "rows are null": ({"rows": None}, None, None, "List of input data rows cannot be empty"),
    "rows are an object": ({"rows": {"a": 1}}, None, None, '"rows" must be a list of rows'),
    "fields that are no names": ({"fields": [1]}, None, None, '"fields" must be a list of names'),
    "fields are text": ({"fields": "abc"}, None, None, '"fields" must be a list of names'),
    "a row of no list": ({"rows": [ROW, 1]}, 2, None, "row 2: must be a list of values"),
    "a short row": ({"rows": [ROW, ROW[:3]]}, 2, None, "Not enough elements in row 1 (zero-indexed)"),
    "a long row": ({"rows": [[*ROW, "1"], ROW]}, 1, None, "Too many elements in row 0 (zero-indexed)"),
    "a field twice": ({"fields": [*NAMES, "column_1"]}, None, "column_1", "column column_1: appears twice"),
    "a field missing": (
        {"fields": ["wings", *NAMES[1:]]},
        None,
        "column_1",
        f"Input fields don't contain all the Mojo fields, expected [{', '.join(NAMES)}] actual [wings, {', '.join(NAMES[1:])}]",
    ),
    "a bad cell": ({"rows": [ROW, [*ROW[:3], "big"]]}, 2, "column_4", "row 2, column column_4: is not a number"),
    "a list in a cell": (
        {"rows": [[*ROW[:3], [1]]]},
        1,
        "column_4",
        "row 1, column column_4: must be a number, not a JSON array",
    ),
    "an unknown field to copy": (
        {"includeFieldsInOutput": ["column_1", "wings"], "idField": "id"},
        None,
        "wings",
        "includeFieldsInOutput names what is not among the fields",
    ),
    "copies that are no names": (
        {"includeFieldsInOutput": "column_1"},
        None,
        None,
        '"includeFieldsInOutput" must be a list of names',
    ),
    "Shapley values": (
        {SHAPLEY: "ORIGINAL"},
        None,
        None,
        f"Shapley values are not computed here; leave {SHAPLEY} out",
    ),
    "intervals": ({INTERVALS: True}, None, None, f"prediction intervals are not computed here; leave {INTERVALS} out"),
}


@pytest.mark.parametrize(("changed", "row", "column", "message"), BAD.values(), ids=BAD)
def test_a_bad_request_is_told_in_the_scorers_words(iris, changed, row, column, message):
    with pytest.raises((RowError, RequestError)) as refused:
        decode(iris[0], **changed)
    assert (str(refused.value), refused.value.row, refused.value.column) == (message, row, column)


def test_what_asks_for_nothing_more_is_answered(iris):
    assert len(decode(iris[0], **{SHAPLEY: "NONE", INTERVALS: False})) == 2


def test_without_a_schema_the_rows_are_a_table_as_any_other():
    records = decode(None, fields=["a", "b"], rows=[[1, 2], [3, 4]])
    assert (records.copied, records.names, len(records)) == (None, ("a", "b"), 2)
    (row,) = json.decode(b'{"rows": [1, 2], "b": 1}', {}, None).cells
    assert list(row) == [[1, 2], 1]
    for wrong, message in (
        (b'{"fields": [1], "rows": [[1]]}', "list of names"),
        (b'{"fields": ["a"], "rows": [1]}', "row 1: must be a list"),
    ):
        with pytest.raises((RowError, RequestError), match=message):
            json.decode(wrong, {}, None)


CLASSES = Predictions(np.array(["b", "a"]), np.array([[0.1, 0.9], [1.0, 1e-17]]), ("a", "b"))
FRAME = pd.DataFrame({"mean": [1.0, 2.0], "sure": [True, False]})
# What a model predicts · names it gives itself · the answer's names · rows
PREDICTED = {
    "classes": (CLASSES, (), ["predict", "a", "b"], [["b", "0.1", "0.9"], ["a", "1.0", "1e-17"]]),
    "whole-number classes": (
        Predictions(np.array([7, 8]), np.array([[0.5, 0.5]] * 2), (7, 8)),
        (),
        ["predict", "7", "8"],
        [["7", "0.5", "0.5"], ["8", "0.5", "0.5"]],
    ),
    "names for all of them": (
        CLASSES,
        ["label", "p.a", "p.b"],
        ["label", "p.a", "p.b"],
        [["b", "0.1", "0.9"], ["a", "1.0", "1e-17"]],
    ),
    "names for the probabilities": (CLASSES, ["p.a", "p.b"], ["p.a", "p.b"], [["0.1", "0.9"], ["1.0", "1e-17"]]),
    "names that do not fit": (FRAME, ["a"], ["mean", "sure"], [["1.0", "true"], ["2.0", "false"]]),
    "classes without names": (
        Predictions(np.array([1]), np.array([[0.25, 0.75]])),
        (),
        ["predict", "p0", "p1"],
        [["1", "0.25", "0.75"]],
    ),
    "labels alone": (Predictions(np.array(["b", "a"])), (), ["predict"], [["b"], ["a"]]),
    "numbers": (Predictions(np.array([0.1 + 0.2, -0.0])), ["y"], ["y"], [["0.30000000000000004"], ["-0.0"]]),
    "no numbers": (np.array([math.nan, math.inf]), (), ["predict"], [[None], [None]]),
    "an array": (np.array([[1, 2], [3, 4]]), (), ["predict_0", "predict_1"], [["1", "2"], ["3", "4"]]),
    "a column": (np.array([[1.0], [3.0]]), (), ["predict"], [["1.0"], ["3.0"]]),
    "a frame": (FRAME, (), ["mean", "sure"], [["1.0", "true"], ["2.0", "false"]]),
    "values of values": ([{"a": [1, None]}, {"a": None}], (), ["a"], [["[1,null]"], [None]]),
}


@pytest.mark.parametrize(("predictions", "outputs", "names", "rows"), PREDICTED.values(), ids=PREDICTED)
def test_what_is_predicted_has_names_and_is_text(predictions, outputs, names, rows):
    assert told(Copied((), [[]] * len(rows)), predictions, outputs) == {"id": "the id", "fields": names, "score": rows}


def test_a_piece_of_a_request_has_its_own_copies(iris):
    records = decode(iris[0], rows=[ROW, OTHER, ROW], includeFieldsInOutput=["column_1"])
    assert told(records[1:].copied)["score"] == [["6.3", "1.5"], ["5.1", "2.5"]]


def test_pieces_are_joined_whatever_the_names():
    """A field's name may look like what stands before the rows."""
    from byoc.serving import formats

    name = '"score":[ and \\ and é'
    bodies = [score_table.encode([value], Copied((name,), [["x"]]), "the id", ()) for value in (1, 2, 3)]
    whole = reference.loads(b"".join(formats.joined(json, bodies)))
    assert whole == {"id": "the id", "fields": [name, "predict"], "score": [["x", "1"], ["x", "2"], ["x", "3"]]}
