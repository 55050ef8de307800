"""Servers made slow: any request lasts long in a container that gets hardly any CPU."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import must

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoc_cli.doctor.address import Answer
    from byoc_cli.doctor.subject import Server

PERIOD = 100_000


def limit(server: Server, cpus: float | None) -> None:
    """Give a running container a share of one CPU, None for as many as there are."""
    quota = -1 if cpus is None else int(cpus * PERIOD)
    update = ("update", "--cpu-period", str(PERIOD), "--cpu-quota", str(quota), server.container.name)
    done = server.container.engine.docker(*update)
    must(done.returncode == 0, f"the container could not be slowed down: {done.stderr.strip()}")


@contextmanager
def slowed(server: Server, cpus: float, body: bytes, content_type: str) -> Iterator[tuple[Future[Answer], float]]:
    """Send a request to a slow container; give the answer to come and the time (monotonic) it was sent.

    When the with-block ends the container is as fast as before.
    """
    limit(server, cpus)
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(server.post, body, {"Content-Type": content_type}, 120), time.monotonic()
        finally:
            limit(server, None)
