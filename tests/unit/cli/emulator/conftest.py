"""S3 for the emulator's parts: moto's, in this process."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from moto.server import ThreadedMotoServer

from byoc_cli.emulator.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def s3() -> Iterator[Storage]:
    """A client of an S3."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Storage(f"http://{host}:{port}", "us-east-1")
    finally:
        server.stop()


@pytest.fixture
def bucket(s3: Storage) -> str:
    """The URI of a new bucket."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3._s3.create_bucket(Bucket=name)
    return f"s3://{name}"
