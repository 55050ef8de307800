"""Compressed request bodies: ``Content-Encoding: gzip``, unpacked no further than the limit of a body."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from byoc.serving.errors import RequestError, bad_request, too_large

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GZIP = ("gzip", "x-gzip")
# What zlib calls a window of any size behind a header of gzip's.
GZIP_WINDOW = 16 + zlib.MAX_WBITS
# Bytes that are read at a time: what follows a member is copied, so a body of a million members must not be read whole.
CHUNK = 16 * 1024
# Bytes of a block that is passed on.
BLOCK = 1 << 20


def is_compressed(encoding: str) -> bool:
    """Tell from the header Content-Encoding whether the body must be unpacked.

    Raises:
        RequestError: 415, it is packed in another way.

    """
    name = encoding.strip().lower()
    if name not in ("", "identity", *GZIP):
        raise RequestError(415, "unsupported_encoding", "Content-Encoding must be gzip, or left out")
    return name in GZIP


def unpacked(blocks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Yield what a gzip body holds, of one member or several.

    Args:
        blocks: the body, cut anywhere.
        limit: bytes that it may hold; no more is ever unpacked.

    Raises:
        RequestError: 413, it holds more; 400, it is damaged or ends too early.

    """
    member, begun, total = zlib.decompressobj(GZIP_WINDOW), False, 0
    for chunk in (block[start : start + CHUNK] for block in blocks for start in range(0, len(block), CHUNK)):
        data, pending = chunk, False
        while data or pending:
            if member.eof:
                member = zlib.decompressobj(GZIP_WINDOW)
            room = min(BLOCK, limit + 1 - total)
            try:
                block = member.decompress(data, room)
            except zlib.error:
                raise bad_request("the body is not gzip, though Content-Encoding says so") from None
            begun, total = True, total + len(block)
            if total > limit:
                raise too_large("unpacked body", limit)
            if block:
                yield block
            # Where the room was used up, more may come of what was read already.
            pending = len(block) == room and not member.eof
            data = member.unconsumed_tail or member.unused_data
    if begun and not member.eof:
        raise bad_request("the gzip body ends too early")
