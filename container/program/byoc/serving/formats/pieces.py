"""Bodies too large to be held whole, cut at line ends into pieces that are bodies themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc.serving.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Bytes that one record may have.
LONGEST_RECORD = 32 << 20


def cut(blocks: Iterable[bytes], size: int, *, quoted: bool = False) -> Iterator[bytes]:
    """Yield pieces of whole lines.

    Args:
        blocks: the body, cut anywhere.
        size: bytes of a piece, about.
        quoted: whether line ends between double quotes, as in CSV, belong to a record.

    Raises:
        RequestError: 413, a record is too large.

    """
    waiting = b""
    for block in blocks:
        waiting += block
        start = 0
        while len(waiting) - start >= size:
            end = _record_end(waiting, start, start + size, quoted=quoted)
            if not end:
                break
            yield waiting[start:end]
            start = end
        waiting = waiting[start:]
        if len(waiting) > LONGEST_RECORD:
            limit = LONGEST_RECORD >> 20
            raise RequestError(413, "payload_too_large", f"a record is larger than {limit} MB; is a quote not closed?")
    if waiting:
        yield waiting


def _record_end(text: bytes, start: int, at_least: int, *, quoted: bool) -> int:
    """Return the position behind the first line end from somewhere on that ends a record, 0 where there is none."""
    end = text.find(b"\n", at_least - 1) + 1
    if not quoted:
        return end
    # Before a record's end an even number of quotes stands; a doubled one, for a quote itself, counts as two.
    quotes = text.count(b'"', start, end)
    while end and quotes % 2:
        following = text.find(b"\n", end) + 1
        quotes += text.count(b'"', end, following)
        end = following
    return end
