"""What serves an endpoint: the variants of one configuration, and the change from one deployment to the next."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting.containers import StartError
from byoc_cli.emulator.hosting.variants import Variant, choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from byoc_cli.emulator.hosting.instances import Instance

MOST_SESSIONS = 10_000


class Deployment:
    """The variants of one endpoint configuration; `start` before the first request.

    Args:
        config: the configuration.
        variants: made of it.

    Attributes:
        users: requests that may still be answered by it.
    """

    def __init__(self, config: Mapping[str, Any], variants: Sequence[Variant]) -> None:
        self.config = config
        self.variants = variants
        self.users = 0

    def start(self) -> None:
        """Start all instances; return when they are healthy. After an error nothing is left of them.

        Raises:
            StartError: one did not come up.
        """
        with ThreadPoolExecutor(len(self.variants)) as threads:
            starts = [threads.submit(each.resize, each.initial_count) for each in self.variants]
        errors = [error for each in starts if (error := each.exception()) is not None]
        if errors:
            self.close()
            raise next((each for each in errors if isinstance(each, StartError)), errors[0])

    def close(self) -> None:
        """Let requests be answered, then stop all instances."""
        with ThreadPoolExecutor(len(self.variants)) as threads:
            list(threads.map(Variant.close, self.variants))

    def summaries(self) -> list[dict[str, Any]]:
        """Return the variants as DescribeEndpoint does."""
        return [_summary(each) for each in self.variants]


class Live:
    """The deployment that serves an endpoint at a time, and the instances of its sessions."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deployment: Deployment | None = None
        self._sessions: OrderedDict[str, tuple[Variant, Instance]] = OrderedDict()

    @property
    def deployment(self) -> Deployment | None:
        """What serves, if anything does yet."""
        return self._deployment

    def change(self, deployment: Deployment | None) -> Deployment | None:
        """Serve by another deployment from now on; return the one before, whose requests go on."""
        with self._changed:
            before, self._deployment = self._deployment, deployment
            self._sessions.clear()
            return before

    def retire(self, deployment: Deployment, seconds: float) -> None:
        """Stop a deployment that serves no more, once its requests are answered or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: deployment.users == 0, seconds)
        deployment.close()

    @contextmanager
    def lent(self, target_variant: str = "", session: str = "") -> Iterator[tuple[Variant, Instance]]:
        """Lend what answers a request.

        Args:
            target_variant: that the request names.
            session: that the request is of; one that is known stays with its instance.

        Raises:
            ApiError: nothing can answer it.
        """
        with self._changed:
            deployment = self._deployment
            if deployment is None:
                raise ApiError("ServiceUnavailable", "no instance of the endpoint is running", 503)
            deployment.users += 1
            known = self._sessions.get(session)
        try:
            variant, preferred = known or (choose(deployment.variants, target_variant), None)
            with variant.lent(preferred) as instance:
                yield variant, instance
        finally:
            with self._changed:
                deployment.users -= 1
                self._changed.notify_all()

    def open_session(self, session: str, variant: Variant, instance: Instance) -> None:
        """Keep the requests of a new session with the instance that has opened it."""
        with self._changed:
            self._sessions[session] = variant, instance
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def close_session(self, session: str) -> None:
        """Forget a session."""
        with self._changed:
            self._sessions.pop(session, None)


def _summary(variant: Variant) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "VariantName": variant.name,
        "DeployedImages": variant.deployed_images(),
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
    }
    if variant.serverless is None:
        count = len(variant.instances)
        return {**summary, "CurrentInstanceCount": count, "DesiredInstanceCount": count}
    config = {**variant.serverless, "MaxConcurrency": variant.concurrency}
    return {**summary, "CurrentInstanceCount": 0, "CurrentServerlessConfig": config, "DesiredServerlessConfig": config}
