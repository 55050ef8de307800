"""Waiting for the names of hosts (CONTRACT check 17)."""

from pathlib import Path

import pytest

from byoc.env import Paths, TrainingEnvironment
from byoc.training.cluster import ClusterError, is_spread, wait_for_peers


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


def environment(hosts, **given):
    return TrainingEnvironment(Paths(Path("/nowhere")), hosts=hosts, current_host=hosts[0], **given)


@pytest.mark.parametrize(("installed", "hosts", "spread"), [(1, 1, 0), (1, 2, 1), (0, 2, 0), (0, 1, 0)])
def test_work_is_spread_where_there_are_hosts_and_the_extra(monkeypatch, caplog, installed, hosts, spread):
    caplog.set_level("INFO")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object() if installed else None)
    assert is_spread(environment(("algo-1", "algo-2")[:hosts])) is bool(spread)
    told = [record.getMessage() for record in caplog.records]
    if hosts > 1 and not installed:
        assert len(told) == 1
        assert "the extra 'cluster' (--build-arg EXTRAS=cluster)" in told[0]
    else:
        assert told == []


def test_a_share_of_the_data_is_told_of(monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    channels = {
        "training": {"S3DistributionType": "ShardedByS3Key"},
        "validation": {"S3DistributionType": "FullyReplicated"},
    }
    assert is_spread(environment(("algo-1", "algo-2"), channels=channels))
    assert [record.getMessage()[:43] for record in caplog.records] == ["channel 'training' is ShardedByS3Key: fit r"]
