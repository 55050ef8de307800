"""A request's way through a chain of containers, and how what goes wrong there is told."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from byoc_cli.emulator.hosting.calls import CallError, ContainerError
from byoc_cli.emulator.hosting.containers import Profile
from byoc_cli.emulator.hosting.instances import LARGEST_HOP, Instance, Invocation
from byoc_cli.emulator.hosting.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def chain(tmp_path: Path) -> Callable[..., Instance]:
    """Returns a function that makes an instance whose containers answer as the given functions do."""
    emulator = SimpleNamespace(log_file=lambda *_: tmp_path / "log", work_folder=lambda *_: tmp_path)

    def make(*answers: Callable[[bytes, dict[str, str]], tuple[int, bytes]]) -> Instance:
        definitions = [{"Image": "byoc"} for _ in answers]
        instance = Instance(emulator, Model("m", definitions, direct=False), Profile("group", "stream"))
        for container, answer in zip(instance.containers, answers, strict=True):
            container.asked = answering(answer)
        return instance

    return make


def answering(answer: Callable[[bytes, dict[str, str]], tuple[int, bytes]]) -> Any:
    @contextmanager
    def asked(body: bytes, headers: dict[str, str], seconds: float, target: str) -> Iterator[Any]:
        status, told = answer(body, headers)
        yield SimpleNamespace(status=status, headers={"content-type": "text/csv"}, read=lambda: told)

    return asked


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_each_takes_what_the_one_before_answered(chain: Callable[..., Instance], name: str) -> None:
    seen: list[dict[str, str]] = []

    def stamp(body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        seen.append(headers)
        return 200, body + b"+"

    headers = {name: "application/json", "Accept": "text/x", "X-Amzn-SageMaker-Inference-Id": "id"}
    answer = chain(stamp, stamp, stamp).answer(Invocation(b"x", headers))
    assert answer.body == b"x+++"
    types = [[value for key, value in each.items() if key.lower() == "content-type"] for each in seen]
    assert types == [["application/json"], ["text/csv"], ["text/csv"]]
    assert [each.get("Accept") for each in seen] == [None, None, "text/x"]
    assert {each["X-Amzn-SageMaker-Inference-Id"] for each in seen} == {"id"}


def test_an_error_names_its_container_and_ends_the_chain(chain: Callable[..., Instance]) -> None:
    instance = chain(lambda *_: (200, b""), lambda *_: (415, b"what is this"), lambda *_: pytest.fail("it was asked"))
    with pytest.raises(ContainerError) as caught:
        instance.answer(Invocation(b"x", {}))
    assert (caught.value.name, caught.value.status, caught.value.body) == ("container-2", 415, b"what is this")


def test_what_is_too_large_does_not_pass_on(chain: Callable[..., Instance]) -> None:
    at_most = chain(lambda *_: (200, bytes(LARGEST_HOP)), lambda body, _: (200, str(len(body)).encode()))
    assert at_most.answer(Invocation(b"x", {})).body == str(5 << 20).encode()
    too_much = chain(lambda *_: (200, bytes(LARGEST_HOP + 1)), lambda *_: pytest.fail("it was asked"))
    with pytest.raises(ContainerError, match="container-1") as caught:
        too_much.answer(Invocation(b"x", {}))
    assert caught.value.body == b"the answer has 5242881 bytes; 5242880 are the most between containers"


def test_a_container_that_takes_too_long(chain: Callable[..., Instance]) -> None:
    def never(*_: object) -> tuple[int, bytes]:
        raise CallError("no whole answer came within 60 s", timed_out=True)

    with pytest.raises(ContainerError) as caught:
        chain(never).answer(Invocation(b"x", {}))
    assert (caught.value.name, caught.value.status, caught.value.timed_out) == ("primary", 0, True)
    assert caught.value.body.startswith(
        b"Your invocation timed out while waiting for a response from container primary."
    )
