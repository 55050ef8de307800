"""Security, and the image itself."""

from __future__ import annotations

import json
import re
import time
import zipfile
from typing import TYPE_CHECKING

from byoc_cli.doctor import inside
from byoc_cli.doctor.check import check, must, not_offered
from byoc_cli.doctor.subject import variables

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.doctor.engine import Container
    from byoc_cli.doctor.subject import Server, Subject

OK = 200

DRIVERS = "find / -xdev ( -name libcuda.so* -o -name libnvidia-* ) -not -path */stubs/*"
# An address that nobody has: names cannot be looked up there.
NAME_SERVER = "192.0.2.53"
REQUESTS = 5
# The caller's own value, which must not be found in a log.
VALUE = "doctored-value"


@check(
    102, "M", "looked at the user and at /opt/ml",
    expected="the user is root, and /opt/ml holds no files",
    advice="leave USER out, and put programs into /opt/program: SageMaker mounts over /opt/ml",
)  # fmt: skip
def check_102_user(subject: Subject) -> str:
    """Training mounts folders that only root may enter."""
    user = subject.config.get("User") or "root"
    must(user.partition(":")[0] in {"root", "0"}, f"the user is {user}")
    with subject.engine.start("-c", "find /opt/ml -type f", options=["--entrypoint", "/bin/sh"]) as container:
        container.wait(60)
        files = [line for line in container.log().splitlines() if line.startswith("/opt/ml/")]
    must(not files, f"{len(files)} files, such as {files[0] if files else ''}")
    return "root; /opt/ml is empty"


@check(
    103, "M", "looked for NVIDIA's driver, and served with NVIDIA_VISIBLE_DEVICES=void",
    expected="no driver libraries in the image, and it serves without a GPU",
    advice="install CUDA's toolkit only: the host mounts its own driver",
)  # fmt: skip
def check_103_no_driver(subject: Subject) -> str:
    """A driver in the image hides the host's."""
    with subject.engine.start(*DRIVERS.split()[1:], options=["--entrypoint", "find"]) as container:
        if container.wait(60) == 127:
            not_offered("the image has no `find` to look by")
        found = [line for line in container.log().splitlines() if line.startswith("/")]
    must(not found, f"found {', '.join(found[:2])}")
    server = subject.serve(*variables({"NVIDIA_VISIBLE_DEVICES": "void"}))
    with server.container:
        subject.ask(server)
    return "no driver; serves without a GPU"


@check(
    105, "S", "served without capabilities, and trained with a config folder of mode 0644",
    expected="both work",
    advice="bind to ports above 1024, change no user, and give no files away",
)  # fmt: skip
def check_105_no_capabilities(subject: Subject) -> str:
    """The folder's mode is that of real jobs."""
    server = subject.serve("--cap-drop=ALL", "--security-opt=no-new-privileges")
    with server.container:
        subject.ask(server)
    ml = subject.job()
    (ml / "input/config").chmod(0o644)
    subject.good_training(ml)
    return "serves and trains"


@check(
    104, "S", "served where every attempt to connect elsewhere fails and is counted (/proc/net/snmp), and predicted",
    expected="no attempt, neither at the start nor at a request",
    advice="leave out telemetry, metadata services, name look-ups and pip at the start",
)  # fmt: skip
def check_104_no_outbound(subject: Subject) -> str:
    """Without a network the kernel finds no route for any of them, and counts that."""
    model = f"{subject.model}:/opt/ml/model:ro"
    options = ("--network=none", f"--dns={NAME_SERVER}", "--volume", model)
    with subject.engine.start("serve", options=options) as container:
        inside.wait_ready(subject, container)
        at_start = unrouted(container)
        for _ in range(3):
            inside.ask(container, "POST", "/invocations", subject.content_type, subject.payload)
        seen = f"{at_start} at the start, {unrouted(container) - at_start} at 3 requests"
        attempts = unrouted(container)
        # An attempt of our own shows that they are counted.
        container.shell("getent hosts doctor.invalid")
        if unrouted(container) == attempts:
            not_offered("the kernel does not count them here, or the image has no `getent` to try it by")
    must(attempts == 0, f"attempts to connect: {seen}")
    return "none"


def unrouted(container: Container) -> int:
    """Return how many packets and connections found no route so far, by IPv4 and IPv6."""
    names, values = [line.split() for line in container.shell("grep ^Ip: /proc/net/snmp").splitlines()]
    v6 = container.shell("cat /proc/net/snmp6")
    found = re.search(r"Ip6OutNoRoutes\s+(\d+)", v6)
    return int(values[names.index("OutNoRoutes")]) + (int(found[1]) if found else 0)


@check(
    107, "S", "read the log of requests at level 20, then at 40, and the Server header",
    expected="a line of JSON a request without its values; none at 40; no version in the header",
    advice="log JSON, obey SAGEMAKER_CONTAINER_LOG_LEVEL, never log bodies; nginx: server_tokens off",
)  # fmt: skip
def check_107_logs(subject: Subject) -> str:
    """CloudWatch Logs Insights reads JSON; whoever reads logs need not see the data."""
    lines, answer = logged(subject, "20")
    must(not re.search(r"\d", answer), f"the header says Server: {answer}")
    must(len(lines) >= REQUESTS, f"{REQUESTS} requests, {len(lines)} lines in the log")
    for line in lines:
        must(VALUE not in line, f"a request's value is in the log: {line[:120]}")
        must(is_object(line), f"a line of the log is no JSON: {line[:120]}")
    quiet, _ = logged(subject, "40")
    must(not quiet, f"at level 40 there are {len(quiet)} lines: {quiet[0][:120] if quiet else ''}")
    return f"such as {lines[0][:100]}"


def logged(subject: Subject, level: str) -> tuple[list[str], str]:
    """Return what some requests, good ones and a bad one, wrote to the log at a level, and the Server header."""
    server = subject.serve(*variables({"SAGEMAKER_CONTAINER_LOG_LEVEL": level}))
    with server.container as container:
        before = settled(container, 0)
        for _ in range(REQUESTS - 1):
            subject.ask(server)
        answer = server.post(f"{VALUE}\n".encode(), {"Content-Type": subject.content_type})
        after = settled(container, before + REQUESTS)
        return lines_of(container)[before:after], answer.headers.get("server", "")


def settled(container: Container, count: int) -> int:
    """Return the number of the log's lines once it stays, and for two seconds while it is below a count."""
    start, last = time.monotonic(), -1
    while True:
        found = len(lines_of(container))
        if found == last and (found >= count or time.monotonic() - start > 2):
            return found
        last = found
        time.sleep(0.3)


def lines_of(container: Container) -> list[str]:
    """Return the log's lines."""
    return [line for line in container.log().splitlines() if line.strip()]


def is_object(line: str) -> bool:
    """Whether a line is an object of JSON."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@check(
    108, "S", "looked for pickles in the model, and sent X-Amzn-SageMaker-Target-Model: ../../../etc/passwd",
    expected="no pickles; the header is ignored, or refused with 4xx",
    advice="save the model in a format that runs no code when it is loaded (skops, ONNX, safetensors)",
)  # fmt: skip
def check_108_model_files(subject: Subject) -> str:
    """Who can write a pickle to the bucket can run code in the container."""
    pickles = [path.name for path in subject.model_files if is_pickle(path)]
    must(not pickles, f"a pickle: {', '.join(pickles)}")
    return f"no pickle among {len(subject.model_files)} files; {escaped(subject, subject.server)}"


def escaped(subject: Subject, server: Server) -> str:
    """Return how a model outside the model folder is answered, and fail the check where that is wrong."""
    headers = {"Content-Type": subject.content_type, "X-Amzn-SageMaker-Target-Model": "../../../etc/passwd"}
    answer = server.post(subject.payload, headers)
    must(answer.status < 500, f"the header is answered {answer.summary}")
    must("root:" not in answer.text, "the answer holds /etc/passwd")
    if answer.status == OK:
        must(answer.body == subject.ask(server), "the header changes the answer")
    return f"the header is answered {answer.status}"


def is_pickle(file: Path) -> bool:
    """Whether a file is a pickle of protocol 2 or later, as joblib's are too, or an archive that holds one."""
    with file.open("rb") as stream:
        if re.match(rb"\x80[\x02-\x05]", stream.read(2)):
            return True
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith((".pkl", ".pickle")) for name in archive.namelist())
