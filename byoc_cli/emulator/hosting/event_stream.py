"""application/vnd.amazon.eventstream: events of a streamed answer, each with its lengths and checksums.

An event is a prelude (its whole length, its headers' length, a checksum of both), headers (name, type, value), a
payload and a checksum of all before it; numbers are big-endian.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE = "application/vnd.amazon.eventstream"
STRING = 7
# Two lengths and their checksum before the headers, a checksum behind the payload.
PRELUDE, END = 12, 4


def payload_part(data: bytes) -> bytes:
    """Return a piece of an answer as an event."""
    headers = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
    return encode(headers, data)


def failure(kind: str, message: str, **more: str) -> bytes:
    """Return an error in mid stream: ``ModelStreamError`` with its ErrorCode, or ``InternalStreamFailure``."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, json.dumps({"Message": message, **more}).encode())


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return an event."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack("!II", PRELUDE + len(head) + len(payload) + END, len(head))
    message = lengths + struct.pack("!I", crc32(lengths)) + head + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    written = value.encode()
    return bytes([len(name)]) + name.encode() + struct.pack("!BH", STRING, len(written)) + written
