from __future__ import annotations

import pytest

from byoc_cli.emulator.transform import jsonpath
from byoc_cli.emulator.transform.errors import DataError

ROW = ["7", "a", "b", "c", "d"]
RECORD = {"id": 7, "features": [1, 2, 3], "deep": {"a": {"b": [10, 20, 30]}, "c": {"b": [40]}}, "with space": 1}


@pytest.mark.parametrize(
    ("text", "value", "selected"),
    [
        ("$", ROW, ROW),
        ("$[0]", ROW, "7"),
        ("$[-1]", ROW, "d"),
        ("$[1:]", ROW, ["a", "b", "c", "d"]),
        ("$[:2]", ROW, ["7", "a"]),
        ("$[1:3]", ROW, ["a", "b"]),
        ("$[0:-1]", ROW, ["7", "a", "b", "c"]),
        ("$[-2:]", ROW, ["c", "d"]),
        ("$[0,-1]", ROW, ["7", "d"]),
        ("$[ 1 , 3 ]", ROW, ["a", "c"]),
        ("$[0,3:]", ROW, ["7", "c", "d"]),
        ("$[*]", ROW, ROW),
        ("$.features", RECORD, [1, 2, 3]),
        ("$['features']", RECORD, [1, 2, 3]),
        ("$.['features']", RECORD, [1, 2, 3]),
        ("$.features[0]", RECORD, 1),
        ("$['id','features']", RECORD, {"id": 7, "features": [1, 2, 3]}),
        ("$['features', 'id']", RECORD, {"features": [1, 2, 3], "id": 7}),
        ("$['with space']", RECORD, 1),
        ("$.deep.a.b[0:2]", RECORD, [10, 20]),
        ("$.deep['a','c']", RECORD, {"a": {"b": [10, 20, 30]}, "c": {"b": [40]}}),
        ("$.deep.*.b", RECORD, [[10, 20, 30], [40]]),
        ("$.deep.*.b[0]", RECORD, [10, 40]),
        ("$.features.*", RECORD, [1, 2, 3]),
        ("$.id.*", RECORD, []),
    ],
)
def test_an_expression_selects(text, value, selected):
    assert jsonpath.parse(text).select(value) == selected


@pytest.mark.parametrize(
    ("text", "value"),
    [("$[5]", ROW), ("$[0,9]", ROW), ("$.none", RECORD), ("$['id','none']", RECORD), ("$.id[0]", RECORD), ("$.a", ROW)],
)
def test_what_is_not_there_is_told(text, value):
    with pytest.raises(DataError, match="selects what is not there"):
        jsonpath.parse(text).select(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with"),
        ("features", "begins with"),
        ("$['account_id']", 'Unexpected "_" in JsonPath'),
        ("$.é", 'Unexpected "é"'),
        ("$[?(@.a)]", 'Unexpected "\\?"'),
        ("$..a", "no step"),
        ("$a", "no step"),
        ("$[", "no step"),
        ("$[0:2,246:]", r"only single range filters of format .* Format \[0:2,246:\] is not supported"),
        ("$[a]", "neither"),
        ("$[]", "neither"),
        ("$[1:2:3]", "neither"),
        ("$['a','b'].c", "last step"),
    ],
)
def test_what_batch_transform_does_not_take_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        jsonpath.parse(text)


@pytest.mark.parametrize(
    ("text", "fits"), [("$", True), ("$[1:]", True), ("$[0,2]", True), ("$.a", False), ("$['a']", False)]
)
def test_rows_have_no_names(text, fits):
    assert jsonpath.parse(text).fits_rows is fits
