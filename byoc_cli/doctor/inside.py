"""HTTP from inside a container that has no network: asked by its own Python."""

from __future__ import annotations

import base64
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from byoc_cli.doctor.address import Answer
from byoc_cli.doctor.check import Failed, not_offered
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import PORT

if TYPE_CHECKING:
    from byoc_cli.doctor.engine import Container
    from byoc_cli.doctor.subject import Subject

# Prints the answer to a request as JSON; its arguments are port, method, path, Content-Type and the body in base 64.
CLIENT = """
import base64, http.client, json, sys
port, method, path, media_type, body = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
connection.request(method, path, base64.b64decode(body), {"Content-Type": media_type})
answer = connection.getresponse()
headers = {name.lower(): value for name, value in answer.getheaders()}
print(json.dumps([answer.status, headers, base64.b64encode(answer.read()).decode()]))
"""


def ask(container: Container, method: str, path: str, content_type: str = "", body: bytes = b"") -> Answer:
    """Send a request to the container's own port 8080.

    Raises:
        Failed: there was no answer.
    """
    words = (str(PORT), method, path, content_type, base64.b64encode(body).decode())
    done = container.engine.docker("exec", container.name, "python3", "-c", CLIENT, *words)
    if done.returncode:
        raise Failed(f"{method} {path} got no answer: {last_line(done.stderr)}")
    status, headers, text = json.loads(done.stdout)
    return Answer(status, headers, base64.b64decode(text))


def wait_ready(subject: Subject, container: Container) -> float:
    """Wait for a /ping that answers 200; return after how many seconds from the container's start it did.

    Raises:
        Failed: it never did; without a Python inside the check ends instead.
    """
    if not container.shell("command -v python3"):
        not_offered("there is no python3 inside to ask by")
    while time.monotonic() - container.started < subject.start_seconds and container.state()["Running"]:
        try:
            if ask(container, "GET", "/ping").status == HTTPStatus.OK:
                return time.monotonic() - container.started
        except Failed:
            time.sleep(0.2)
    raise Failed(f"/ping never answered 200; the last line: {last_line(container.log())}")
