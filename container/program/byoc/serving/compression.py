"""Compressed request bodies: ``Content-Encoding: gzip``, unpacked no further than the limit of a body."""

from __future__ import annotations

import zlib

from byoc.serving.errors import RequestError, bad_request
from byoc.serving.settings import MEBIBYTE

GZIP = ("gzip", "x-gzip")
# What zlib calls a window of any size behind a header of gzip's.
GZIP_WINDOW = 16 + zlib.MAX_WBITS
# Bytes that are read at a time: what follows a member is copied, so a body of a million members must not be read whole.
CHUNK = 16 * 1024


def is_compressed(encoding: str) -> bool:
    """Tell from the header Content-Encoding whether the body must be unpacked.

    Raises:
        RequestError: 415, it is packed in another way.

    """
    name = encoding.strip().lower()
    if name not in ("", "identity", *GZIP):
        raise RequestError(415, "unsupported_encoding", "Content-Encoding must be gzip, or left out")
    return name in GZIP


def unpack(body: bytes, limit: int) -> bytes:
    """Return what a gzip body holds, of one member or several.

    Args:
        body: the body as it came.
        limit: bytes that it may hold; no more is ever unpacked.

    Raises:
        RequestError: 413, it holds more; 400, it is damaged or ends too early.

    """
    unpacked = bytearray()
    member = zlib.decompressobj(GZIP_WINDOW)
    for start in range(0, len(body), CHUNK):
        data = body[start : start + CHUNK]
        while data:
            try:
                unpacked += member.decompress(data, limit + 1 - len(unpacked))
            except zlib.error:
                raise bad_request("the body is not gzip, though Content-Encoding says so") from None
            if len(unpacked) > limit:
                raise _too_large(limit)
            data = member.unused_data
            if member.eof and (start + CHUNK < len(body) or data):
                member = zlib.decompressobj(GZIP_WINDOW)
    if body and not member.eof:
        raise bad_request("the gzip body ends too early")
    return bytes(unpacked)


def _too_large(limit: int) -> RequestError:
    return RequestError(
        413,
        "payload_too_large",
        f"the unpacked body is larger than the limit of {limit / MEBIBYTE:g} MB, set by SAGEMAKER_MAX_PAYLOAD_IN_MB",
    )
