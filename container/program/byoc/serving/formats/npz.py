"""``application/x-npz``: one array of numpy.savez, or a sparse matrix of scipy.sparse.save_npz; requests only."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from byoc.serving.errors import RequestError, bad_request
from byoc.serving.formats import npy, records, sparse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records

MEDIA_TYPE = "application/x-npz"

# A sparse matrix has five or six arrays.
MOST_MEMBERS = 8
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
UNREADABLE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


def decode(body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:  # noqa: ARG001
    """Return the records of the one array, or of the sparse matrix in the layouts csr, csc or coo.

    Raises:
        RowError, RequestError: as `Format.decode`.

    """
    members = _unpack(body)
    if "format" in members:
        return records.from_matrix(_dense(members, len(body)), schema)
    if len(members) != 1:
        raise bad_request(f"the npz file must hold one array or a sparse matrix; it holds {len(members)} arrays")
    return records.from_matrix(npy.as_rows(npy.read(next(iter(members.values())))), schema)


def _unpack(body: bytes) -> dict[str, bytes]:
    """Return the npy files in the archive by their names.

    Raises:
        RequestError: 413, they are out of proportion to the body; 400, it is no such archive.

    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_MEMBERS or any(entry.compress_type not in METHODS for entry in entries):
                raise bad_request(f"the npz file must hold at most {MOST_MEMBERS} arrays, stored or deflated")
            if sum(entry.file_size for entry in entries) > max(sparse.MOST_BYTES, sparse.GROWTH * len(body)):
                raise RequestError(413, "payload_too_large", "the npz file's arrays are too large; send fewer records")
            return {entry.filename.removesuffix(".npy"): _read(archive, entry) for entry in entries}
    except UNREADABLE:
        raise bad_request("the body is not an npz file, or is damaged") from None


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return an entry's bytes; an entry that states too small a size is unpacked no further."""
    with archive.open(entry) as content:
        return content.read(entry.file_size)


def _dense(members: Mapping[str, bytes], size: int) -> NDArray[np.float64]:
    """Write a sparse matrix out; values of one place are added, as scipy adds them.

    Raises:
        RequestError: 400, its arrays do not fit each other; 413, it is too large.

    """
    layout = str(npy.read(members["format"], npy.TEXT).astype(str).reshape(-1)[:1])
    names = {"csr": ("indptr", "indices"), "csc": ("indptr", "indices"), "coo": ("row", "col")}
    kind = next((name for name in names if layout == f"['{name}']"), None)
    if kind is None or not {"shape", "data", *names[kind]} <= members.keys():
        raise bad_request("the npz file's sparse matrix must be in the layout csr, csc or coo")
    shape, first, second = (_positions(members[name]) for name in ("shape", *names[kind]))
    values = npy.read(members["data"])
    if len(shape) != 2 or values.ndim != 1 or len(second) != len(values):  # noqa: PLR2004
        raise bad_request("the arrays of the npz file's sparse matrix do not fit each other")
    rows, width = map(int, shape)
    if kind != "coo":
        first = _counted(first, width if kind == "csc" else rows, len(values))
    row, column = (second, first) if kind == "csc" else (first, second)
    if len(first) != len(values) or np.any(row >= rows) or np.any(column >= width):
        raise bad_request("the npz file's sparse matrix has values outside of its shape")
    dense = sparse.zeros(rows, width, size)
    with np.errstate(over="ignore"):
        np.add.at(dense, (row, column), values.astype(np.float64))
    return dense


def _positions(member: bytes) -> NDArray[np.int64]:
    """Return a list of whole numbers from 0.

    Raises:
        RequestError: it is none.

    """
    array: NDArray[Any] = npy.read(member)
    if array.ndim != 1 or array.dtype.kind not in "iu" or np.any(array < 0) or np.any(array > np.iinfo(np.int64).max):
        raise bad_request("the npz file's sparse matrix has positions that are not whole numbers from 0")
    return array.astype(np.int64)


def _counted(pointers: NDArray[np.int64], lines: int, values: int) -> NDArray[np.int64]:
    """Return the line of each value, out of where the values of each line begin and end.

    Raises:
        RequestError: the pointers are not in order.

    """
    counts = np.diff(pointers)
    if len(counts) != lines or np.any(counts < 0) or pointers[0] != 0 or pointers[-1] != values:
        raise bad_request("the npz file's sparse matrix has pointers that are not in order")
    return np.repeat(np.arange(lines), counts)
