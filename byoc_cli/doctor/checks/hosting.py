"""Hosting: `docker run IMAGE serve` with the trained model."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from byoc_cli.doctor.address import exchange
from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import CSV, PORT, Server, variables

if TYPE_CHECKING:
    from byoc_cli.doctor.address import Answer
    from byoc_cli.doctor.subject import Subject

OK = 200
UNSUPPORTED = 415
TOO_LARGE = 413
PING_SECONDS = 2
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
    44, "M", "connected to port 8080 under load",
    expected="it listens on all addresses, and takes a connection within 250 ms",
    advice="listen on 0.0.0.0:8080, or on SAGEMAKER_BIND_TO_PORT",
)  # fmt: skip
def check_44_listens(subject: Subject) -> str:
    """The port that Docker publishes leads to the container's outer address."""
    server, times = subject.server, []
    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(subject.ask, server) for _ in range(40)]
        for _ in range(10):
            connection = server.connect(1)
            start = time.monotonic()
            connection.connect()
            times.append(time.monotonic() - start)
            connection.close()
        for request in busy:
            request.result()
    must(max(times) < 0.25, f"the slowest took {max(times) * 1000:.0f} ms")
    return f"the slowest of 10 took {max(times) * 1000:.1f} ms"


@check(
    45, "M", "GET, HEAD and POST /ping",
    expected="200 within 2 s, the body empty or tiny",
    advice="answer /ping with 200 and nothing else, whatever the method",
)  # fmt: skip
def check_45_ping(subject: Subject) -> str:
    """GET is SageMaker's; others have been seen."""
    for method in ("GET", "HEAD", "POST"):
        start = time.monotonic()
        answer = subject.server.ask(method, "/ping", timeout=10)
        took = time.monotonic() - start
        must(answer.status == OK, f"{method} /ping answered {answer.summary}")
        must(took < PING_SECONDS, f"{method} /ping took {took:.1f} s")
        must(len(answer.body) <= 1024, f"{method} /ping answered {len(answer.body)} bytes")
    return f"200 three times, the last after {took * 1000:.0f} ms"


@check(
    46, "M", "served without a model",
    expected="/ping never answers 200, or the container ends; the log says why",
    advice="load the model before /ping answers 200: SageMaker sends requests as soon as it does",
)  # fmt: skip
def check_46_no_model(subject: Subject) -> str:
    """An endpoint that is in service without a model fails every request."""
    empty = subject.job() / "model"
    container = subject.engine.start(
        "serve", options=["--volume", f"{empty}:/opt/ml/model:ro", "--publish", f"127.0.0.1::{PORT}"]
    )
    end = time.monotonic() + 15
    with container:
        while time.monotonic() < end and container.state()["Running"]:
            try:
                status = Server(container, container.port(PORT)).ask("GET", "/ping", timeout=PING_SECONDS).status
            except Failed:
                status = 0
            must(status != OK, "/ping answers 200 without a model")
            time.sleep(0.2)
        log = container.log()
        ended = not container.state()["Running"]
    must("model" in log.lower(), f"the log doesn't speak of the model; its last line: {last_line(log)}")
    return f"{'the container ended' if ended else 'never 200 within 15 s'}: {last_line(log, 100)}"


@check(
    47, "M", "timed the start",
    expected="the first 200 from /ping within 180 s, as serverless endpoints ask",
    advice="import less and load the model once, not in every worker",
)  # fmt: skip
def check_47_starts_in_time(subject: Subject) -> str:
    """With the model trained before."""
    server = subject.start_server(subject.trained.ml / "model")
    with server.container:
        return f"after {server.wait_ready(subject.start_seconds):.1f} s"


@check(
    48, "M", "20 times /ping while every worker is busy",
    expected="200, each within 2 s",
    advice="answer /ping without a worker of the predictions: from its own thread or process",
)  # fmt: skip
def check_48_ping_under_load(subject: Subject) -> str:
    """Large requests, one after the other, from four clients."""
    server, body, slowest = subject.server, subject.large(3), 0.0
    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(server.post, body, {"Content-Type": subject.content_type}) for _ in range(12)]
        try:
            for _ in range(20):
                start = time.monotonic()
                answer = server.ask("GET", "/ping", timeout=10)
                slowest = max(slowest, time.monotonic() - start)
                must(answer.status == OK, f"/ping answered {answer.summary}")
                time.sleep(0.1)
            still = sum(not request.done() for request in busy)
        finally:
            for request in busy:
                request.cancel()
    must(slowest < PING_SECONDS, f"the slowest took {slowest:.1f} s")
    return f"the slowest took {slowest * 1000:.0f} ms, with {still} large requests still to be answered"


@check(
    50, "M", "served with /opt/ml/model mounted read only",
    expected="it starts and predicts",
    advice="write to /tmp, never to /opt/ml/model",
)  # fmt: skip
def check_50_read_only_model(subject: Subject) -> str:
    """As every server of the doctor."""
    return f"{len(subject.ask(subject.server))} bytes of predictions"


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


@check(
    58, "M", "served with MODEL_SERVER_WORKERS=1 and 3",
    expected="two processes more with three workers than with one",
    advice="start as many workers as MODEL_SERVER_WORKERS says",
)  # fmt: skip
def check_58_workers(subject: Subject) -> str:
    """What CreateModel's Environment sets."""
    counts = []
    for workers in ("1", "3"):
        server = subject.serve(*variables({"MODEL_SERVER_WORKERS": workers}))
        with server.container as container:
            end = time.monotonic() + 20
            count = -1
            # Workers start one after the other: wait until their number stays.
            while time.monotonic() < end:
                last, count = count, len([item for item in container.processes() if "nginx" not in item.arguments])
                if last == count:
                    break
                time.sleep(1.5)
            counts.append(count)
    must(counts[1] - counts[0] == 2, f"{counts[0]} processes, then {counts[1]}")
    return f"{counts[0]} processes with one, {counts[1]} with three"


@check(
    60, "M", "served as a serverless endpoint does",
    expected="it predicts as any user, with a read-only root, 1 GB of memory and nothing but /tmp to write to",
    advice="write to /tmp only, let everybody read the program, and do without shared memory",
)  # fmt: skip
def check_60_serverless(subject: Subject) -> str:
    """A file that only root may read is the common failure."""
    limits = ("--user=12345:12345", "--read-only", "--tmpfs=/tmp", "--memory=1g", "--shm-size=1k")
    server = subject.serve(*limits)
    with server.container:
        return f"{len(subject.ask(server))} bytes of predictions"


@check(
    61, "M", "served without a network",
    expected="it starts, pings and predicts, seen from inside",
    advice="download nothing, look no names up, and ask no metadata service at the start",
)  # fmt: skip
def check_61_network_isolation(subject: Subject) -> str:
    """EnableNetworkIsolation; asked by the container's own Python."""
    options = ("--network=none", "--volume", f"{subject.trained.ml / 'model'}:/opt/ml/model:ro")
    script = (
        "python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/ping', timeout=5).status)\""
    )
    with subject.engine.start("serve", options=options) as container:
        if not container.shell("command -v python3"):
            not_offered("there is no python3 inside to ask by")
        while time.monotonic() - container.started < subject.start_seconds and container.state()["Running"]:
            if container.shell(script).strip() == str(OK):
                return f"200 after {time.monotonic() - container.started:.1f} s"
            time.sleep(0.3)
        raise Failed(f"/ping never answered 200; the last line: {last_line(container.log())}")


@check(
    63, "S", "200 requests on one connection",
    expected="all are answered with 200 on it",
    advice="keep connections alive (nginx keepalive_requests and keepalive_timeout)",
)  # fmt: skip
def check_63_keep_alive(subject: Subject) -> str:
    """SageMaker keeps connections open."""
    connection = subject.server.connect()
    connection.connect()
    first = connection.sock
    for number in range(200):
        answer = exchange(connection, "POST", "/invocations", subject.payload, {"Content-Type": subject.content_type})
        must(answer.status == OK, f"request {number + 1} was answered {answer.summary}")
        must(connection.sock is first or number == 199, f"closed after {number + 1} requests")
    connection.close()
    return "200 good answers"


@check(
    64, "S", "100 requests from 16 clients at once",
    expected="all are answered with 200, and with the same bytes",
    advice="let requests queue instead of refusing them, and share no state between them",
)  # fmt: skip
def check_64_concurrency(subject: Subject) -> str:
    """More clients than workers."""
    server = subject.server
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: subject.ask(server), range(100)))
    must(len(set(told)) == 1, "the same request was answered differently")
    return "100 times the same good answer"
