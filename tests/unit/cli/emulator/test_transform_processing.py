from __future__ import annotations

from typing import Any

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.transform.errors import DataError
from byoc_cli.emulator.transform.processing import Processing

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"


def processing(
    takes: str, gives: str = "", split: str = "Line", assemble: str | None = None, **wanted: str
) -> Processing:
    request: dict[str, Any] = {
        "TransformInput": {"ContentType": takes, "SplitType": split},
        "TransformOutput": {"Accept": gives or takes, "AssembleWith": split if assemble is None else assemble},
        "DataProcessing": wanted,
    }
    return Processing(request)


@pytest.mark.parametrize(
    ("takes", "text", "record", "selected"),
    [
        (CSV, "$", b"7,a,b\r\n", b"7,a,b\r\n"),
        (CSV, "$[1:]", b"7,a,b\r\n", b"a,b\n"),
        (CSV, "$[0]", b"7,a,b", b"7\n"),
        (CSV, "$[0,2]", b'7,x,"a, ""b"""\n', b'7,"a, ""b"""\n'),
        ("Text/CSV; charset=utf-8", "$[1:]", b"7,a\n", b"a\n"),
        (LINES, "$.features", b'{"id": 7, "features": [1, 2]}\n', b"[1,2]\n"),
        (LINES, "$['features']", b'{"id": 7, "features": {"a": "\xc3\xa9"}}', b'{"a":"\xc3\xa9"}\n'),
        (JSON, "$.instances[0:1]", b'{"instances": [1, 2]}', b"[1]"),
    ],
)
def test_the_model_gets_what_the_filter_selects(takes, text, record, selected):
    assert processing(takes, InputFilter=text).select(record) == selected


@pytest.mark.parametrize(
    ("takes", "split", "wanted", "records", "answer", "output"),
    [
        (CSV, "Line", {}, [b"1,2\n", b"3,4\n"], b"a\nb\n", b"a\nb\n"),
        (CSV, "Line", {"JoinSource": "Input"}, [b"1,2\n", b"3,4\n"], b"a\nb\n", b"1,2,a\n3,4,b\n"),
        (CSV, "Line", {"JoinSource": "Input"}, [b"1,2\r\n", b"3,4"], b"a\r\nb", b"1,2,a\n3,4,b\n"),
        (CSV, "Line", {"JoinSource": "Input"}, [b'"x, y",2\n'], b"a,0.5\n", b'"x, y",2,a,0.5\n'),
        (
            CSV,
            "Line",
            {"JoinSource": "Input", "OutputFilter": "$[0,-1]"},
            [b"1,2\n", b"3,4\n"],
            b"a\nb\n",
            b"1,a\n3,b\n",
        ),
        (CSV, "Line", {"OutputFilter": "$[1:]"}, [b"1\n"], b"a,0.1,0.9\n", b"0.1,0.9\n"),
        (
            LINES,
            "Line",
            {"JoinSource": "Input"},
            [b'{"id":1}\n'],
            b'{"label":2}\n',
            b'{"id":1,"SageMakerOutput":{"label":2}}\n',
        ),
        (
            LINES,
            "Line",
            {"JoinSource": "Input"},
            [b"[1,2]\n"],
            b"0.5",
            b'{"SageMakerInput":[1,2],"SageMakerOutput":0.5}\n',
        ),
        (
            LINES,
            "Line",
            {"JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"},
            [b'{"id":1,"x":2}\n', b'{"id":2,"x":3}\n'],
            b'"a"\n\n"b"\n',
            b'{"id":1,"SageMakerOutput":"a"}\n{"id":2,"SageMakerOutput":"b"}\n',
        ),
        (
            JSON,
            "None",
            {"JoinSource": "Input"},
            [b'{"instances":[1]}'],
            b'{"predictions":[2]}\n',
            b'{"instances":[1],"SageMakerOutput":{"predictions":[2]}}',
        ),
        (
            JSON,
            "None",
            {"OutputFilter": "$.predictions.*.score"},
            [b"{}"],
            b'{"predictions":[{"score":2},{"score":3}]}',
            b"[2,3]",
        ),
        (
            JSON,
            "Line",
            {"JoinSource": "Input"},
            [b'{"a":1}\n', b'{"a":2}\n'],
            b'{"p":1}\n{"p":2}\n',
            b'{"a":1,"SageMakerOutput":{"p":1}}\n{"a":2,"SageMakerOutput":{"p":2}}',
        ),
    ],
)
def test_the_output_has_what_was_asked_for(takes, split, wanted, records, answer, output):
    assert processing(takes, split=split, **wanted).finish(records, answer) == output


@pytest.mark.parametrize(
    ("takes", "wanted", "records", "answer", "message"),
    [
        (CSV, {"JoinSource": "Input"}, [b"1\n", b"2\n"], b"a\n", "2 records were answered by 1"),
        (LINES, {"JoinSource": "Input"}, [b"{}\n"], b"1\n2\n", "1 records were answered by 2"),
        (LINES, {"JoinSource": "Input"}, [b"nonsense\n"], b"1\n", "'nonsense\\\\n' is no JSON"),
        (CSV, {"OutputFilter": "$[3]"}, [b"1\n"], b"a\n", r"\$\[3\] selects what is not there"),
    ],
)
def test_what_cannot_be_done_is_told(takes, wanted, records, answer, message):
    with pytest.raises(DataError, match=message):
        processing(takes, **wanted).finish(records, answer)


def test_a_row_that_is_none_is_told():
    with pytest.raises(DataError, match="no row of CSV"):
        processing(CSV, InputFilter="$[1:]").select(b'"never closed\n')


@pytest.mark.parametrize(
    ("takes", "gives", "split", "assemble", "wanted", "message"),
    [
        (CSV, CSV, "Line", "Line", {"InputFilter": "$.a"}, "have no names"),
        (CSV, CSV, "None", "None", {"InputFilter": "$[1:]"}, "needs SplitType to be Line"),
        (
            LINES,
            LINES,
            "Line",
            "Line",
            {"OutputFilter": "$['account_id']"},
            r'Invalid OutputFilter: "\$\[\'account_id\'\]". Unexpected "_"',
        ),
        ("image/png", CSV, "None", "None", {"InputFilter": "$[1:]"}, "InputFilter needs ContentType to be one of"),
        (CSV, "", "Line", "Line", {"OutputFilter": "$[1:]"}, "OutputFilter needs Accept to be one of"),
        (CSV, JSON, "Line", "Line", {"JoinSource": "Input"}, "to be the same"),
        ("image/png", "image/png", "None", "None", {"JoinSource": "Input"}, "to be the same"),
        (CSV, CSV, "Line", "None", {"JoinSource": "Input"}, "AssembleWith to be as SplitType"),
        (CSV, CSV, "None", "None", {"JoinSource": "Input"}, "needs SplitType and AssembleWith to be Line"),
    ],
)
def test_what_cannot_be_is_refused(takes, gives, split, assemble, wanted, message):
    request: dict[str, Any] = {
        "TransformInput": {"ContentType": takes, "SplitType": split},
        "TransformOutput": {"AssembleWith": assemble, **({"Accept": gives} if gives else {})},
        "DataProcessing": wanted,
    }
    with pytest.raises(ApiError, match=message) as refused:
        Processing(request)
    assert refused.value.code == "ValidationException"


def test_types_may_differ_where_nothing_is_joined():
    made = processing(CSV, JSON, InputFilter="$[1:]", OutputFilter="$.predictions")
    assert made.select(b"7,1\n") == b"1\n"
    assert made.finish([b"7,1\n"], b'{"predictions": [0]}') == b"[0]"
