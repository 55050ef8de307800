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


def is_led(environment: TrainingEnvironment) -> bool:
    """Whether `fit` is to run on the first host alone, with the others working for it; else it runs on each."""
    return len(environment.hosts) > 1 and importlib.util.find_spec("distributed") is not None


def is_sharded(environment: TrainingEnvironment, channel: str) -> bool:
    """Whether each host has files of its own in the channel, and not all of them."""
    entry = environment.channels.get(channel, {})
    return len(environment.hosts) > 1 and entry.get("S3DistributionType") == "ShardedByS3Key"


def is_spread(environment: TrainingEnvironment) -> bool:
    """Tell what `is_led` does, and in the log what follows from it."""
    first = environment.hosts[0]
    if is_led(environment):
        for name in environment.channels:
            if is_sharded(environment, name):
                log.info(
                    "channel '%s' is ShardedByS3Key: fit runs on %s and finds there the share of this host only, "
                    "but where it has the others read theirs, as the sample algorithm does when incremental; a host "
                    "that is lost ends the job",
                    name,
                    first,
                )
        return True
    if len(environment.hosts) > 1:
        log.info(
            "fit runs on each of %d hosts, and the model is that of %s; to spread the work over all of them, build "
            "the image with the extra 'cluster' (--build-arg EXTRAS=cluster)",
            len(environment.hosts),
            first,
        )
    return False


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
