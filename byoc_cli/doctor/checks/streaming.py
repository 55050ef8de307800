"""Streaming: answers that come piece by piece, and conversations by WebSocket."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.stream import EVENTS, Stream
from byoc_cli.doctor.subject import variables
from byoc_cli.doctor.websocket import PATH, WebSocket

if TYPE_CHECKING:
    from byoc_cli.doctor.address import Address
    from byoc_cli.doctor.engine import Container
    from byoc_cli.doctor.subject import Subject

LABEL = "com.amazonaws.sagemaker.capabilities.bidirectional-streaming"
OK = 200
# Sizes of bodies in MB, of which the first is taken whose answer lasts long enough to be looked at.
SIZES = (0.25, 1, 4, 16)
LONG_ENOUGH = 2.0
ENOUGH = 3.0
# A server's time-out, how long a stream is made to last by reading it slowly, and what its rest may take.
TIMEOUT = 2
LASTING = 13.0
REST = 3.0
FREE_SECONDS = 2.0
FOREVER = 30.0
IDLE = 0.1  # of a CPU


def stream_headers(subject: Subject) -> dict[str, str]:
    """Return the headers that make the image stream; end the check where none do."""
    plain = {"Content-Type": subject.content_type}
    for headers in (plain, {**plain, "Accept": EVENTS}):
        with Stream(subject.server, subject.payload, headers) as stream:
            for _ in stream.read():
                pass
            if stream.status == OK and stream.chunked and (len(stream.pieces) > 1 or stream.is_events):
                return headers
    return not_offered(f"the answer comes in one piece, with Accept: {EVENTS} too")


def watched(server: Address, body: bytes, headers: dict[str, str]) -> Stream:
    """Return a stream that was read to its end, or for some seconds."""
    with Stream(server, body, headers) as stream:
        must(stream.status == OK, f"a body of {len(body)} bytes was answered by {stream.status}")
        for seconds in stream.read():
            if seconds > ENOUGH:
                break
    return stream


def cpu_seconds(container: Container) -> float:
    """Return the CPU time of all processes inside."""
    stats = [line.rpartition(") ")[2].split() for line in container.shell("cat /proc/[0-9]*/stat").splitlines()]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats if len(fields) > 12) / 100


@check(
    95, "M", "streamed an answer that takes seconds",
    expected="chunked, the first bytes within 1 s, and the rest piece by piece",
    advice="send each piece when it is there, and have nginx pass it on (proxy_buffering off, proxy_http_version 1.1)",
    alone=True,
)  # fmt: skip
def check_95_streams(subject: Subject) -> str:
    """The smallest body that makes it last is sent, so that reading the body takes no time."""
    headers, server = stream_headers(subject), subject.server
    for body in (subject.payload, *map(subject.large, SIZES)):
        stream = watched(server, body, headers)
        if stream.pieces[-1][0] >= LONG_ENOUGH:
            break
    must(stream.chunked, "the answer has a length: it was complete before it was sent")
    first, last = stream.pieces[0][0], stream.pieces[-1][0]
    must(first < 1, f"the first of {len(stream.body)} bytes came after {first:.1f} s, the last after {last:.1f} s")
    tenths = {int(10 * seconds / last) for seconds, _ in stream.pieces}
    must(first < last / 2 and len(tenths) > 2, f"{len(stream.pieces)} pieces came at {first:.1f} to {last:.1f} s")
    return f"first bytes after {first * 1000:.0f} ms, {len(stream.pieces)} pieces within {last:.1f} s"


@check(
    96, "S", f"streamed for {LASTING:.0f} s with MODEL_SERVER_TIMEOUT={TIMEOUT}",
    expected="the stream goes on: time-outs are for the time between two pieces",
    advice="count the time-out from the last piece, in the application, gunicorn and nginx (proxy_read_timeout)",
)  # fmt: skip
def check_96_long_streams(subject: Subject) -> str:
    """SageMaker allows 8 minutes; a client that reads slowly makes any model's stream last."""
    headers = stream_headers(subject)
    server = subject.serve(*variables({"MODEL_SERVER_TIMEOUT": str(TIMEOUT)}))
    with server.container, Stream(server, subject.large(24), headers, slow=True) as stream:
        must(stream.status == OK, f"24 MB were answered by {stream.status}")
        for seconds in stream.read(1 << 12):
            if seconds > LASTING:
                break
            time.sleep(0.05)
        for seconds in stream.read():
            if seconds > LASTING + REST:
                break
    must(stream.error is None, f"it ended after {stream.seconds:.1f} s with the error {stream.error}")
    must(stream.seconds > LASTING or stream.ended, "it ended early")
    if stream.seconds <= LASTING:
        not_offered(f"the stream of 24 MB is over after {stream.seconds:.1f} s, however slowly it is read")
    return f"{'whole' if stream.ended else 'still going'} after {stream.seconds:.0f} s and {len(stream.body)} bytes"


@check(
    97, "S", "hung up in mid-stream, and sent a bad record at a stream's end",
    expected="the worker is free within 2 s; the error is the last line, as a JSON object",
    advice="close the generator when the client is gone; tell in the stream what goes wrong after its first byte",
    alone=True,
)  # fmt: skip
def check_97_ends_of_streams(subject: Subject) -> str:
    """Status and headers are gone with the first byte."""
    headers, rows = stream_headers(subject), subject.rows
    server = subject.serve(*variables({"MODEL_SERVER_WORKERS": "1"}))
    with server.container as container:
        told = after_hanging_up(subject, server, container, headers)
        bad = ",".join("?" * (rows[0].count(",") + 4)) + "\n"
        good = "".join(f"{row}\n" for row in rows).encode()
        with Stream(server, good, headers) as stream:
            alone = list(stream.read())
        body = (good if len(alone) > 1 else subject.large(4)) + bad.encode()
        # What follows the last line, an end in order or a cut connection, is the server's choice.
        with Stream(server, body, headers) as stream, suppress(Failed):
            for seconds in stream.read():
                must(seconds < FOREVER, f"a stream with a bad record goes on after {FOREVER:.0f} s")
        if stream.status != OK:
            return f"{told}; a bad record is refused before the stream begins, by {stream.status}"
        must(stream.error is not None, f"after a bad record the stream ends with {last_line(stream.body.decode())!r}")
    return f"{told}; after a bad record the last line is {str(stream.error)[:80]}"


def after_hanging_up(subject: Subject, server: Address, container: Container, headers: dict[str, str]) -> str:
    """Leave in the middle of a long stream, and tell how the next request fares."""
    with Stream(server, subject.large(24), headers) as stream:
        next(stream.read(), None)
    gone = time.monotonic()
    answer = server.post(subject.payload, {"Content-Type": subject.content_type})
    waited = time.monotonic() - gone
    must(answer.status == OK, f"after a client hung up the next one was answered {answer.summary}")
    must(waited < FREE_SECONDS, f"after a client hung up the next one waited {waited:.1f} s")
    # A server notices when it sends, so not at once.
    time.sleep(max(0.0, gone + FREE_SECONDS - time.monotonic()))
    before, began = cpu_seconds(container), time.monotonic()
    time.sleep(0.5)
    used = (cpu_seconds(container) - before) / (time.monotonic() - began)
    must(used < IDLE, f"{FREE_SECONDS:.0f} s after the client hung up it still computes ({used:.0%} of a CPU)")
    return f"{FREE_SECONDS:.0f} s after the client hung up it is idle"


@check(
    98, "M", f"asked {PATH} for a WebSocket",
    expected=f"with the label {LABEL}=true: a frame out for a frame in, Pings answered, fragments joined; without: 4xx",
    advice="offer both, the label and a server that speaks WebSocket (nginx passes Upgrade and Connection on), or none",
)  # fmt: skip
def check_98_websocket(subject: Subject) -> str:
    """SageMaker opens bidirectional streams to images with the label."""
    labelled = (subject.config.get("Labels") or {}).get(LABEL) == "true"
    text = subject.payload.decode(errors="replace")
    with WebSocket(subject.server) as client:
        if not labelled:
            must(client.status != 101, f"the upgrade works, but the image has no label {LABEL}=true")
            must(400 <= client.status < 500, f"no label, and the upgrade is answered by {client.status}")
            return f"no label, and the upgrade is refused with {client.status}"
        must(client.status == 101, f"the image has the label, but answers the upgrade by {client.status}")
        client.ping(b"doctor")
        whole = client.tell(text)
        third = len(text) // 3
        parts = client.tell(text[:third], text[third : 2 * third], text[2 * third :])
        client.ping(b"again")
    must(len(whole) == 1, f"a frame was answered by {len(whole)} frames")
    must(parts == whole, f"whole, a text was answered by {str(whole)[:60]}, in fragments by {str(parts)[:60]}")
    return f"two Pongs, and {str(whole[0])[:60]!r} to {len(text)} characters, whole and in fragments"
