"""npz in: numpy's own archives and scipy's sparse matrices; bombs and forgeries are refused (fault test 25)."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from byoc.errors import RowError
from byoc.serving.errors import RequestError
from byoc.serving.formats import npz
from tests import datasets


def savez(compressed=False, **arrays):
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def save_sparse(matrix, compressed=True):
    out = io.BytesIO()
    sparse.save_npz(out, matrix, compressed)
    return out.getvalue()


def archive(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(f"{name}.npy", content)
    return out.getvalue()


@pytest.mark.parametrize("compressed", [True, False])
def test_one_array(iris, compressed):
    schema, rows = iris
    body = savez(compressed, rows=np.array(rows, dtype=">f8", order="F"))
    np.testing.assert_array_equal(npz.decode(body, {}, schema).matrix, schema.matrix(rows))


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array])
def test_what_scipy_saves(kind, compressed, make):
    """Real rows, half of whose numbers are 0."""
    rows = np.array(datasets.digits().features(slice(0, 100)), dtype=float)
    body = save_sparse(make(rows).asformat(kind), compressed)
    np.testing.assert_array_equal(npz.decode(body, {}, None).matrix, rows)


def test_values_of_one_place_are_added_as_scipy_adds_them():
    matrix = sparse.coo_matrix(([1.0, 2.0, 4.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 4))
    np.testing.assert_array_equal(npz.decode(save_sparse(matrix), {}, None).matrix, matrix.toarray())


def csr(**changed):
    parts = {
        "format": np.array(b"csr"),
        "shape": np.array([2, 4]),
        "data": np.array([1.0, 2.0]),
        "indices": np.array([0, 3]),
        "indptr": np.array([0, 1, 2]),
    }
    return savez(**{name: value for name, value in {**parts, **changed}.items() if value is not None})


def test_the_forgeries_differ_from_what_is_right_in_one_thing():
    np.testing.assert_array_equal(npz.decode(csr(), {}, None).matrix, [[1, 0, 0, 0], [0, 0, 0, 2]])


WHOLE = savez(a=np.zeros((2, 4)))
BAD = {
    "nothing": (b"", 400, "is not an npz file"),
    "an npy file": (b"\x93NUMPY\x01\x00", 400, "is not an npz file"),
    "cut": (WHOLE[:-30], 400, "is not an npz file"),
    "damaged": (WHOLE[:150] + b"xx" + WHOLE[152:], 400, "is not an npz file"),
    "an empty archive": (archive(), 400, "it holds 0 arrays"),
    "two arrays": (savez(a=np.zeros(4), b=np.zeros(4)), 400, "it holds 2 arrays"),
    "many members": (savez(**{f"a{n}": np.zeros(4) for n in range(9)}), 400, "at most 8 arrays"),
    "no npy in it": (archive(a=b"1,2,3,4"), 400, "is not an npy file"),
    "objects": (archive(a=io.BytesIO(np.array([{}], dtype=object).dumps()).getvalue()), 400, "is not an npy file"),
    "a bomb": (archive(a=bytes(100 << 20)), 413, "arrays are too large"),
    "two halves of a bomb": (archive(a=bytes(40 << 20), b=bytes(40 << 20)), 413, "arrays are too large"),
    "another layout": (save_sparse(sparse.bsr_matrix(np.eye(4))), 400, "must be in the layout csr, csc or coo"),
    "no pointers": (csr(indptr=None), 400, "must be in the layout"),
    "a layout that is a number": (csr(format=np.array(1)), 400, "must hold whole numbers"),
    "a huge shape": (csr(shape=np.array([2, 10**15])), 413, "send fewer"),
    "huge pointers": (csr(shape=np.array([10**15, 4])), 400, "not in order"),
    "a negative shape": (csr(shape=np.array([2, -4])), 400, "not whole numbers from 0"),
    "a shape of floats": (csr(shape=np.array([2.0, 4.0])), 400, "not whole numbers from 0"),
    "a shape of three": (csr(shape=np.array([2, 4, 1])), 400, "do not fit each other"),
    "a row too many": (
        csr(format=np.array(b"coo"), indices=None, indptr=None, row=np.array([0, 2]), col=np.array([0, 3])),
        400,
        "outside of its shape",
    ),
    "a column too many": (csr(indices=np.array([0, 4])), 400, "outside of its shape"),
    "a negative column": (csr(indices=np.array([0, -1])), 400, "not whole numbers from 0"),
    "more columns than values": (csr(indices=np.array([0, 3, 1])), 400, "do not fit each other"),
    "pointers that fall": (csr(indptr=np.array([0, 3, 2])), 400, "not in order"),
    "pointers that start late": (csr(indptr=np.array([1, 1, 2])), 400, "not in order"),
    "no pointers at all": (csr(indptr=np.zeros(0, int)), 400, "not in order"),
    "pointers beyond the values": (csr(indptr=np.array([0, 1, 9])), 400, "not in order"),
}


@pytest.mark.parametrize(("body", "status", "message"), BAD.values(), ids=BAD)
def test_a_bad_body_is_told_and_takes_little_memory(iris, body, status, message):
    """Fault test 25."""
    tracemalloc.start()
    with pytest.raises((RowError, RequestError), match=message) as refused:
        npz.decode(body, {}, iris[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert getattr(refused.value, "status", 400) == status
    assert peak < 4 << 20


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused(iris, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        target.writestr("a.npy", b"x")
    with pytest.raises(RequestError, match="stored or deflated"):
        npz.decode(out.getvalue(), {}, iris[0])


def test_a_size_that_lies_is_found_out(iris):
    """The archive states fewer bytes than it unpacks to: no more than those are read, and the checksum is wrong."""
    body = bytearray(archive(a=bytes(50 << 20)))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = body.rindex(signature) + offset
        body[place : place + 4] = (100).to_bytes(4, "little")
    tracemalloc.start()
    with pytest.raises(RequestError, match="is damaged"):
        npz.decode(bytes(body), {}, iris[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=10), st.integers(0, 1400), st.booleans())
def test_any_bytes_are_rows_or_an_error_of_ours(iris, noise, position, cut):
    whole = csr()
    body = whole[:position] + noise + (b"" if cut else whole[position + len(noise) :])
    for schema in (iris[0], None):
        try:
            assert len(npz.decode(body, {}, schema)) > 0
        except (RowError, RequestError):
            continue
