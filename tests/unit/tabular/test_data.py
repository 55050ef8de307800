"""Reading a channel's CSV files: found headers, odd files, and mistakes told by file and line, never by value."""

import gzip

import pandas as pd
import pytest

from byoc.errors import DataError
from byoc.training.channels import Channel
from tabular import data
from tests import datasets


def write(folder, **files):
    for name, content in files.items():
        file = folder / f"{name}.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Channel("training", folder)


def table(frame):
    return {str(name): [None if pd.isna(value) else value for value in frame[name]] for name in frame.columns}


REAL = {
    "iris": (datasets.iris, 5, 0),
    "digits": (datasets.digits, 65, 0),
    "penguins": (datasets.penguins, 8, 19),
    "diabetes": (datasets.diabetes, 11, 0),
}


@pytest.mark.parametrize(("make", "columns", "missing"), REAL.values(), ids=REAL)
def test_real_tables_cell_by_cell(tmp_path, make, columns, missing):
    """CONTRACT check 3."""
    dataset = make()
    dataset.write(tmp_path / "a.csv")
    frame = data.read(Channel("training", tmp_path))
    assert frame.shape == (len(dataset.rows), columns)
    assert [*frame.columns] == (dataset.header or [f"column_{n}" for n in range(columns)])
    assert int(frame.isna().sum().sum()) == missing
    for number, name in enumerate(frame.columns):
        cells = [row[number] for row in dataset.rows]
        for cell, value in zip(cells, frame[name], strict=True):
            if isinstance(value, str):
                assert cell == value
            elif not pd.isna(value):
                assert float(cell) == pytest.approx(value, rel=1e-15)


# What stands in the file · the columns that are read
LAYOUTS = {
    "header over numbers": ("a,b\n1,2\n3,4\n", {"a": [1, 3], "b": [2, 4]}),
    "no header": ("1,2\n3,4\n", {"column_0": [1, 3], "column_1": [2, 4]}),
    "no header, label first": ("x,1\ny,2\nx,3\n", {"column_0": ["x", "y", "x"], "column_1": [1, 2, 3]}),
    "years in names": ("y_2019,2019_20\n1,2\n3,4\n", {"y_2019": [1, 3], "2019_20": [2, 4]}),
    "header over text": ("who,what\nann,tea\nbob,cup\n", {"who": ["ann", "bob"], "what": ["tea", "cup"]}),
    "text without a header": ("ann,tea\nbob,tea\n", {"column_0": ["ann", "bob"], "column_1": ["tea", "tea"]}),
    "pandas' own numbers": ("0,1,2\n5,6,7\n8,9,10\n", {"0": [5, 8], "1": [6, 9], "2": [7, 10]}),
    "a nameless column": (",b\n1,2\n3,4\n", {"column_0": [1, 3], "b": [2, 4]}),
    "spaces around": (" a , b\n 1, x\n 3, y\n", {"a": [1, 3], "b": ["x", "y"]}),
    "semicolons": ("a;b\n1,5;2\n3;4\n", {"a": ["1,5", "3"], "b": [2, 4]}),
    "tabs": ("a\tb\n1\t2\n", {"a": [1], "b": [2]}),
    "BOM and CRLF": ("\ufeffa,b\r\n1,2\r\n3,4\r\n", {"a": [1, 3], "b": [2, 4]}),
    "no last end of line": ("a,b\n1,2", {"a": [1], "b": [2]}),
    "blank lines": ("\n\na,b\n1,2\n\n3,4\n\n", {"a": [1, 3], "b": [2, 4]}),
    "quotes": ('a,"b, c"\n"x, ""y""\nz",2\nw,3\n', {"a": ['x, "y"\nz', "w"], "b, c": [2, 3]}),
    "missing": ("a,b\n1,x\nNA,\n?,z\n", {"a": [1, None, None], "b": ["x", None, "z"]}),
    "booleans": ("a,b\nTrue,1\nFalse,2\n", {"a": [True, False], "b": [1, 2]}),
    "booleans, some missing": ("a,b\nTrue,1\n,2\nFalse,3\n", {"a": [True, None, False], "b": [1, 2, 3]}),
    "one column": ("a\n1\n2\n", {"a": [1, 2]}),
    "one row": ("1,2\n", {"column_0": [1], "column_1": [2]}),
    "a trailing comma": ("a,b\n1,2,\n3,4,\n", {"a": [1, 3], "b": [2, 4]}),
}


@pytest.mark.parametrize(("content", "columns"), LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(tmp_path, content, columns):
    assert table(data.read(write(tmp_path, a=content))) == columns
    (tmp_path / "a.csv").unlink()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content.encode()))
    assert table(data.read(Channel("training", tmp_path))) == columns


@pytest.mark.parametrize(
    ("parameter", "columns"),
    [("present", {"x": ["y"], "1": [2]}), ("absent", {"column_0": ["x", "y"], "column_1": [1, 2]})],
)
def test_the_content_type_may_say_whether_there_is_a_header(tmp_path, parameter, columns):
    """CONTRACT check 10."""
    write(tmp_path, a="x,1\ny,2\n")
    assert table(data.read(Channel("training", tmp_path, f"text/csv; header={parameter}"))) == columns


SHARDS = {
    "a header in each": (("a,b\n1,2\n", "a,b\n3,4\n"), {"a": [1, 3], "b": [2, 4]}),
    "another order": (("a,b\n1,2\n", "b,a\n4,3\n"), {"a": [1, 3], "b": [2, 4]}),
    "another delimiter": (("a,b\n1,2\n", "b;a\n4;3\n"), {"a": [1, 3], "b": [2, 4]}),
    "a header in the first alone": (("a,b\n1,2\n", "3,3\n5,6\n"), {"a": [1, 3, 5], "b": [2, 3, 6]}),
    "the first alone, text": (("a,b\n1,x\n", "3,x\n"), {"a": [1, 3], "b": ["x", "x"]}),
    "no headers": (("1,2\n", "3,4\n"), {"column_0": [1, 3], "column_1": [2, 4]}),
    "numbers, then text": (("a,b\n1,2\n", "a,b\nx,4\n"), {"a": ["1", "x"], "b": [2, 4]}),
    "text, then numbers": (("a,b\nx,2\n", "a,b\n007,4\n"), {"a": ["x", "007"], "b": [2, 4]}),
    "nothing, then text": (("a,b\n,2\n", "a,b\nx,4\n"), {"a": [None, "x"], "b": [2, 4]}),
    "booleans, then missing": (("a,b\nTrue,2\n", "a,b\n,4\n"), {"a": ["True", None], "b": [2, 4]}),
}


@pytest.mark.parametrize(("contents", "columns"), SHARDS.values(), ids=SHARDS)
def test_several_files_are_one_table(tmp_path, contents, columns):
    """CONTRACT check 13."""
    read = table(data.read(write(tmp_path, **dict(zip("ab", contents, strict=True)))))
    if columns.get("a") == ["True", None]:
        read["a"] = [None if value is None else str(value) for value in read["a"]]
    assert read == columns


# files · what the message says
CANARY = "canary4711"
BAD = {
    "long row": ({"a": f"a,b\n1,2\n{CANARY},4,5\n"}, "a.csv, line 3: 3 values, not 2"),
    "all rows long": ({"a": "a,b\n1,2,3\n4,5,6\n"}, "a.csv, line 2: 3 values, not 2"),
    "first row long": ({"a": "a,b\n1,2,3\n4,5\n"}, "a.csv, line 2: 3 values, not 2"),
    "long row without a header": ({"a": "1,2\n3,4,5\n"}, "a.csv, line 2: 3 values, not 2"),
    "short row": ({"a": f"a,b\n1,2\n{CANARY}\n"}, "a.csv, line 3: 1 values, not 2"),
    "short row after a quoted end of line": ({"a": 'a,b\n"x\ny",2\n3\n'}, "a.csv, line 4: 1 values, not 2"),
    "short row without a header": ({"a": "1,2,3\n4,5\n"}, "a.csv, line 2: 2 values, not 3"),
    "short row in the second file": ({"a": "1,2\n", "b": "3,4\n5\n"}, "b.csv, line 2: 1 values, not 2"),
    "not UTF-8": ({"a": b"a,b\n\xe9,2\n"}, "a.csv cannot be read as CSV in UTF-8"),
    "not UTF-8, far below": ({"a": b"a,b\n" + b"x,1\n" * 9999 + b"\xe9,2\n"}, "a.csv cannot be read as CSV in UTF-8"),
    "an open quote": ({"a": f'a,b\n1,2\n"{CANARY},4\n5,6\n'}, "a.csv cannot be read as CSV: EOF inside string"),
    "blank lines alone": ({"a": "\n \n\n"}, "a.csv holds only blank lines"),
    "a header alone": ({"a": "a,b\n1,2\n", "b": "a,b\n"}, "b.csv has a header row and no data"),
    "other columns": ({"a": "a,b\n1,2\n", "b": f"a,{CANARY}\n1,2\n"}, "b.csv does not have the columns of"),
    "fewer columns": ({"a": "a,b,c\n1,2,3\n", "b": "a,b\n1,2\n"}, "2, not 3; it lacks 'c'"),
    "data with fewer columns": ({"a": "a,b,c\n1,2,3\n", "b": f"{CANARY},2\n"}, "2, not 3; it lacks 'a', 'b', 'c'"),
    "more columns": ({"a": "a,b\n1,2\n", "b": f"a,b,{CANARY}\n1,2,3\n"}, "3, not 2; it lacks no others"),
}


@pytest.mark.parametrize(("files", "message"), BAD.values(), ids=BAD)
def test_mistakes_are_told_by_file_and_line_never_by_value(tmp_path, files, message):
    """CONTRACT checks 30 and 33."""
    with pytest.raises(DataError) as refused:
        data.read(write(tmp_path, **files))
    assert message in str(refused.value)
    assert CANARY not in str(refused.value)


def test_a_doubled_name_in_the_header_is_told(tmp_path):
    write(tmp_path, a="a,b,a\n1,2,3\n")
    with pytest.raises(DataError, match="names 'a' more than once"):
        data.read(Channel("training", tmp_path, "text/csv; header=present"))


def damage(content):
    return content[:40] + bytes(byte ^ 0xFF for byte in content[40:60]) + content[60:]


@pytest.mark.parametrize("spoil", [damage, lambda content: content[:-30], lambda content: b"no gzip"])
def test_a_damaged_gz_is_told_by_file(tmp_path, spoil):
    """CONTRACT check 30."""
    rows = "".join(f"{number},{number * 7919 % 1013}\n" for number in range(5000))
    (tmp_path / "a.csv.gz").write_bytes(spoil(gzip.compress(rows.encode())))
    with pytest.raises(DataError, match=r"a\.csv\.gz cannot be read as CSV in UTF-8"):
        data.read(Channel("training", tmp_path))


def test_the_digest_is_the_contents_in_the_order_of_reading(tmp_path):
    write(tmp_path, a="1,2\n", b="3,4\n")
    before = data.digest(Channel("training", tmp_path))
    (tmp_path / "_SUCCESS").write_text("junk")
    assert data.digest(Channel("training", tmp_path)) == before
    write(tmp_path, b="3,5\n")
    assert data.digest(Channel("training", tmp_path)) != before
