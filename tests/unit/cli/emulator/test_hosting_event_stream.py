"""Events are what botocore's own decoder reads."""

from __future__ import annotations

import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc_cli.emulator.hosting import event_stream


def decoded(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(dict(event.headers), event.payload) for event in buffer]


@settings(derandomize=True, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_pieces_come_back_as_they_were(pieces: list[bytes]) -> None:
    events = decoded(b"".join(map(event_stream.payload_part, pieces)))
    assert [payload for _, payload in events] == pieces
    assert all(headers[":event-type"] == "PayloadPart" for headers, _ in events)
    assert all(headers[":message-type"] == "event" for headers, _ in events)


def test_a_failure_is_an_exception_with_its_code() -> None:
    ((headers, payload),) = decoded(event_stream.failure("ModelStreamError", "brök", ErrorCode="StreamBroken"))
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "ModelStreamError")
    assert json.loads(payload) == {"Message": "brök", "ErrorCode": "StreamBroken"}


@pytest.mark.parametrize("place", [2, 8, 20, -1])
def test_a_bit_that_turned_is_noticed(place: int) -> None:
    event = bytearray(event_stream.payload_part(b"piece"))
    event[place] ^= 1
    with pytest.raises(ChecksumMismatch):
        decoded(bytes(event))
