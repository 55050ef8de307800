"""Compressed bodies: what gzip holds, never more than the limit, and every way to be damaged (fault test 20)."""

import gzip
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc.serving.compression import CHUNK, is_compressed, unpacked
from byoc.serving.errors import RequestError

LIMIT = 1 << 20


def unpack(body, limit):
    return b"".join(unpacked([body], limit))


TEXT = b"5.1,3.5,1.4,0.2\n" * 100


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("", False), ("identity", False), ("gzip", True), (" GZip ", True), ("x-gzip", True)],
)
def test_encodings(encoding, expected):
    assert is_compressed(encoding) is expected


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "compress"])
def test_what_is_packed_in_another_way_is_415(encoding):
    with pytest.raises(RequestError) as refused:
        is_compressed(encoding)
    assert (refused.value.status, refused.value.code) == (415, "unsupported_encoding")


@pytest.mark.parametrize("level", [0, 1, 9])
def test_what_was_packed_comes_back(level):
    packed = gzip.compress(TEXT, level)
    assert unpack(packed, LIMIT) == TEXT
    assert unpack(packed + packed, LIMIT) == TEXT * 2, "members may follow each other"
    assert unpack(gzip.compress(b""), LIMIT) == b""


@pytest.mark.parametrize(("size", "fits"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False), (64 * LIMIT, False)])
@pytest.mark.parametrize("members", [1, 2])
def test_the_limit_holds_for_all_members_together(size, fits, members):
    half = size // members
    packed = b"".join(gzip.compress(bytes(part)) for part in [half] * (members - 1) + [size - half * (members - 1)])
    if fits:
        assert unpack(packed, LIMIT) == bytes(size)
        return
    with pytest.raises(RequestError, match="limit of 1 MB") as refused:
        unpack(packed, LIMIT)
    assert refused.value.status == 413


def test_a_bomb_takes_no_more_memory_than_the_limit():
    bomb = gzip.compress(bytes(100 * LIMIT))
    tracemalloc.start()
    with pytest.raises(RequestError):
        unpack(bomb, LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LIMIT


@pytest.mark.timeout(20)
def test_a_body_of_half_a_million_members_takes_seconds():
    packed = gzip.compress(b"1")
    assert unpack(packed * 500_000, LIMIT) == b"1" * 500_000


@pytest.mark.parametrize("tail", [CHUNK - 1, CHUNK, CHUNK + 1])
def test_members_end_wherever_they_like(tail):
    noise = random.Random(0).randbytes(3 * CHUNK)
    first = next(packed for size in range(3 * CHUNK) if len(packed := gzip.compress(noise[:size], 0)) == tail)
    assert unpack(first * 2, LIMIT) == gzip.decompress(first) * 2


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 30])
def test_a_truncated_body_is_told(cut):
    packed = gzip.compress(TEXT)
    with pytest.raises(RequestError, match="ends too early") as refused:
        unpack(packed[:-cut], LIMIT)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "body",
    [TEXT, zlib.compress(TEXT), b"\x1f\x8b\x08", gzip.compress(TEXT) + b"more", gzip.compress(TEXT)[:-8] + bytes(8)],
    ids=["plain text", "zlib's header", "a header alone", "something behind it", "a wrong checksum"],
)
def test_what_is_not_gzip_is_told(body):
    with pytest.raises(RequestError) as refused:
        unpack(body, LIMIT)
    assert refused.value.status == 400


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=50), st.integers(0, 60), st.integers(0, 255))
def test_a_changed_byte_is_an_error_of_ours_or_no_matter(content, position, byte):
    packed = bytearray(gzip.compress(content))
    packed[position % len(packed)] = byte
    try:
        assert len(unpack(bytes(packed), LIMIT)) <= LIMIT
    except RequestError as error:
        if error.status not in (400, 413):
            raise
