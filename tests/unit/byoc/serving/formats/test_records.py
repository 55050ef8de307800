"""Records: the same whatever the media type they came in (CONTRACT check 55)."""

import csv as reference_csv
import io
import json as reference_json

import numpy as np
import pandas as pd
import pytest

from byoc.errors import RowError
from byoc.schema import Column, FreeText, Schema
from byoc.serving.formats import csv, json, jsonlines, records
from byoc.serving.formats.records import Records


def typed(cell):
    """Return a cell as a JSON client would send it."""
    if cell in ("NA", ""):
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


def test_every_media_type_gives_equal_numbers(penguins):
    """CONTRACT check 55."""
    schema, header, rows = penguins
    values = [[typed(cell) for cell in row] for row in rows]
    named = [dict(zip(header, row, strict=True)) for row in values]
    text = io.StringIO()
    reference_csv.writer(text).writerows(rows)
    expected = csv.decode(text.getvalue().encode(), {}, schema).matrix
    assert expected.shape == (len(rows), len(header))
    assert np.isnan(expected).any()
    bodies = [
        (json, reference_json.dumps({"instances": values}).encode()),
        (json, reference_json.dumps(named).encode()),
        (jsonlines, "\n".join(map(reference_json.dumps, values)).encode()),
        (jsonlines, "\n".join(map(reference_json.dumps, named)).encode()),
    ]
    for source, body in bodies:
        np.testing.assert_array_equal(source.decode(body, {}, schema).matrix, expected)


def test_joined_records_keep_their_order(penguins):
    schema, _, rows = penguins
    parts = [records.build(rows[start:stop], None, schema) for start, stop in ((0, 1), (1, 5), (5, 7))]
    assert len({part.layout for part in parts}) == 1
    np.testing.assert_array_equal(records.join(parts).matrix, schema.matrix(rows[:7]))


def test_records_without_a_schema_join_only_their_like():
    by_position, by_name = records.build([["1", "2"]], None, None), records.build([[3, 4]], ["a", "b"], None)
    assert by_position.layout != by_name.layout
    assert by_position.layout != records.build([["1"]], None, None).layout
    assert by_name.layout != records.build([[3, 4]], ["b", "a"], None).layout
    joined = records.join([by_name, records.build([[5, 6], [7, 8]], ["a", "b"], None)])
    assert joined.frame().to_dict("list") == {"a": [3, 5, 7], "b": [4, 6, 8]}


def test_a_frame_has_names_and_text_again(penguins):
    schema, header, rows = penguins
    frame = records.build([[*rows[0]], ["Atlantis", *rows[1][1:]]], None, schema).frame()
    assert [*frame.columns] == header
    assert frame["island"][0] == rows[0][0]
    assert frame["island"].isna().tolist() == [False, True]
    assert frame["year"].tolist() == [float(row[-1]) for row in rows[:2]]


def test_without_a_schema_columns_of_numbers_become_numbers():
    frame = Records(None, [["1", "x", None], ["NA", "2", "3"]]).frame()
    assert [*frame.columns] == [0, 1, 2]
    assert [pd.api.types.is_numeric_dtype(frame[name]) for name in frame] == [True, False, True]
    assert frame[0].isna().tolist() == [False, True]


def test_without_a_schema_an_array_is_numbers_or_the_cell_that_is_none():
    np.testing.assert_array_equal(Records(None, [["1", None], [2, "NA"]]).array(), [[1, np.nan], [2, np.nan]])
    for cell in ("canary", [1], {"a": 1}):
        with pytest.raises(RowError, match="is not a number") as refused:
            Records(None, [[1, 2], [3, cell]], names=("a", "b")).array()
        assert (refused.value.row, refused.value.column) == (2, "b")
        assert "canary" not in str(refused.value)


def test_numbers_without_a_schema_stay_a_matrix():
    """They may share a call with others as wide, not with text, whose columns a model may take by name."""
    wide, narrow = records.from_matrix(np.ones((2, 3), "f4"), None), records.from_matrix(np.zeros((1, 2)), None)
    assert wide.layout != narrow.layout
    assert wide.layout != records.build([["1", "1", "1"]], None, None).layout
    joined = records.join([wide, records.from_matrix(np.zeros((1, 3)), None)])
    np.testing.assert_array_equal(joined.array(), [[1, 1, 1], [1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(joined.frame().to_numpy(), joined.array())
    assert (len(joined), joined.array().dtype) == (3, np.float64)


def test_free_text_in_a_table():
    """Beside text of known categories and numbers, each of its own kind."""
    schema = Schema((FreeText("name"), Column("colour", "text", categories=("red",)), Column("size", "number")))
    table = records.build([["Ada", "red", 1.5], ["Bob", "blue", 2]], None, schema).frame()
    assert table["name"].tolist() == ["Ada", "Bob"]
    assert table["colour"].isna().tolist() == [False, True]
    assert table["size"].dtype == np.float64
