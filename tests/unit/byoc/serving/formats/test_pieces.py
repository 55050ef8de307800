"""Large bodies are cut between records, wherever they are cut on their way."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc.serving.errors import RequestError
from byoc.serving.formats import csv as csv_format
from byoc.serving.formats import pieces

CELLS = st.lists(st.text(st.sampled_from('a,"\n\r 1'), min_size=1, max_size=8), min_size=2, max_size=2)


def blocks(body, size):
    return [body[start : start + size] for start in range(0, len(body), size)]


@settings(derandomize=True, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=12), st.integers(1, 30), st.integers(1, 30))
def test_quoted_csv_is_cut_between_records_only(rows, size, block):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    body = out.getvalue().encode()
    cut = list(pieces.cut(blocks(body, block), size, quoted=True))
    assert b"".join(cut) == body
    read = [row for piece in cut for row in csv.reader(io.StringIO(piece.decode(), newline=""), strict=True)]
    assert read == rows


@settings(derandomize=True, deadline=None)
@given(st.lists(st.sampled_from([b"1", b"22,3", b""]), min_size=1), st.integers(1, 9), st.integers(1, 9))
def test_lines_are_kept_whole(lines, size, block):
    body = b"\n".join(lines)
    cut = list(pieces.cut(blocks(body, block), size))
    assert b"".join(cut) == body
    assert all(piece.endswith(b"\n") for piece in cut[:-1])


def test_a_record_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr(pieces, "LONGEST_RECORD", 1 << 20)
    with pytest.raises(RequestError, match="larger than 1 MB") as refused:
        list(pieces.cut(iter([b'"', *[b"x\n" * 50_000] * 20]), 100, quoted=True))
    assert refused.value.status == 413


def test_every_piece_of_csv_has_the_header(iris):
    schema, rows = iris
    body = ("column_2,column_1,column_3,column_4\n" + "".join(f"{b},{a},{c},{d}\n" for a, b, c, d in rows)).encode()
    cut = list(csv_format.pieces(blocks(body, 100), 300, {}, schema))
    assert len(cut) > 5
    matrix = [row for piece, given_ in cut for row in csv_format.decode(piece, given_, schema).matrix.tolist()]
    assert matrix == [[float(cell) for cell in row] for row in rows]
