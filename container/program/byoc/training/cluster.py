"""Several hosts: whether Dask spreads the work over them, and their names, which DNS may know late."""

from __future__ import annotations

import importlib.util
import logging
import socket
import time
from typing import TYPE_CHECKING

from byoc.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoc.env import TrainingEnvironment

log = logging.getLogger(__name__)

# Seconds to wait for all hosts; and between two looks, doubled from the first to the second.
PATIENCE = 900.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0


class ClusterError(UserError):
    """Hosts that cannot work together."""


def is_spread(environment: TrainingEnvironment) -> bool:
    """Whether `fit` is to run on the first host alone, with the others working for it; else it runs on each."""
    if len(environment.hosts) == 1:
        return False
    if importlib.util.find_spec("distributed") is None:
        log.info(
            "fit runs on each of %d hosts, and the model is that of %s; to spread the work over all of them, build "
            "the image with the extra 'cluster' (--build-arg EXTRAS=cluster)",
            len(environment.hosts),
            environment.hosts[0],
        )
        return False
    for name, channel in environment.channels.items():
        if channel.get("S3DistributionType") == "ShardedByS3Key":
            log.warning(
                "channel '%s' is ShardedByS3Key: fit runs on %s alone, and finds there only this host's share of the "
                "data; make it FullyReplicated",
                name,
                environment.hosts[0],
            )
    return True


def wait_for_peers(
    hosts: Sequence[str],
    patience: float = PATIENCE,
    resolve: Callable[[str], object] = socket.gethostbyname,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Wait until every host's name can be resolved.

    Raises:
        ClusterError: one cannot within ``patience`` seconds.

    """
    deadline = time.monotonic() + patience
    for host in hosts:
        pause = FIRST_PAUSE
        while not _is_known(host, resolve):
            left = deadline - time.monotonic()
            if left <= 0:
                raise ClusterError(
                    f"host {host} of {', '.join(hosts)} is not known to DNS after {patience:.0f} s: it may "
                    "have failed, see its own log; and in a VPC let the security group allow traffic within itself"
                )
            log.info("waiting for host %s", host)
            sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)


def _is_known(host: str, resolve: Callable[[str], object]) -> bool:
    try:
        resolve(host)
    except OSError:
        return False
    return True
