"""The queue of an asynchronous endpoint: how many at a time, what comes too late, where answers go."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting import async_invocations
from byoc_cli.emulator.hosting.async_invocations import AsyncInvocations
from byoc_cli.emulator.hosting.calls import Answer, ContainerError
from byoc_cli.emulator.hosting.requests import Asked
from tests.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = {"OutputConfig": {"S3OutputPath": "s3://b/out/", "S3FailurePath": "s3://b/failed"}}


class Storage:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def read(self, uri: str) -> bytes:
        return self.objects[uri]

    def write(self, uri: str, body: bytes, content_type: str) -> None:
        self.objects[uri] = body


class World:
    """An emulator and one endpoint of it, whose instance answers what it is asked, once it may."""

    def __init__(self, instances: int = 1) -> None:
        self.storage = Storage()
        self.region = "eu-west-1"
        self.closing = threading.Event()
        self.may = threading.Event()
        self.may.set()
        self.running = self.most = 0
        self.lock = threading.Lock()
        self.deployment = SimpleNamespace(variants=[SimpleNamespace(instances=[self] * instances)])

    def background(self, function: Any, name: str) -> None:
        threading.Thread(target=function, name=name).start()

    @contextmanager
    def lent(self) -> Iterator[tuple[None, World]]:
        yield None, self

    def answer(self, invocation: Any) -> Answer:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.may.wait(20)
        with self.lock:
            self.running -= 1
        if invocation.body == b"bad":
            raise ContainerError("primary", 500, b"broken")
        return Answer(200, {"content-type": "text/csv"}, b"answer to " + invocation.body)


def asked(**values: Any) -> Asked:
    return Asked("InvokeEndpointAsync", "endpoint", {"EndpointName": "endpoint", **values})


def take(world: World, queue: AsyncInvocations, body: bytes = b"", config: Any = CONFIG, **values: Any) -> Any:
    return queue.take(asked(**values), body, world, config)


def test_an_answer_goes_where_the_caller_is_told() -> None:
    world = World()
    queue = AsyncInvocations(world)
    world.storage.objects["s3://b/in"] = b"input"
    told = take(world, queue, InputLocation="s3://b/in", InferenceId="mine")
    assert (told.status_code, told.get_json(force=True)) == (202, {"InferenceId": "mine"})
    uri = told.headers["X-Amzn-SageMaker-OutputLocation"]
    assert uri.startswith("s3://b/out/")
    assert wait_until(lambda: world.storage.objects.get(uri)) == b"answer to input"


def test_a_name_and_a_folder_of_the_callers_own() -> None:
    world = World()
    told = take(world, AsyncInvocations(world), b"x", Filename="f.csv", S3OutputPathExtension="team/a")
    assert told.headers["X-Amzn-SageMaker-OutputLocation"] == "s3://b/out/team/a/f.csv"
    assert wait_until(lambda: world.storage.objects.get("s3://b/out/team/a/f.csv")) == b"answer to x"


def test_a_failure_goes_to_its_own_place() -> None:
    world = World()
    told = take(world, AsyncInvocations(world), b"bad")
    failure = wait_until(lambda: world.storage.objects.get(told.headers["X-Amzn-SageMaker-FailureLocation"]))
    assert b'Received server error (500) from primary with message "broken"' in failure


def test_no_failure_is_promised_where_none_is_asked_for() -> None:
    told = take(World(), AsyncInvocations(World()), b"x", {"OutputConfig": {"S3OutputPath": "s3://b/out"}})
    assert "X-Amzn-SageMaker-FailureLocation" not in told.headers


@pytest.mark.parametrize(("instances", "each"), [(1, 1), (2, 2)])
def test_so_many_are_answered_at_a_time(instances: int, each: int) -> None:
    world = World(instances)
    queue = AsyncInvocations(world)
    world.may.clear()
    config = {**CONFIG, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": each}}
    for _ in range(8):
        take(world, queue, b"x", config)
    wait_until(lambda: world.running == instances * each)
    world.may.set()
    wait_until(lambda: len(world.storage.objects) == 8)
    assert world.most == instances * each


def test_what_waited_too_long_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    queue = AsyncInvocations(world)
    world.may.clear()
    config = {**CONFIG, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1}}
    take(world, queue, b"first", config)
    wait_until(lambda: world.running == 1)
    late = take(world, queue, b"second", config, RequestTTLSeconds=60)
    now = time.monotonic()
    monkeypatch.setattr(async_invocations.time, "monotonic", lambda: now + 61)
    world.may.set()
    failure = wait_until(lambda: world.storage.objects.get(late.headers["X-Amzn-SageMaker-FailureLocation"]))
    assert failure == b"the request has expired: RequestTTLSeconds is over"


@pytest.mark.parametrize(("body", "values"), [(b"", {}), (b"x", {"InputLocation": "s3://b/in"})])
def test_a_request_has_one_input(body: bytes, values: dict[str, str]) -> None:
    with pytest.raises(ApiError, match="exactly one of Body and InputLocation"):
        take(World(), AsyncInvocations(World()), body, **values)
