"""Which Docker client is chosen, and what is said where none will do."""

import click
import pytest

from byoc_cli.docker.client import Client, find_builder, find_client

SERVER_ANSWERS = '[ "$1" = version ] && echo 20.10 && exit 0'


def docker(version: str, *, buildx: bool = False) -> str:
    return f"""
{SERVER_ANSWERS}
[ "$1" = --version ] && echo "Docker version {version}, build abc" && exit 0
[ "$1" = buildx ] && exit {0 if buildx else 1}
exit 1"""


@pytest.mark.parametrize(
    ("first", "second", "chosen", "env"),
    [
        (docker("28.2.2"), docker("20.10.24+dfsg1"), "second", {"DOCKER_BUILDKIT": "1"}),
        (docker("28.2.2", buildx=True), docker("20.10.24"), "first", {}),
        (docker("22.0.1"), docker("28.2.2", buildx=True), "first", {"DOCKER_BUILDKIT": "1"}),
        (docker("17.12.0"), docker("23.0.0", buildx=True), "second", {}),
        (docker("podman"), docker("23.0.0", buildx=True), "second", {}),
    ],
)
def test_the_first_client_with_buildkit_builds(programs, first, second, chosen, env):
    paths = {"second": programs("docker", second, "two"), "first": programs("docker", first, "one")}
    assert find_builder() == Client(str(paths[chosen]), env)


def test_without_buildkit_every_client_looked_at_is_named(programs, monkeypatch):
    first, second = programs("docker", docker("28.2.2"), "one"), programs("docker", docker("23.0.0"), "two")
    monkeypatch.setenv("PATH", f"{first.parent}:{second.parent}:{first.parent}:/usr/bin/that/is/not")
    with pytest.raises(click.ClickException, match="no Docker client here builds with BuildKit") as caught:
        find_builder()
    assert f"(looked at {first}, {second})" in caught.value.message


def test_docker_of_the_environment_overrides_path(programs, monkeypatch):
    programs("docker", docker("20.10.24"))
    named = programs("other", docker("20.10.1"), "elsewhere")
    monkeypatch.setenv("DOCKER", str(named))
    assert find_client() == Client(str(named))
    assert find_builder().path == str(named)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo Cannot connect >&2; echo more >&2; exit 1", "no Docker daemon answers (Cannot connect); start Docker"),
        ("exit 1", "no Docker daemon answers (it said nothing); start Docker"),
    ],
)
def test_a_silent_daemon_is_one_line(programs, body, message):
    programs("docker", body)
    with pytest.raises(click.ClickException) as caught:
        find_client()
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


def test_no_client_at_all(monkeypatch, tmp_path):
    monkeypatch.delenv("DOCKER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(click.ClickException, match="there is no Docker client on PATH; install Docker"):
        find_client()
    monkeypatch.setenv("DOCKER", str(tmp_path / "docker"))
    with pytest.raises(click.ClickException, match=r"docker cannot be run \(No such file"):
        find_client()
