"""Pipelines: several containers on one host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc_cli.doctor.check import check, must, not_offered
from byoc_cli.doctor.subject import PORT, variables

if TYPE_CHECKING:
    from byoc_cli.doctor.subject import Subject

LABEL = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
OTHER_PORT = 9123
LISTENING = "0A"  # the state in /proc/net/tcp


@check(
    99, "M", "served with SAGEMAKER_BIND_TO_PORT=9123",
    expected=f"it listens there and not on 8080, and the image has the label {LABEL}=true",
    advice="take the port from SAGEMAKER_BIND_TO_PORT, in nginx's configuration too",
)  # fmt: skip
def check_99_port(subject: Subject) -> str:
    """Without the label SageMaker does not put the image into a pipeline."""
    if (subject.config.get("Labels") or {}).get(LABEL) != "true":
        not_offered(f"the image has no label {LABEL}=true")
    server = subject.serve(*variables({"SAGEMAKER_BIND_TO_PORT": str(OTHER_PORT)}), port=OTHER_PORT)
    with server.container as container:
        subject.ask(server)
        sockets = [line.split() for line in container.shell("cat /proc/net/tcp /proc/net/tcp6").splitlines()]
        ports = {int(words[1].rpartition(":")[2], 16) for words in sockets if len(words) > 3 and words[3] == LISTENING}
    must(PORT not in ports, f"it listens on {PORT} too")
    return f"listens on {', '.join(map(str, sorted(ports)))}"
