"""Hosting: `docker run IMAGE serve` with the trained model."""

from __future__ import annotations

import re
import select
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING

from byoc_cli.doctor.address import exchange
from byoc_cli.doctor.check import Failed, check, must
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import PORT, Server, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoc_cli.doctor.subject import Subject

OK = 200
PING_SECONDS = 2
PINGS = 20
# A little more than the platform's proxies leave a connection idle.
IDLE_SECONDS = 65
KEPT_REQUESTS = 1000
BAD_STATE_SECONDS = 15
NEW_SESSION = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*;\sExpires=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@contextmanager
def kept_busy(server: Server, body: bytes, content_type: str, clients: int) -> Iterator[None]:
    """Send requests from several clients for the length of a with-block; how they are answered is no matter."""
    stop = Event()

    def client() -> None:
        while not stop.is_set():
            with suppress(Failed):
                server.post(body, {"Content-Type": content_type})

    pool = ThreadPoolExecutor(clients)
    for _ in range(clients):
        pool.submit(client)
    try:
        yield
    finally:
        stop.set()
        pool.shutdown(wait=False)


@check(
    44, "M", "connected to port 8080 under load",
    expected="it listens on all addresses, and takes a connection within 250 ms",
    advice="listen on 0.0.0.0:8080, or on SAGEMAKER_BIND_TO_PORT",
    alone=True,
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
    alone=True,
)  # fmt: skip
def check_45_ping(subject: Subject) -> str:
    """GET is SageMaker's; others have been seen."""
    server = subject.server
    for method in ("GET", "HEAD", "POST"):
        start = time.monotonic()
        answer = server.ask(method, "/ping", timeout=10)
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
    server = subject.start_server(subject.model)
    with server.container:
        return f"after {server.wait_ready(subject.start_seconds):.1f} s"


@check(
    48, "M", f"{PINGS} times /ping while four clients send 4 MB each to two workers, again and again",
    expected="200, each within 2 s",
    advice="answer /ping without a worker of the predictions: from its own thread or process",
    alone=True,
)  # fmt: skip
def check_48_ping_under_load(subject: Subject) -> str:
    """More clients than workers, so that no worker is ever idle."""
    server = subject.serve(*variables({"MODEL_SERVER_WORKERS": "2"}))
    slowest = 0.0
    # The container goes first: what its clients still wait for is no matter.
    with kept_busy(server, subject.large(4), subject.content_type, clients=4), server.container:
        time.sleep(1)
        for _ in range(PINGS):
            start = time.monotonic()
            answer = server.ask("GET", "/ping", timeout=10)
            slowest = max(slowest, time.monotonic() - start)
            must(answer.status == OK, f"/ping answered {answer.summary}")
            must(slowest < PING_SECONDS, f"the slowest took {slowest:.1f} s")
            time.sleep(0.25)
    return f"the slowest took {slowest * 1000:.0f} ms"


@check(
    49, "S", "replaced the model's files by garbage while it was served, and went on asking",
    expected=f"it goes on predicting, or /ping stops answering 200 within {BAD_STATE_SECONDS} s",
    advice="let /ping tell of predictions that fail again and again: SageMaker then replaces the container",
)  # fmt: skip
def check_49_bad_state(subject: Subject) -> str:
    """An image that holds its model in memory does not mind."""
    model = subject.job() / "model"
    shutil.copytree(subject.model, model, dirs_exist_ok=True)
    server = subject.serve(model=model)
    with server.container as container:
        subject.ask(server)
        for file in [path for path in model.rglob("*") if path.is_file()]:
            file.unlink()
            file.write_bytes(b"not a model")
        start, good = time.monotonic(), 0
        while time.monotonic() - start < BAD_STATE_SECONDS and container.state()["Running"]:
            answer = server.post(subject.payload, {"Content-Type": subject.content_type})
            good = good + 1 if answer.status == OK else 0
            if good == PINGS:
                return f"it goes on predicting: {good} good answers"
            ping = server.ask("GET", "/ping")
            if ping.status != OK:
                return f"/ping answers {ping.status} after {time.monotonic() - start:.1f} s"
            time.sleep(0.1)
        must(not container.state()["Running"], f"/ping answers 200, and /invocations {answer.summary}")
    return "the container ended"


@check(
    50, "M", "served with /opt/ml/model mounted read only",
    expected="it starts and predicts",
    advice="write to /tmp, never to /opt/ml/model",
)  # fmt: skip
def check_50_read_only_model(subject: Subject) -> str:
    """As every server of the doctor."""
    return f"{len(subject.ask(subject.server))} bytes of predictions"


@check(
    63, "S", f"{KEPT_REQUESTS} requests on one connection, and another one after {IDLE_SECONDS} s",
    expected="all are answered with 200 on it",
    advice="keep connections alive (nginx keepalive_requests and keepalive_timeout)",
)  # fmt: skip
def check_63_keep_alive(subject: Subject) -> str:
    """SageMaker keeps connections open."""
    connection = subject.server.connect()
    connection.connect()
    first, headers = connection.sock, {"Content-Type": subject.content_type}
    for number in range(KEPT_REQUESTS):
        answer = exchange(connection, "POST", "/invocations", subject.payload, headers)
        must(answer.status == OK, f"request {number + 1} was answered {answer.summary}")
        must(connection.sock is first, f"closed after {number + 1} requests")
    start = time.monotonic()
    # What can be read of a connection on which nothing was asked is its end.
    closed, _, _ = select.select([first], [], [], IDLE_SECONDS)
    must(not closed, f"closed after {time.monotonic() - start:.0f} idle seconds")
    answer = exchange(connection, "POST", "/invocations", subject.payload, headers)
    must(answer.status == OK, f"after {IDLE_SECONDS} s it was answered {answer.summary}")
    connection.close()
    return f"{KEPT_REQUESTS + 1} good answers"


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


@check(
    65, "S", "sent X-Amzn-SageMaker-Session-Id, as stateful endpoints do",
    expected="the header is ignored, or answered with 400 and a reason, or by a session",
    advice="answer 400 where sessions are off, and else X-Amzn-SageMaker-New-Session-Id: ID; Expires=…",
)  # fmt: skip
def check_65_sessions(subject: Subject) -> str:
    """A caller may ask for a session that the image knows nothing of."""
    seen = []
    for session in ("NEW_SESSION", "no-such-session"):
        headers = {"Content-Type": subject.content_type, "X-Amzn-SageMaker-Session-Id": session}
        answer = subject.server.post(subject.payload, headers)
        must(answer.status in {OK, 400}, f"{session} is answered {answer.summary}")
        must(answer.status == OK or answer.body, f"{session} is answered 400 without a reason")
        new = answer.headers.get("x-amzn-sagemaker-new-session-id", "")
        must(not new or NEW_SESSION.fullmatch(new), f"X-Amzn-SageMaker-New-Session-Id is {new}")
        seen.append(f"{session}: {answer.status}{', a new session' if new else ''}")
    return "; ".join(seen)
