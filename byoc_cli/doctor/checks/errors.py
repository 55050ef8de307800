"""Errors: what a client is told that asks for something impossible."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import check, must, not_offered
from byoc_cli.doctor.subject import CSV, variables

if TYPE_CHECKING:
    from byoc_cli.doctor.address import Answer
    from byoc_cli.doctor.subject import Subject

OK = 200
LIMIT = 2048
MALFORMED_CSV = {"text for numbers": b"a,b\n", "ragged rows": b"1,2,3,4\n1,2\n", "a wrong count": b"1\n2\n"}
TRACES = ("Traceback", 'File "', "/opt/", "site-packages")
# A value of the caller's, and the caller's name for the request.
VALUE = "doctored-value"
INFERENCE_ID = "doctor-inference"
CROWD = 64


def malformed(subject: Subject) -> dict[str, Answer]:
    """POST bodies that no image can make sense of; return the answers by what is wrong."""
    answers = {what: subject.server.post(body, {"Content-Type": CSV}) for what, body in MALFORMED_CSV.items()}
    answers["broken JSON"] = subject.server.post(b'{"instances": [[1, ', {"Content-Type": "application/json"})
    return {what: answer for what, answer in answers.items() if answer.status != 415}


@check(
    66, "M", "sent a media type that does not exist, then none",
    expected="415; and 415 or a documented default where it is missing",
    advice="compare the Content-Type with what you can read, and answer 415",
)  # fmt: skip
def check_66_unsupported_type(subject: Subject) -> str:
    """Garbage must not be predicted upon."""
    answer = subject.server.post(subject.payload, {"Content-Type": "application/x-doctor"})
    must(answer.status == 415, f"application/x-doctor is answered {answer.summary}")
    missing = subject.server.post(subject.payload)
    must(missing.status in {OK, 415}, f"without a Content-Type it is answered {missing.summary}")
    return f"415; without a type {missing.status}"


@check(
    67, "M", "asked for a type that does not exist by Accept",
    expected="406",
    advice="answer 406 where no type of Accept is on offer",
)  # fmt: skip
def check_67_not_acceptable(subject: Subject) -> str:
    """A client that gets another type than it asked for cannot read it."""
    headers = {"Content-Type": subject.content_type, "Accept": "application/x-doctor"}
    answer = subject.server.post(subject.payload, headers)
    must(answer.status == 406, f"answered {answer.summary}")
    return "406"


@check(
    68, "M", "sent malformed bodies",
    expected="400, in JSON with the key `error`, at most 2048 bytes",
    advice="check the body before the model sees it, and say which record and column is wrong",
)  # fmt: skip
def check_68_malformed(subject: Subject) -> str:
    """400 is the client's fault, 500 ours; batch transform treats them differently."""
    answers = malformed(subject)
    for what, answer in answers.items():
        must(answer.status == 400, f"{what}: answered {answer.summary}")
        body = answer.json()
        must(isinstance(body, dict) and "error" in body, f"{what}: no key `error`: {answer.summary}")
        must(len(answer.body) <= LIMIT, f"{what}: {len(answer.body)} bytes")
    return f"400 for {', '.join(answers)}"


@check(
    69, "S", "sent an empty body",
    expected="400 or 204, never 500",
    advice="treat a body without records as the client's mistake",
)  # fmt: skip
def check_69_empty(subject: Subject) -> str:
    """Batch transform may send one for an empty object."""
    answer = subject.server.post(b"", {"Content-Type": subject.content_type})
    must(answer.status in {204, 400}, f"answered {answer.summary}")
    return str(answer.status)


@check(
    70, "M", "sent malformed bodies, then a good one",
    expected="the good one is answered with 200, by the same server",
    advice="catch exceptions in the request, not around the server",
)  # fmt: skip
def check_70_survives(subject: Subject) -> str:
    """Whatever a client sends, the next one is served."""
    server = subject.server
    answers = malformed(subject)
    subject.ask(server)
    must(server.container.state()["Running"], "the container ended")
    return f"200 after {', '.join(str(answer.status) for answer in answers.values())}"


@check(
    71, "S", "searched the bodies of errors for what is none of the client's business",
    expected="no traceback, no path of the container, no value of the request; the log names the inference id",
    advice="log the traceback under a request id, and tell the client the id only",
)  # fmt: skip
def check_71_no_traceback(subject: Subject) -> str:
    """SageMaker passes the body on as OriginalMessage."""
    answers = malformed(subject)
    headers = {"Content-Type": CSV, "X-Amzn-SageMaker-Inference-Id": INFERENCE_ID}
    answers["a value"] = subject.server.post(f"{VALUE},1,2,3\n".encode(), headers)
    for what, answer in answers.items():
        found = [trace for trace in (*TRACES, VALUE) if trace in answer.text]
        must(not found, f"{what}: the answer holds {json.dumps(found[:1])[1:-1]}: {answer.summary}")
    container = subject.server.container
    must(container.wait_for_log(INFERENCE_ID, 5), "the log does not name X-Amzn-SageMaker-Inference-Id")
    return f"nothing in {len(answers)} answers, and the log names the request"


@check(
    72, "M", "asked for an unknown path, and GET /invocations",
    expected="404 and 405, in JSON",
    advice="answer every path and method with JSON, by the framework's error handlers",
)  # fmt: skip
def check_72_unknown_path(subject: Subject) -> str:
    """Pages of HTML are no use to a client."""
    for path, status in (("/no/such/path", 404), ("/invocations", 405)):
        answer = subject.server.ask("GET", path)
        must(answer.status == status, f"GET {path} is answered {answer.summary}")
        must(answer.media_type == "application/json", f"GET {path} is answered with {answer.media_type}")
    return "404 and 405, in JSON"


@check(
    73, "S", "sent 3 MB with SAGEMAKER_MAX_PAYLOAD_IN_MB=1",
    expected="413",
    advice="set the limit of nginx and of the application by SAGEMAKER_MAX_PAYLOAD_IN_MB",
)  # fmt: skip
def check_73_limit(subject: Subject) -> str:
    """The same variable raises the limit in batch transform."""
    server = subject.serve(*variables({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}))
    with server.container:
        answer = server.post(subject.large(3), {"Content-Type": subject.content_type})
    if answer.status == OK:
        not_offered("SAGEMAKER_MAX_PAYLOAD_IN_MB does not lower the limit")
    must(answer.status == 413, f"answered {answer.summary}")
    return "413"


@check(
    74, "S", f"{CROWD} requests at once to one worker with a queue of one (SAGEMAKER_MODEL_JOB_QUEUE_SIZE)",
    expected="those that cannot wait are answered 503 at once, with Retry-After",
    advice="limit the queue, and answer 503 with Retry-After where it is full: that is better than a time-out",
)  # fmt: skip
def check_74_overload(subject: Subject) -> str:
    """Their number is that of a burst."""
    settings = {"MODEL_SERVER_WORKERS": "1", "SAGEMAKER_MODEL_JOB_QUEUE_SIZE": "1"}
    server, body = subject.serve(*variables(settings)), subject.large(0.1)
    headers = {"Content-Type": subject.content_type}
    with server.container, ThreadPoolExecutor(CROWD) as pool:
        answers = list(pool.map(lambda _: server.post(body, headers), range(CROWD)))
    refused = [answer for answer in answers if answer.status != OK]
    if not refused:
        not_offered(f"the queue takes them all: {CROWD} times 200")
    for answer in refused:
        must(answer.status == 503, f"answered {answer.summary}")
        must("retry-after" in answer.headers, "503 without Retry-After")
    return f"{len(refused)} times 503 with Retry-After, {CROWD - len(refused)} times 200"
