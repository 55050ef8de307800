"""A multi-model server and the API by which SageMaker loads, asks and unloads its models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from byoc_cli.doctor.check import must
from byoc_cli.doctor.subject import PORT, Server, variables

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.doctor.address import Answer
    from byoc_cli.doctor.subject import Subject

JSON = {"Content-Type": "application/json"}
OK = 200
# What the kernel counts for the container, less the files that it would drop first; of cgroups v2, then v1.
MEMORY = """cd /sys/fs/cgroup; [ -f memory.current ] || cd memory
cat memory.current memory.usage_in_bytes 2>/dev/null; grep inactive_file memory.stat"""


class Models(Server):
    """A server in multi-model mode, with copies of the trained model to load; to be used in a with-block.

    Args:
        subject: the image.
        count: how many models there are: m0, m1, …
        options: docker's.
        others: folders of further models, by name.

    Raises:
        Failed: the trained model is missing, or the server did not get ready without a model.
    """

    def __init__(self, subject: Subject, count: int, *options: str, others: dict[str, Path] | None = None) -> None:
        self.subject = subject
        folders = {**{f"m{number}": subject.model for number in range(count)}, **(others or {})}
        mounts = [f"--volume={folder}:{place(name)}:ro" for name, folder in folders.items()]
        published = ("--publish", f"127.0.0.1::{PORT}")
        mode = variables({"SAGEMAKER_MULTI_MODEL": "true"})
        container = subject.engine.start("serve", options=[*mounts, *published, *mode, *options])
        try:
            super().__init__(container, container.port(PORT))
            self.wait_ready(subject.start_seconds)
        except BaseException:
            container.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.__exit__()

    def load(self, name: str, url: str | None = None, timeout: float = 60) -> Answer:
        """POST /models."""
        body = json.dumps({"model_name": name, "url": place(name) if url is None else url})
        return self.ask("POST", "/models", body.encode(), JSON, timeout)

    def unload(self, name: str) -> Answer:
        """DELETE /models/{name}."""
        return self.ask("DELETE", f"/models/{quote(name)}")

    def get(self, name: str) -> Answer:
        """GET /models/{name}."""
        return self.ask("GET", f"/models/{quote(name)}")

    def invoke(self, name: str) -> Answer:
        """POST /models/{name}/invoke with the payload."""
        headers = {"Content-Type": self.subject.content_type, "X-Amzn-SageMaker-Target-Model": f"{name}.tar.gz"}
        return self.ask("POST", f"/models/{quote(name)}/invoke", self.subject.payload, headers)

    def page(self, **query: str) -> tuple[list[dict[str, Any]], str | None]:
        """GET /models; return the models listed and the next page's token.

        Raises:
            Failed: the answer is not of that form.
        """
        answer = self.ask("GET", f"/models?{urlencode(query)}" if query else "/models")
        body = answer.json() if answer.status == OK else None
        models = body.get("models") if isinstance(body, dict) else None
        must(isinstance(models, list), f"GET /models is answered {answer.summary}")
        assert isinstance(body, dict)
        return list(models or ()), body.get("nextPageToken")

    def names(self) -> list[str]:
        """Return the names of all models, from every page."""
        models, token = self.page()
        while token:
            more, token = self.page(next_page_token=token)
            models += more
        return [model["modelName"] for model in models]

    def memory(self) -> int:
        """Return the bytes in use."""
        words = self.container.shell(MEMORY).split()
        must(words and words[0].isdecimal(), "the container's memory cannot be read in /sys/fs/cgroup")
        return int(words[0]) - int(words[-1])

    def files(self) -> int:
        """Return how many files and sockets all processes have open."""
        return int(self.container.shell("ls -d /proc/[0-9]*/fd/* 2>/dev/null | wc -l"))


def place(name: str) -> str:
    """Return where SageMaker puts a model."""
    return f"/opt/ml/models/{name}/model"
