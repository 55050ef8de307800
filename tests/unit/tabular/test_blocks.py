"""Files in blocks: the rows of `tabular.data.read`, wherever the cuts are, and its mistakes told alike."""

import gzip
import random

import pandas as pd
import pytest

from byoc.errors import DataError
from byoc.training.channels import Channel
from tabular import blocks, data
from tests.unit.tabular.test_data import BAD, CANARY, LAYOUTS, REAL, SHARDS, write

SIZES = [5, 7, 9, 16, 33, 100, 4000]
# Quotes within cells, ends of line and delimiters within quotes, escaped quotes, nothing quoted, and texts of any kind.
AWKWARD = [
    '5" pipe',
    '"x\ny"',
    '"a,b"',
    '"he said ""no"""',
    '""',
    "plain",
    ' "after a space"',
    "é",
    '"\n"',
    "x y",
    '"""q"""',
]


def cut(channel, scratch, size):
    first = blocks.layout_of(channel)
    cuts = [blocks.cut(file, channel, first, scratch, size) for file in data.files_of(channel)]
    return [block for found, _ in cuts for block in found]


def joined(found, as_text):
    return pd.concat([blocks.read(block, as_text) for block in found], ignore_index=True)


def cells(frame):
    return frame.astype(object).where(frame.notna(), None).astype(str).to_dict("list")


def texts(frame):
    return [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]


def check(channel, scratch, sizes=SIZES):
    whole = data.read(channel)
    for size in sizes:
        assert cells(joined(cut(channel, scratch, size), texts(whole))) == cells(whole), size


@pytest.mark.parametrize("content", [content for content, _ in LAYOUTS.values()], ids=LAYOUTS)
def test_layouts(tmp_path, content):
    channel = write(tmp_path, a=content)
    check(channel, tmp_path, [size for size in SIZES if size * blocks.MOST > len(content)])


@pytest.mark.parametrize("contents", [contents for contents, _ in SHARDS.values()], ids=SHARDS)
def test_several_files(tmp_path, contents):
    check(write(tmp_path, **dict(zip("ab", contents, strict=True))), tmp_path, [16, 100])


@pytest.mark.parametrize("make", [make for make, *_ in REAL.values()], ids=REAL)
def test_real_tables(tmp_path, make):
    make().write(tmp_path / "a.csv")
    channel = Channel("training", tmp_path)
    assert len(cut(channel, tmp_path, 1000)) > 3
    check(channel, tmp_path, [1000, 5000])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_of_every_kind(tmp_path, seed, end):
    generator = random.Random(seed)
    kinds = AWKWARD if seed % 2 else [cell for cell in AWKWARD if cell != '5" pipe' and not cell.startswith(" ")]
    rows = [f"{generator.choice(kinds)},{number},{generator.choice(kinds)}" for number in range(40)]
    channel = write(tmp_path, a="first,second,third" + end + end.join(rows) + end)
    assert len(cut(channel, tmp_path, 40)) > 4
    check(channel, tmp_path, [20, 40, 100])


def test_a_compressed_file_is_unpacked(tmp_path):
    content = "a,b\n" + "".join(f"{number},x{number}\n" for number in range(500))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv.gz").write_bytes(gzip.compress(content.encode()))
    channel = Channel("training", tmp_path / "in")
    found = cut(channel, tmp_path / "scratch", 500)
    assert len(found) > 5
    assert {block.source.parent for block in found} == {tmp_path / "scratch"}
    assert {block.file for block in found} == {tmp_path / "in/a.csv.gz"}
    assert cells(joined(found, ["b"])) == cells(data.read(channel))


@pytest.mark.parametrize(("files", "message"), BAD.values(), ids=BAD)
def test_mistakes_are_told_alike(tmp_path, files, message):
    channel = write(tmp_path, **files)
    with pytest.raises(DataError) as refused:
        joined(cut(channel, tmp_path, 100_000), ())
    if "EOF inside string" not in message:
        assert message in str(refused.value)
    assert CANARY not in str(refused.value)


def test_a_mistake_far_below_has_the_files_own_line(tmp_path):
    rows = [f'{number},"x\ny"' for number in range(200)]
    channel = write(tmp_path, a="a,b\n" + "\n".join(rows) + "\n1,2,3\n")
    for size in (50, 300, 10_000):
        with pytest.raises(DataError, match=r"a.csv, line 402: 3 values, not 2"):
            joined(cut(channel, tmp_path, size), ())


def test_a_row_without_an_end_is_told(tmp_path):
    channel = write(tmp_path, a='a,b\n1,2\n"' + "x,1\n" * 400)
    with pytest.raises(DataError, match=r"a row has more than .* is a quote not closed"):
        cut(channel, tmp_path, 50)


def test_the_order_is_that_of_the_files_blocks_whatever_the_host(tmp_path):
    channel = write(tmp_path, a="1,2\n" * 50, b="3,4\n" * 30)
    found = cut(channel, tmp_path, 40)
    ordered = blocks.in_order(reversed(found))
    assert [(block.name, block.index) for block in ordered][:5] == [
        ("a.csv", 0),
        ("b.csv", 0),
        ("a.csv", 1),
        ("b.csv", 1),
        ("a.csv", 2),
    ]
    assert [block.number for block in ordered] == list(range(len(found)))
