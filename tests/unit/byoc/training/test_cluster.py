"""Waiting for the names of hosts (CONTRACT check 17)."""

import pytest

from byoc.training.cluster import ClusterError, wait_for_peers


def late(host, misses):
    """Return a name service that does not know the host at first, and the list of what it was asked."""
    asked = []

    def resolve(name):
        asked.append(name)
        if name == host and asked.count(name) <= misses:
            raise OSError(-2, "Name or service not known")

    return resolve, asked


def test_a_late_name_is_waited_for_with_longer_and_longer_pauses():
    resolve, asked = late("algo-2", misses=12)
    pauses = []
    wait_for_peers(["algo-1", "algo-2", "algo-3"], 900, resolve, pauses.append)
    assert asked == ["algo-1", *["algo-2"] * 13, "algo-3"]
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert pauses[-2:] == [30.0, 30.0]


def test_a_host_that_never_comes_is_named():
    resolve, _ = late("algo-2", misses=1 << 30)
    with pytest.raises(ClusterError, match="host algo-2 of algo-1, algo-2 is not known to DNS"):
        wait_for_peers(["algo-1", "algo-2"], 0.3, resolve)


def test_this_machines_own_name_service_is_asked():
    wait_for_peers(["localhost"])
    with pytest.raises(ClusterError):
        wait_for_peers(["no-such-host.invalid"], 0.2)
