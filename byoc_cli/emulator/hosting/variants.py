"""A production variant: instances of one model, and which of them answers a request."""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting import limits
from byoc_cli.emulator.hosting.containers import Profile, StartError
from byoc_cli.emulator.hosting.instances import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.hosting.models import Model

log = logging.getLogger(__name__)

# Seconds between two looks at the instances, and after one that could not be replaced; between two pings of one.
WATCH_SECONDS = 1.0
RETRY_SECONDS = 10.0
PING_INTERVAL = 5.0


class Variant:
    """A production variant; `resize` starts its instances.

    Args:
        emulator: whose engine runs them.
        endpoint: the name of its endpoint.
        settings: of the endpoint configuration.
        model: that it serves.
        memory: of an instance in MB; None is this machine's.

    Attributes:
        name: of it.
        weight: its share of the traffic.
        concurrency: requests at a time, of a serverless variant; None is any number.
        instances: that answer.
    """

    def __init__(
        self, emulator: Emulator, endpoint: str, settings: Mapping[str, Any], model: Model, memory: int | None
    ) -> None:
        self.settings = settings
        self.name: str = settings["VariantName"]
        self.weight: float = settings["InitialVariantWeight"]
        self.serverless: dict[str, Any] | None = settings.get("ServerlessConfig")
        self.concurrency: int | None = self.serverless["MaxConcurrency"] if self.serverless else None
        self.instances: list[Instance] = []
        self._emulator = emulator
        self._endpoint = endpoint
        self._model = model
        self._memory = self.serverless["MemorySizeInMB"] if self.serverless else memory
        self._closed = threading.Event()
        self._changed = threading.Lock()
        # Held as long as instances are being started: one change at a time.
        self._resizing = threading.Lock()

    @property
    def initial_count(self) -> int:
        """How many instances it begins with."""
        return 1 if self.serverless else int(self.settings["InitialInstanceCount"])

    def resize(self, count: int) -> None:
        """Have so many instances; new ones are healthy when this returns, none answers before all are.

        Raises:
            StartError: one did not come up; then there are as many as before.
        """
        with self._resizing:
            kept, surplus = self.instances[:count], self.instances[count:]
            new = [self._instance() for _ in range(count - len(kept))]
            if new:
                with ThreadPoolExecutor(len(new)) as threads:
                    failed = [error for error in threads.map(_start, new) if error is not None]
                if failed:
                    _close_all([each for each in new if each.runs])
                    raise failed[0]
            with self._changed:
                self.instances = kept + new
        if surplus:
            self._emulator.background(lambda: _retire(surplus), f"{self._endpoint}/{self.name} scales in")

    def change(self, desired: Mapping[str, Any]) -> None:
        """Change its weight and its capacity as UpdateEndpointWeightsAndCapacities is told.

        Raises:
            StartError: an instance did not come up; nothing is changed then.
        """
        self.resize(desired.get("DesiredInstanceCount", len(self.instances)))
        self.weight = desired.get("DesiredWeight", self.weight)
        self.concurrency = desired.get("ServerlessUpdateConfig", {}).get("MaxConcurrency", self.concurrency)

    def watch(self) -> None:
        """Replace instances that end or whose /ping keeps failing, until it is closed or the emulator is."""
        pause, pinged = WATCH_SECONDS, time.monotonic()
        while not self._closed.wait(pause) and not self._emulator.closing.is_set():
            if time.monotonic() >= pinged + PING_INTERVAL:
                pinged = time.monotonic()
                for each in self.instances:
                    each.check()
            replaced = [self._replace(each) for each in self.instances if not each.is_fit]
            pause = WATCH_SECONDS if all(replaced) else RETRY_SECONDS

    @contextmanager
    def lent(self, preferred: Instance | None = None) -> Iterator[Instance]:
        """Lend an instance for a request: the preferred one, or one with the fewest requests, or any.

        Raises:
            ApiError: as many requests as may be are being answered; or no instance is there.
        """
        with self._changed:
            instance = self._pick(preferred)
            instance.enter()
        try:
            yield instance
        finally:
            instance.leave()

    def close(self) -> None:
        """Let requests be answered, then stop all instances."""
        with self._changed:
            self._closed.set()
        _retire(self.instances)

    def _pick(self, preferred: Instance | None) -> Instance:
        fit = [each for each in self.instances if each.is_fit]
        running = fit or [each for each in self.instances if each.runs]
        if not running:
            raise ApiError("ServiceUnavailable", f"no instance of variant {self.name} is running; ask again", 503)
        if self.concurrency is not None and sum(each.in_flight for each in running) >= self.concurrency:
            raise ApiError("ThrottlingException", f"Rate exceeded: MaxConcurrency is {self.concurrency}")
        if preferred in running:
            return preferred
        least = min(each.in_flight for each in running)
        is_least = self.settings.get("RoutingConfig", {}).get("RoutingStrategy") == "LEAST_OUTSTANDING_REQUESTS"
        return random.choice([each for each in running if not is_least or each.in_flight == least])  # noqa: S311

    def _replace(self, unfit: Instance) -> bool:
        """Start another instance in place of one; False where it does not come up."""
        with self._resizing:
            if unfit not in self.instances:
                return True
            why = "does not pass the ping health check" if unfit.runs else "has ended"
            log.warning("endpoint %s: an instance of %s %s and is replaced", self._endpoint, self.name, why)
            new = self._instance()
            if (error := _start(new)) is not None:
                log.warning("endpoint %s: %s", self._endpoint, error)
                return False
            with self._changed:
                surplus = new if self._closed.is_set() else unfit
                if surplus is unfit:
                    self.instances = [new if each is unfit else each for each in self.instances]
        self._emulator.background(lambda: _retire([surplus]), f"{self._endpoint}/{self.name} replaces an instance")
        return True

    def _instance(self) -> Instance:
        return Instance(self._emulator, self._model, self._profile())

    def _profile(self) -> Profile:
        own = limits.SERVERLESS_STARTUP_SECONDS if self.serverless else limits.STARTUP_SECONDS
        return Profile(
            group=f"Endpoints/{self._endpoint}",
            stream=f"{self.name}/i-{uuid.uuid4().hex[:17]}",
            owner=f"for production variant {self.name}",
            seconds=self.settings.get("ContainerStartupHealthCheckTimeoutInSeconds", own),
            memory=self._memory,
            instance_type=self.settings.get("InstanceType", ""),
            is_serverless=self.serverless is not None,
        )

    def deployed_images(self) -> list[dict[str, Any]]:
        """Return its images as DescribeEndpoint does."""
        now = time.time()
        return [
            {
                "SpecifiedImage": each.specified_image,
                "ResolvedImage": f"{each.image.name}@{each.image.id}" if each.image.id else each.image.name,
                "ResolutionTime": now,
            }
            for each in self.instances[0].containers
            if each.image is not None
        ]


def choose(variants: Sequence[Variant], target: str = "") -> Variant:
    """Return the variant that a request names, or one by their weights.

    Raises:
        ApiError: there is no such variant, or no variant has a weight.
    """
    if target:
        found = next((each for each in variants if each.name == target), None)
        if found is None:
            names = ", ".join(each.name for each in variants)
            raise ApiError("ValidationError", f"Variant {target} not found for Endpoint; there are: {names}")
        return found
    weights = [each.weight for each in variants]
    if not sum(weights):
        raise ApiError("ValidationError", "no variant of the endpoint has a weight: name one by TargetVariant")
    return random.choices(variants, weights)[0]  # noqa: S311


def _start(instance: Instance) -> StartError | None:
    try:
        instance.start()
    except StartError as error:
        return error
    return None


def _retire(instances: Sequence[Instance]) -> None:
    """Wait for what is being answered, then stop."""
    end = time.monotonic() + limits.ANSWER_SECONDS
    for each in instances:
        each.drain(end - time.monotonic())
    _close_all(instances)


def _close_all(instances: Sequence[Instance]) -> None:
    with ThreadPoolExecutor(max(1, len(instances))) as threads:
        list(threads.map(Instance.close, instances))
