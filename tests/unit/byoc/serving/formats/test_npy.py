"""npy in: whatever numpy writes that is numbers; forged, pickled and damaged files are refused (fault test 25)."""

import io
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc.errors import RowError
from byoc.serving.errors import RequestError
from byoc.serving.formats import npy

WHOLE = [[5, 3, 1, 0], [6, 2, 4, 1], [7, 0, 1, 1]]


def save(array, version=None, **options):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), version, **options)
    return out.getvalue()


def header(descr="<f8", order=False, shape=(1, 4), data=bytes(32), version=1):
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + data


@pytest.mark.parametrize(
    "dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", ">i2", "i1", "u1", ">u4", "<i8", ">u8", "int64", "float32"]
)
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_type_order_and_version(iris, dtype, layout, version):
    array = np.array(WHOLE, dtype=dtype, order=layout)
    found = npy.decode(save(array, version), {}, iris[0]).matrix
    np.testing.assert_array_equal(found, WHOLE)
    assert (found.dtype, found.flags.c_contiguous, found.flags.writeable) == (np.float64, True, True)


def test_real_rows_come_back_to_the_bit(iris):
    schema, rows = iris
    array = np.array(rows, dtype=float)
    np.testing.assert_array_equal(npy.decode(save(array), {}, schema).matrix, schema.matrix(rows))
    np.testing.assert_array_equal(npy.decode(save(array[7]), {}, schema).matrix, array[7:8], "one record alone")
    np.testing.assert_array_equal(npy.decode(save(array), {}, None).array(), array)
    np.testing.assert_array_equal(npy.decode(save(array), {}, None).frame().to_numpy(), array)


def test_booleans_are_numbers():
    np.testing.assert_array_equal(npy.decode(save([[True, False]]), {}, None).matrix, [[1, 0]])


class Canary:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


BAD = {
    "nothing": (b"", "is not an npy file"),
    "CSV": (b"1,2,3,4\n", "is not an npy file"),
    "the magic alone": (b"\x93NUMPY", "header is damaged"),
    "cut within the header": (save(WHOLE)[:40], "header is damaged"),
    "cut within the data": (save(WHOLE)[:-1], "length is not what its header says"),
    "two files": (save(WHOLE) * 2, "length is not what its header says"),
    "a later version": (header(version=4), "header is damaged"),
    "a long header": (header(shape=" " * 70000 + "(1, 4)", version=2), "too long"),
    "a forged shape": (header(shape=(10**12, 4), data=b""), "length is not what its header says"),
    "a forged shape that wraps around": (header(shape=(1 << 59, 4), data=b""), "length is not what its header says"),
    "a shape of many digits": (header(shape=f"({'9' * 5000},)"), "shape is not one"),
    "a shape of many sizes": (header(shape=(1,) * 99), "shape is not one"),
    "a negative shape": (header(shape=(-1, 4)), "must hold whole numbers"),
    "objects": (save(np.array([[Canary()]], dtype=object)), "objects are never unpickled"),
    "a pickle": (pickle.dumps([1]), "is not an npy file"),
    "a header that is code": (header(descr="__import__('os').abort()"), "must hold whole numbers"),
    "fields with names": (save(np.zeros(2, dtype=[("a", "f8"), ("b", "f8")])), "must hold whole numbers"),
    "text": (save(np.array([["a"]])), "must hold whole numbers"),
    "complex": (save(np.zeros((1, 4), complex)), "must hold whole numbers"),
    "dates": (save(np.zeros((1, 4), "M8[s]")), "must hold whole numbers"),
    "a type that is none": (header(descr="<f3"), "must hold whole numbers"),
    "a number alone": (save(np.float64(1)), "must have 2 dimensions"),
    "pictures": (save(np.zeros((2, 2, 2))), "must have 2 dimensions"),
    "no rows": (save(np.zeros((0, 4))), "holds no rows"),
    "no columns": (header(shape=(10**17, 0), data=b""), "holds no rows"),
    "narrow": (save(np.zeros((2, 3))), "has 3 values, not the 4 expected"),
    "missing": (save([[1, 2, 3, 4], [1, np.nan, 3, 4]]), "row 2, column column_2: is missing"),
    "infinite": (save([[1, 2, 3, -np.inf]]), "row 1, column column_4: must be a finite number"),
}


@pytest.mark.parametrize(("body", "message"), BAD.values(), ids=BAD)
def test_a_bad_body_is_told_and_takes_no_memory(iris, body, message):
    """Fault test 25."""
    tracemalloc.start()
    with pytest.raises((RowError, RequestError), match=message) as refused:
        npy.decode(body, {}, iris[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert getattr(refused.value, "status", 400) == 400
    assert peak < 2 << 20


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 150), st.booleans())
def test_any_bytes_are_rows_or_an_error_of_ours(iris, noise, position, cut):
    whole = save(np.array(WHOLE, float))
    body = whole[:position] + noise + (b"" if cut else whole[position + len(noise) :])
    for schema in (iris[0], None):
        try:
            assert len(npy.decode(body, {}, schema)) > 0
        except (RowError, RequestError):
            continue
