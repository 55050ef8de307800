"""Instances that end or are not healthy: when they are replaced, and what becomes of both when it is too late."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from byoc_cli.emulator.hosting import instances, variants
from byoc_cli.emulator.hosting.containers import StartError
from byoc_cli.emulator.hosting.instances import BAD_PINGS
from byoc_cli.emulator.hosting.models import Model
from byoc_cli.emulator.hosting.variants import Variant
from tests.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Containers:
    """All containers that there ever were, each of an instance of its own.

    Attributes:
        all: in the order in which they were started.
        may_start: cleared, they wait with it.
        fails: how many of the next starts go wrong.
    """

    def __init__(self) -> None:
        self.all: list[Container] = []
        self.may_start = threading.Event()
        self.may_start.set()
        self.fails = 0

    @property
    def left(self) -> list[Container]:
        """Those that were not stopped."""
        return [each for each in self.all if not each.stopped]


class Container:
    """Stands for a real one, which ends and is ill as it is told."""

    there: Containers

    def __init__(self, *_: object) -> None:
        self.runs = self.healthy = True
        self.stopped = False

    def start(self) -> None:
        self.there.all.append(self)
        assert self.there.may_start.wait(30)
        if self.there.fails:
            self.there.fails -= 1
            self.runs = False
            raise StartError("no room")

    def wait(self) -> None:
        pass

    def is_healthy(self) -> bool:
        return self.runs and self.healthy

    def stop(self) -> None:
        self.runs, self.stopped = False, True


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> Containers:
    """The containers of the variants in a test, who are in haste."""
    for name in ("WATCH_SECONDS", "RETRY_SECONDS", "PING_INTERVAL"):
        monkeypatch.setattr(variants, name, 0.01)
    there = Containers()
    monkeypatch.setattr(instances, "HostedContainer", type("Container", (Container,), {"there": there}))
    return there


@pytest.fixture
def variant(containers: Containers) -> Variant:
    """A variant of two instances."""
    settings = {"VariantName": "V", "InitialVariantWeight": 1.0}
    emulator: Any = SimpleNamespace(closing=threading.Event(), background=lambda function, _: function())
    made = Variant(emulator, "endpoint", settings, Model("m", [{"Image": "byoc"}], direct=False), None)
    # One after the other, so that they are in the order of the containers.
    made.resize(1)
    made.resize(2)
    return made


@pytest.fixture
def watched(variant: Variant, containers: Containers) -> Iterator[Variant]:
    """The same, watched."""
    thread = threading.Thread(target=variant.watch)
    thread.start()
    yield variant
    containers.may_start.set()
    variant.close()
    thread.join(30)
    assert not thread.is_alive()
    assert containers.left == []


def serving(variant: Variant) -> list[Any]:
    """Return the containers that requests come to."""
    return [each.containers[0] for each in variant.instances]


def end(container: Container) -> None:
    container.runs = False


def fall_ill(container: Container) -> None:
    container.healthy = False


@pytest.mark.parametrize("happens", [end, fall_ill])
def test_one_that_has_ended_or_is_ill_is_replaced(
    watched: Variant, containers: Containers, happens: Callable[[Container], None]
) -> None:
    first, second = containers.all
    happens(second)
    wait_until(lambda: second.stopped)
    assert containers.left == serving(watched) == [first, containers.all[2]]


def test_a_moment_of_illness_is_overlooked(variant: Variant, containers: Containers) -> None:
    instance, container = variant.instances[0], containers.all[0]
    for healthy in [*[False] * (BAD_PINGS - 1), True] * 3:
        container.healthy = healthy
        instance.check()
        assert instance.is_fit
    container.healthy = False
    for _ in range(BAD_PINGS):
        assert instance.is_fit
        instance.check()
    assert not instance.is_fit


def test_it_is_tried_until_another_comes_up(watched: Variant, containers: Containers) -> None:
    containers.fails = 3
    end(containers.all[1])
    wait_until(lambda: containers.all[1].stopped)
    assert len(containers.all) == 2 + 3 + 1
    assert containers.left == serving(watched) == [containers.all[0], containers.all[-1]]


def test_another_that_comes_too_late_is_stopped(watched: Variant, containers: Containers) -> None:
    """The endpoint is deleted while an instance is being replaced: nothing is left of either."""
    containers.may_start.clear()
    end(containers.all[1])
    late = wait_until(lambda: containers.all[2:])[0]
    watched.close()
    containers.may_start.set()
    wait_until(lambda: late.stopped)
    assert containers.left == []
    assert late not in serving(watched)


def test_a_change_of_their_number_waits_for_a_replacement(watched: Variant, containers: Containers) -> None:
    """Else it would bring back what is being replaced."""
    containers.may_start.clear()
    end(containers.all[1])
    wait_until(lambda: containers.all[2:])
    change = threading.Thread(target=watched.resize, args=(1,))
    change.start()
    change.join(0.05)
    containers.may_start.set()
    change.join(30)
    wait_until(lambda: len(containers.left) == 1)
    assert containers.left == serving(watched) == [containers.all[0]]
