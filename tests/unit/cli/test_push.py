"""`byoc docker push`: it is build_and_push.sh that works."""

import subprocess

import pytest
from click.testing import CliRunner

from byoc_cli.docker import docker
from byoc_cli.repository import repository_root


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-i", "churn:1"], ["--image", "churn:1", "churn:1"]),
        (
            ["-i", "churn", "-r", "eu-west-1", "--dry-run"],
            ["--image", "churn", "--region=eu-west-1", "--dry-run", "churn"],
        ),
        (["-i", "churn", "-r", "; ls"], ["--image", "churn", "--region=; ls", "churn"]),
    ],
)
def test_it_is_the_script_that_pushes(monkeypatch, arguments, words):
    ran = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: ran.append(command) or subprocess.CompletedProcess([], 0)
    )
    assert CliRunner().invoke(docker, ["push", *arguments]).exit_code == 0
    assert [command[1:] for command in ran] == [[str(repository_root() / "build_and_push.sh"), *words]]


def test_its_exit_code_is_ours(programs):
    programs("bash", "exit 7")
    assert CliRunner().invoke(docker, ["push", "-i", "churn"]).exit_code == 7
