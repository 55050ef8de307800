"""Hosting: media types, headers and bodies of POST /invocations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.subject import CSV

if TYPE_CHECKING:
    from byoc_cli.doctor.address import Answer
    from byoc_cli.doctor.subject import Subject

OK = 200
UNSUPPORTED = 415
JSON = "application/json"
JSONLINES = "application/jsonlines"


def predictions(subject: Subject, body: Any, content_type: str = JSON) -> Answer:
    """POST JSON, or JSON lines where that is the type; end the check where the image does not take the type."""
    text = "".join(f"{json.dumps(row)}\n" for row in body) if content_type == JSONLINES else json.dumps(body)
    answer = subject.server.post(text.encode(), {"Content-Type": content_type})
    if answer.status == UNSUPPORTED:
        not_offered(f"{content_type} is answered with 415")
    must(answer.status == OK, f"{json.dumps(body)[:60]}… is answered {answer.summary}")
    return answer


@check(
    51, "M", "POST /invocations with CSV",
    expected="200, a line a row, Content-Type text/csv",
    advice="answer CSV by CSV: a line for each row, none for the header",
)  # fmt: skip
def check_51_csv(subject: Subject) -> str:
    """The media type of the AWS sample."""
    answer = subject.server.post("\n".join(subject.rows).encode(), {"Content-Type": CSV})
    must(answer.status == OK, f"answered {answer.summary}")
    must(len(answer.lines) == len(subject.rows), f"{len(subject.rows)} rows, {len(answer.lines)} lines")
    must(answer.media_type == CSV, f"Content-Type is {answer.media_type or 'missing'}")
    return f"200, {len(answer.lines)} lines: {answer.lines[0][:60]}, …"


@check(
    52, "M", "POST /invocations with JSON in three shapes",
    expected='200 and {"predictions": […]} with an entry a record',
    advice='read {"instances": [[…]]}, [{"features": […]}] and {"data": {"features": {"values": […]}}} as instances',
)  # fmt: skip
def check_52_json(subject: Subject) -> str:
    """The shapes that SageMaker documents."""
    rows = subject.instances
    nested = {"instances": [{"data": {"features": {"values": row}}} for row in rows]}
    for body in ({"instances": rows}, [{"features": row} for row in rows], nested):
        answer = predictions(subject, body).json()
        told = answer.get("predictions") if isinstance(answer, dict) else None
        must(isinstance(told, list), f"no list of predictions: {json.dumps(answer)[:100]}")
        must(told is not None and len(told) == len(rows), f"{len(rows)} records, {len(told or ())} predictions")
    return f"{len(rows)} predictions each"


@check(
    53, "M", "POST /invocations with JSON Lines",
    expected="200 and a line of JSON a record, a blank last line makes no difference",
    advice="answer application/jsonlines by an object a line",
)  # fmt: skip
def check_53_jsonlines(subject: Subject) -> str:
    """With a blank last line."""
    rows = [{"features": row} for row in subject.instances]
    lines = predictions(subject, rows, JSONLINES).lines
    must(len(lines) == len(rows), f"{len(rows)} records, {len(lines)} lines")
    try:
        return f"{len(lines)} lines: {json.dumps(json.loads(lines[0]))[:80]}"
    except ValueError:
        raise Failed(f"a line isn't JSON: {lines[0][:80]}") from None


@check(
    54, "S", "asked for several types of answer by Accept",
    expected="the answer has the type asked for: CSV, JSON, JSON Lines, or by q-values the best of a list",
    advice="negotiate by Accept with its q-values; */* and no Accept at all mean the default",
)  # fmt: skip
def check_54_accept(subject: Subject) -> str:
    """Batch transform and the SDK's deserialisers set it."""
    wanted = {CSV: CSV, JSON: JSON, JSONLINES: JSONLINES, f"{JSON};q=0.5, {CSV}": CSV, "*/*": None}
    for accept, expected in wanted.items():
        headers = {"Content-Type": subject.content_type, "Accept": accept}
        answer = subject.server.post(subject.payload, headers)
        if answer.status == 406:
            not_offered(f"Accept: {accept} is answered with 406")
        must(answer.status == OK, f"Accept: {accept} is answered {answer.summary}")
        must(expected in {None, answer.media_type}, f"Accept: {accept} is answered with {answer.media_type}")
    return f"right for {len(wanted)} kinds of Accept"


@check(
    55, "S", "sent the same rows as CSV, JSON and JSON Lines, and asked for JSON",
    expected="the same predictions",
    advice="decode every type into the same table, with the same kinds of columns",
)  # fmt: skip
def check_55_types_agree(subject: Subject) -> str:
    """What is told as CSV must hold as JSON."""
    rows, accept = subject.instances, {"Accept": JSON}
    told = [predictions(subject, {"instances": rows}).json()]
    lines = "".join(f"{json.dumps({'features': row})}\n" for row in rows)
    for body, content_type in ((subject.payload, CSV), (lines.encode(), JSONLINES)):
        answer = subject.server.post(body, {"Content-Type": content_type, **accept})
        if answer.status == UNSUPPORTED:
            not_offered(f"{content_type} is answered with 415")
        must(answer.status == OK, f"{content_type} is answered {answer.summary}")
        told.append(answer.json())
    must(all(answer == told[0] for answer in told), f"{json.dumps(told[0])[:80]} is not {json.dumps(told[-1])[:80]}")
    return "all three agree"


@check(
    56, "M", "sent custom attributes and 20 unknown headers",
    expected="200; X-Amzn-SageMaker-Custom-Attributes is not returned, or at most 1024 visible ASCII characters",
    advice="ignore headers that you don't know",
)  # fmt: skip
def check_56_headers(subject: Subject) -> str:
    """SageMaker passes them on."""
    unknown = {f"X-Amzn-SageMaker-Doctor-{number}": "x" * 40 for number in range(20)}
    headers = {"Content-Type": subject.content_type, "X-Amzn-SageMaker-Custom-Attributes": "trace=1", **unknown}
    answer = subject.server.post(subject.payload, headers)
    must(answer.status == OK, f"answered {answer.summary}")
    back = answer.headers.get("x-amzn-sagemaker-custom-attributes", "")
    must(len(back) <= 1024 and back.isascii(), "the custom attributes that come back are too long")
    return f"200; {'came back' if back else 'not returned'}"


@check(
    57, "M", "POST /invocations with 24 MB",
    expected="200: the limit is 25 MB at least, and no connection is cut",
    advice="raise nginx's client_max_body_size to 25m at least, and read bodies that you refuse",
)  # fmt: skip
def check_57_large_body(subject: Subject) -> str:
    """25 MB is SageMaker's own limit."""
    answer = subject.server.post(subject.large(24), {"Content-Type": subject.content_type}, timeout=90)
    must(answer.status == OK, f"answered {answer.summary}")
    return f"200, {len(answer.body)} bytes"
