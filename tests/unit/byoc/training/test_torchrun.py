"""Who asks for torchrun, with how many ranks, and what it and PyTorch are told. The rest needs PyTorch: tests/image."""

import os
from pathlib import Path

import pytest

from byoc import machine
from byoc.env import Paths, TrainingEnvironment
from byoc.errors import UserError
from byoc.training import torchrun
from byoc.training.cluster import ClusterError
from byoc.training.stop import StopNotice
from byoc.training.torchrun import Program

HOSTS = ("algo-1", "algo-10", "algo-2")


def environment(**facts):
    return TrainingEnvironment(Paths(Path("/nowhere")), **facts)


ASKED = {
    ("", ""): False,
    ("torchrun", ""): True,
    ("", "true"): True,
    ("", '"true"'): True,
    ("", "True"): True,
    ("", "false"): False,
    ("", "1"): False,
    ("torchrun", "false"): True,
}


@pytest.mark.parametrize(("given", "asked"), ASKED.items())
def test_the_file_or_the_hyperparameter_asks_for_it(given, asked):
    distribution, text = given
    job = environment(hyperparameters={"sagemaker_torch_distributed_enabled": text} if text else {})
    assert torchrun.is_asked_for(job, distribution) is asked


@pytest.mark.parametrize("distribution", ["horovod", "Torchrun", 3])
def test_what_else_a_file_asks_for_is_refused(distribution):
    with pytest.raises(UserError, match=r"DISTRIBUTION = .* is not known; it may be 'torchrun'"):
        torchrun.is_asked_for(environment(), distribution)


@pytest.mark.parametrize(("told", "gpus", "ranks"), [(0, 0, 1), (0, 4, 4), (2, 4, 2), (3, 0, 3)])
def test_a_rank_for_each_gpu_unless_told_otherwise(monkeypatch, told, gpus, ranks):
    monkeypatch.setattr(machine, "devices", lambda _kind: gpus)
    assert torchrun.processes(environment(processes_per_host=told)) == ranks


def test_a_hosts_number_is_its_place_in_the_list():
    for number, host in enumerate(HOSTS):
        arguments = torchrun._arguments(environment(hosts=HOSTS, current_host=host), 4)
        assert arguments == [
            "--nnodes=3",
            "--nproc-per-node=4",
            f"--node-rank={number}",
            "--master-addr=algo-1",
            "--master-port=7777",
        ]
    assert "--master-addr=127.0.0.1" in torchrun._arguments(environment(), 2)


def test_pytorch_is_told_the_network_interface_and_its_part_of_the_cpus(monkeypatch):
    monkeypatch.setattr(machine, "cpus", lambda: 8)
    told = torchrun._variables(environment(hosts=HOSTS, network_interface="lo"), 4)
    assert told == {"OMP_NUM_THREADS": "2", "GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    assert torchrun._variables(environment(network_interface="none"), 16) == {**told, "OMP_NUM_THREADS": "1"}


def test_a_network_interface_that_is_not_there_is_named():
    with pytest.raises(ClusterError, match="network_interface_name='eth99' cannot be used"):
        torchrun._variables(environment(hosts=HOSTS, network_interface="eth99"), 1)


def test_without_pytorch_it_is_said_how_to_have_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UserError, match="build it with --extra torch"):
        torchrun.run(Program("", ["true"], os.environ), environment(), StopNotice())
