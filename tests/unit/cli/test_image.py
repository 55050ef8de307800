"""`byoc docker image`: what is run, and the weight it reports."""

import pytest
from click.testing import CliRunner

from byoc_cli.docker import docker
from byoc_cli.repository import repository_root

SIZES = '[ "$1" = image ] && case "$5" in debian*) echo 80000000;; *) echo 480400000;; esac'
CLIENT = f"""
[ "$1" = --version ] && echo "Docker version 20.10.24" && exit 0
[ "$1" = buildx ] && exit 1
[ "$1" = build ] && [ "$DOCKER_BUILDKIT" != 1 ] && exit 9
{SIZES}
[ "$1" != build ] || ! [ -e "$0.fails" ]"""


def test_builds_with_buildkit_and_says_the_weight(programs, calls):
    programs("docker", CLIENT)
    programs("git", "echo abc123")
    result = CliRunner().invoke(docker, ["image", "--name", "iris:1"])
    assert result.exit_code == 0, result.output
    assert result.output.endswith("Image iris:1: 480 MB, of which 400 MB on top of debian:trixie-slim\n")
    build = next(call for call in calls() if call.startswith("docker build "))
    arguments = "--build-arg BASE_IMAGE=debian:trixie-slim --build-arg GIT_COMMIT=abc123"
    assert build == f"docker build --tag iris:1 {arguments} {repository_root()}/container"


def test_without_git_the_commit_is_unknown(programs, calls):
    programs("docker", CLIENT)
    programs("git", "exit 128")
    CliRunner().invoke(docker, ["image"])
    assert any("GIT_COMMIT=unknown" in call for call in calls())


def test_a_failed_build_is_one_line(programs):
    client = programs("docker", CLIENT)
    client.with_name("docker.fails").touch()
    result = CliRunner().invoke(docker, ["image"])
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert result.output.splitlines()[-1].endswith("ended with exit code 1")


@pytest.mark.parametrize("name", ["a b", "x; touch hacked", "$(touch hacked)"])
def test_dry_run_quotes_what_a_shell_would_read(programs, calls, name):
    programs("docker", CLIENT)
    result = CliRunner().invoke(docker, ["image", "--dry-run", "--name", name])
    assert result.exit_code == 0, result.output
    assert f"build --tag '{name}' " in result.output
    assert "DOCKER_BUILDKIT=1 " in result.output
    assert not [call for call in calls() if call.startswith("docker build ")]
