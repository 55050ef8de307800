"""Pipelines: several containers on one host."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import check, must, not_offered
from byoc_cli.doctor.subject import PORT, Server, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoc_cli.doctor.engine import Container
    from byoc_cli.doctor.subject import Subject

LABEL = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
OTHER_PORT = 9123
# The ports of two containers on one host, and the range that each may open others in.
HOST = {9123: range(9200, 9211), 9124: range(9300, 9311)}
LISTENING = "0A"  # the state in /proc/net/tcp
LARGEST_ANSWER = 5 << 20


def require_port(subject: Subject) -> None:
    """End the check unless the image says that it takes its port from the environment."""
    if (subject.config.get("Labels") or {}).get(LABEL) != "true":
        not_offered(f"the image has no label {LABEL}=true")


def listening(container: Container) -> set[int]:
    """Return the TCP ports that anything listens on in the container's network."""
    sockets = [line.split() for line in container.shell("cat /proc/net/tcp /proc/net/tcp6").splitlines()]
    return {int(words[1].rpartition(":")[2], 16) for words in sockets if len(words) > 3 and words[3] == LISTENING}


@contextmanager
def pair(subject: Subject) -> Iterator[list[Server]]:
    """Serve twice on one host's network, each on a port of its own, until the with-block ends; both are ready."""
    first, second = HOST
    options = ("--publish", f"127.0.0.1::{second}", *port_variables(first))
    one = subject.serve(*options, port=first)
    with one.container as container:
        mounts = ("--volume", f"{subject.model}:/opt/ml/model:ro")
        network = f"--network=container:{container.name}"
        with subject.engine.start("serve", options=[network, *mounts, *port_variables(second)]) as other:
            two = Server(other, container.port(second))
            two.wait_ready(subject.start_seconds)
            yield [one, two]


def port_variables(port: int) -> list[str]:
    """Return the options by which a container of a pipeline learns its ports."""
    safe = HOST[port]
    return variables(
        {
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "SAGEMAKER_SAFE_PORT_RANGE": f"{safe.start}-{safe.stop - 1}",
        }
    )


@check(
    99, "M", f"served with SAGEMAKER_BIND_TO_PORT={OTHER_PORT}",
    expected=f"it listens there and not on 8080, and the image has the label {LABEL}=true",
    advice="take the port from SAGEMAKER_BIND_TO_PORT, in nginx's configuration too",
)  # fmt: skip
def check_99_port(subject: Subject) -> str:
    """Without the label SageMaker does not put the image into a pipeline."""
    require_port(subject)
    server = subject.serve(*variables({"SAGEMAKER_BIND_TO_PORT": str(OTHER_PORT)}), port=OTHER_PORT)
    with server.container as container:
        subject.ask(server)
        ports = listening(container)
    must(PORT not in ports, f"it listens on {PORT} too")
    return f"listens on {', '.join(map(str, sorted(ports)))}"


@check(
    100, "M", "served twice on one host's network, each with SAGEMAKER_BIND_TO_PORT and SAGEMAKER_SAFE_PORT_RANGE",
    expected="both predict, and all they listen on besides lies within their ranges",
    advice="use unix sockets inside the container, or ports of SAGEMAKER_SAFE_PORT_RANGE",
)  # fmt: skip
def check_100_safe_ports(subject: Subject) -> str:
    """The containers of a pipeline share their host's ports."""
    require_port(subject)
    with pair(subject) as servers:
        for server in servers:
            subject.ask(server)
        ports = listening(servers[0].container)
    allowed = {port for own, safe in HOST.items() for port in (own, *safe)}
    must(ports <= allowed, f"listens on {', '.join(map(str, sorted(ports - allowed)))}, outside its range")
    return f"both predict; they listen on {', '.join(map(str, sorted(ports)))}"


@check(
    101, "S", "fed one container's answer to another, with the Content-Type that it came with",
    expected="200, or 400 where predictions are no features, but never 415; at most 5 MB",
    advice="answer in a media type that you would read yourself",
)  # fmt: skip
def check_101_pipeline(subject: Subject) -> str:
    """Nobody translates between the containers of a pipeline."""
    require_port(subject)
    with pair(subject) as (one, two):
        first = one.post(subject.payload, {"Content-Type": subject.content_type})
        must(first.status == 200, f"the first answered {first.summary}")
        must(len(first.body) <= LARGEST_ANSWER, f"the first answered {len(first.body)} bytes")
        media_type = first.headers.get("content-type", "")
        second = two.post(first.body, {"Content-Type": media_type})
    must(second.status in {200, 400}, f"{media_type} from the first: the second answered {second.summary}")
    return f"{media_type}: the second answered {second.summary}"
