"""Batch transform: the same server, under SAGEMAKER_BATCH."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.slow import slowed
from byoc_cli.doctor.subject import CSV, variables

if TYPE_CHECKING:
    from byoc_cli.doctor.subject import Subject

STRATEGIES = ("MULTI_RECORD", "SINGLE_RECORD")
LARGEST_PRODUCT = 100
NOT_FOUND = 404
LARGEST_MB = 100
LONG_SECONDS = 62


@check(
    75, "M", "served with SAGEMAKER_BATCH=True, and false",
    expected="it starts, and predicts as without it",
    advice="read SAGEMAKER_BATCH in any case, and serve the same with it and without",
)  # fmt: skip
def check_75_batch_mode(subject: Subject) -> str:
    """SageMaker says true or True; 76, 81 and 83 say true."""
    alone = subject.ask(subject.server)
    for value in ("True", "false"):
        try:
            server = subject.serve(*variables({"SAGEMAKER_BATCH": value}))
        except Failed as failed:
            raise Failed(f"SAGEMAKER_BATCH={value}: {failed}") from failed
        with server.container:
            must(subject.ask(server) == alone, f"SAGEMAKER_BATCH={value}: predicts differently")
    return "the same predictions three times"


@check(
    76, "M", "GET /execution-parameters",
    expected="404, or JSON with MaxConcurrentTransforms, BatchStrategy and MaxPayloadInMB, their product at most 100",
    advice="answer valid JSON with whole numbers, or leave the path out (404)",
)  # fmt: skip
def check_76_execution_parameters(subject: Subject) -> str:
    """Batch transform asks before it sends anything."""
    server = subject.serve(*variables({"SAGEMAKER_BATCH": "true"}))
    with server.container:
        answer = server.ask("GET", "/execution-parameters")
    if answer.status == NOT_FOUND:
        not_offered("404: batch transform takes its defaults")
    must(answer.status == 200, f"answered {answer.summary}")
    body = answer.json()
    concurrent, megabytes = body.get("MaxConcurrentTransforms"), body.get("MaxPayloadInMB")
    must(isinstance(concurrent, int) and isinstance(megabytes, int), f"no whole numbers: {answer.summary}")
    must(concurrent >= 1 and concurrent * megabytes <= LARGEST_PRODUCT, f"{concurrent} times {megabytes} MB")
    must(body.get("BatchStrategy") in STRATEGIES, f"BatchStrategy is {body.get('BatchStrategy')}")
    return answer.text.strip()[:120]


@check(
    77, "M", "sent rows with and without a final newline, and with CRLF",
    expected="as many lines as rows, in the same order",
    advice="split by \\n and \\r\\n alike, and end no answer with an empty record",
)  # fmt: skip
def check_77_lines(subject: Subject) -> str:
    """Output is joined to input line by line."""
    rows = subject.rows
    bodies = ["\n".join(rows), "\n".join(rows) + "\n", "\r\n".join(rows), "\r\n".join(rows) + "\r\n"]
    told = []
    for body in bodies:
        answer = subject.server.post(body.encode(), {"Content-Type": CSV})
        must(len(answer.lines) == len(rows), f"{len(rows)} rows in {body[-6:]!r}: answered {answer.summary}")
        told.append(answer.lines)
    must(all(lines == told[0] for lines in told), "the lines differ with the newlines")
    return f"{len(rows)} lines each of 4 times"


@check(
    78, "M", "sent a single row",
    expected="a single line, the same as in a batch",
    advice="treat one row as a table of one row",
)  # fmt: skip
def check_78_single_record(subject: Subject) -> str:
    """SINGLE_RECORD sends them one by one."""
    rows = subject.rows
    together = subject.server.post("\n".join(rows).encode(), {"Content-Type": CSV}).lines
    single = [subject.server.post(row.encode(), {"Content-Type": CSV}).lines for row in rows]
    must(all(len(lines) == 1 for lines in single), f"a row is answered by {len(single[0])} lines")
    must([line for lines in single for line in lines] == together, "alone the rows are answered differently")
    return single[0][0][:60]


@check(
    79, "M", "joined the answers of two mini-batches",
    expected="as many lines as rows: each answer ends with a newline",
    advice="end CSV answers with a newline: AssembleWith None glues answers together as they are",
)  # fmt: skip
def check_79_assembled(subject: Subject) -> str:
    """AssembleWith=None is the default."""
    answers = [subject.server.post(subject.payload, {"Content-Type": CSV}) for _ in range(2)]
    lines = b"".join(answer.body for answer in answers).splitlines()
    must(len(lines) == 2 * len(subject.rows), f"{2 * len(subject.rows)} rows, {len(lines)} lines")
    return f"{len(lines)} lines"


@check(
    80, "S", "sent a mini-batch with a bad row in the middle",
    expected="4xx for the whole, or 200 with as many lines as rows",
    advice="answer 400 with the row's number, or keep the number of lines by a placeholder",
)  # fmt: skip
def check_80_bad_record(subject: Subject) -> str:
    """A row that is left out shifts all below it."""
    rows = subject.rows
    mixed = [rows[0], *rows, rows[0]]
    mixed[len(mixed) // 2] = ",".join("doctor" for _ in rows[0].split(","))
    answer = subject.server.post("\n".join(mixed).encode(), {"Content-Type": CSV})
    if 400 <= answer.status < 500:
        return f"the whole is answered {answer.summary}"
    must(answer.status == 200, f"answered {answer.summary}")
    must(len(answer.lines) == len(mixed), f"{len(mixed)} rows, {len(answer.lines)} lines")
    return f"answered {len(mixed)} lines, the bad row's: {answer.lines[len(mixed) // 2][:60]}"


@check(
    81, "M", f"sent {LARGEST_MB} MB with SAGEMAKER_MAX_PAYLOAD_IN_MB={LARGEST_MB}",
    expected="200",
    advice="set nginx's client_max_body_size and the application's limit by SAGEMAKER_MAX_PAYLOAD_IN_MB",
)  # fmt: skip
def check_81_largest_payload(subject: Subject) -> str:
    """The largest mini-batch there is; its rows are long, to be soon predicted."""
    settings = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(LARGEST_MB)}
    body = subject.padded(LARGEST_MB)
    server = subject.serve(*variables(settings))
    with server.container:
        answer = server.post(body, {"Content-Type": subject.content_type}, timeout=90)
    must(answer.status == 200, f"answered {answer.summary}")
    return f"200 for {len(body) / (1 << 20):.0f} MB"


@check(
    82, "M", "sent a body in chunks, without a length",
    expected="the same answer as with one",
    advice="let nginx pass HTTP/1.1 chunks, and read the stream to its end (MaxPayloadInMB=0 sends so)",
)  # fmt: skip
def check_82_chunked(subject: Subject) -> str:
    """MaxPayloadInMB=0 streams the object."""
    chunks = [subject.payload[start : start + 8] for start in range(0, len(subject.payload), 8)]
    answer = subject.server.post(iter(chunks), {"Content-Type": subject.content_type})
    must(answer.status == 200, f"answered {answer.summary}")
    must(answer.body == subject.ask(subject.server), "answered differently in chunks")
    return f"200 for {len(chunks)} chunks"


@check(
    83, "M", "8 requests at once with SAGEMAKER_MAX_CONCURRENT_TRANSFORMS=8",
    expected="all are answered, each with its own rows' predictions",
    advice="queue what workers cannot take at once, and keep requests apart",
)  # fmt: skip
def check_83_concurrent(subject: Subject) -> str:
    """Each request another row, so that mixed-up answers show."""
    rows = subject.rows
    settings = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "8"}
    server = subject.serve(*variables(settings))
    with server.container, ThreadPoolExecutor(8) as pool:
        alone = [subject.ask(server, row.encode()) for row in rows]
        told = list(pool.map(lambda number: subject.ask(server, rows[number % len(rows)].encode()), range(64)))
    must(all(body == alone[number % len(rows)] for number, body in enumerate(told)), "answers were mixed up")
    return "64 good answers from 8 clients"


@check(
    84, "S", "sent the same mini-batch twice",
    expected="the same bytes",
    advice="keep no state between requests: batch transform sends again what failed",
)  # fmt: skip
def check_84_repeatable(subject: Subject) -> str:
    """InvocationsMaxRetries repeats requests."""
    first, second = subject.ask(subject.server), subject.ask(subject.server)
    must(first == second, "the answers differ")
    return f"the same {len(first)} bytes"


@check(
    85, "M", f"with MODEL_SERVER_TIMEOUT=600 slowed a container down until a request had lasted {LONG_SECONDS} s",
    expected="200 once it is fast again: neither nginx nor the application server cuts it at 60 s",
    advice="set the time-outs of nginx, of the application server and your own by MODEL_SERVER_TIMEOUT",
)  # fmt: skip
def check_85_long_request(subject: Subject) -> str:
    """InvocationsTimeoutInSeconds may be 3600; common defaults end requests after 30 or 60 s."""
    names = ("MODEL_SERVER_TIMEOUT", "SAGEMAKER_MODEL_SERVER_TIMEOUT")
    server = subject.serve(*variables({"SAGEMAKER_BATCH": "true", **dict.fromkeys(names, "600")}))
    with server.container:
        with slowed(server, 0.02, subject.large(10), subject.content_type) as (request, sent):
            wait([request], LONG_SECONDS)
            took, ended = time.monotonic() - sent, request.done()
        answer = request.result()
    must(answer.status == 200, f"after {took:.0f} s it was answered {answer.summary}")
    if ended:
        not_offered(f"no request lasted that long: the slowest took {took:.0f} s")
    return f"200 after {time.monotonic() - sent:.0f} s"
