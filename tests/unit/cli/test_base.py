"""The base image: found, pulled, or made; and where its packages come from."""

import tarfile

import click
import pytest
from click.testing import CliRunner

from byoc_cli.docker import base as module
from byoc_cli.docker import docker
from byoc_cli.docker.base import debian_mirror, debian_suite

BOOKWORM = """\
Types: deb
# a comment
URIs: {uri}
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
"""
SECURITY_FIRST = "deb http://mirror.test/security bookworm-security main\n"


@pytest.mark.parametrize(
    ("files", "system", "mirror"),
    [
        (
            {"sources.list.d/debian.sources": BOOKWORM.format(uri="http://mirror.test/deb")},
            "debian",
            "http://mirror.test/deb",
        ),
        (
            {"sources.list": SECURITY_FIRST + "deb http://one.test/debian bookworm main\n"},
            "debian",
            "http://one.test/debian",
        ),
        ({"sources.list": "deb [arch=amd64 signed-by=/k] https://o.test/d/ sid main\n"}, "debian", "https://o.test/d/"),
        ({"sources.list": "# deb http://off.test/d sid main\ndeb-src http://src.test/d sid main\n"}, "debian", None),
        (
            {"sources.list.d/x.list": "deb cdrom:[Debian]/ sid main\ndeb http://x.test/d sid main\n"},
            "debian",
            "http://x.test/d",
        ),
        ({"sources.list.d/x.sources": "Enabled: no\n" + BOOKWORM.format(uri="http://off.test/d")}, "debian", None),
        ({"sources.list.d/x.sources": BOOKWORM.format(uri="mirror+file:/etc/m.list")}, "debian", None),
        ({"sources.list.d/x.sources": BOOKWORM.format(uri="http://archive.test/ubuntu")}, "ubuntu", None),
        ({}, "debian", None),
        ({}, None, None),
    ],
)
def test_the_mirror_is_the_one_of_this_machine(tmp_path, files, system, mirror):
    for name, text in files.items():
        path = tmp_path / "apt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    os_release = tmp_path / "os-release"
    if system:
        os_release.write_text(f'NAME="It"\nID={system}\nID_LIKE=debian\n')
    assert debian_mirror(tmp_path / "apt", os_release) == mirror


@pytest.mark.parametrize("name", ["debian:trixie-slim", "debian:trixie", "docker.io/library/debian:trixie-slim"])
def test_debian_images_can_be_made(name):
    assert debian_suite(name) == "trixie"


@pytest.mark.parametrize("name", ["python:3.13", "debian", "debian:12.5", "me/debian:trixie", "debian:x;reboot"])
def test_other_images_cannot(name):
    with pytest.raises(click.ClickException, match=f"base image {name} cannot be pulled"):
        debian_suite(name)


def test_a_base_that_is_there_is_left_alone(programs, calls):
    programs("docker", "echo 123")
    result = CliRunner().invoke(docker, ["base"])
    assert (result.exit_code, result.output) == (0, "Base image debian:trixie-slim is there.\n")
    assert [call.split()[1] for call in calls()] == ["version", "image"]


def test_a_base_that_can_be_pulled_is_not_made(programs, calls):
    programs("docker", '[ "$1" != image ]')
    programs("debootstrap", "exit 1")
    result = CliRunner().invoke(docker, ["base", "--base-image", "debian:sid"])
    assert result.exit_code == 0, result.output
    assert calls()[-1] == "docker pull debian:sid"


MAKES_A_SYSTEM = (
    'mkdir -p "$3/etc" "$3/var/cache/apt" && touch "$3/etc/hostname" "$3/var/cache/apt/big" && chmod 700 "$3"'
)


@pytest.fixture
def without_registry(programs, tmp_path, monkeypatch):
    """An engine that pulls nothing and imports into a file, a debootstrap that is quick, and one certificate."""
    programs("docker", f'[ "$1" = import ] && cat >"{tmp_path}/image.tar"; [ "$1" != image ] && [ "$1" != pull ]')
    programs("debootstrap", MAKES_A_SYSTEM)
    scratch, certificates = tmp_path / "scratch", tmp_path / "certificates"
    scratch.mkdir()
    certificates.mkdir()
    (certificates / "ours.crt").write_text("PEM")
    monkeypatch.setattr(module, "CERTIFICATES", certificates)
    monkeypatch.setattr(module, "root_prefix", list)
    monkeypatch.setattr(module, "SCRATCH", str(scratch))
    return scratch


def test_a_base_that_cannot_be_pulled_is_made(without_registry, tmp_path, calls):
    result = CliRunner().invoke(docker, ["base"])
    assert result.exit_code == 0, result.output
    assert "debian:trixie-slim cannot be pulled: making it with debootstrap" in result.output
    assert calls()[-2].startswith("debootstrap --variant=minbase trixie ")
    assert calls()[-1] == 'docker import --change CMD ["bash"] - debian:trixie-slim'
    with tarfile.open(tmp_path / "image.tar") as image:
        assert image.getmember(".").mode == 0o755
        names = set(image.getnames())
    assert f".{tmp_path}/certificates/ours.crt" in names
    assert names.isdisjoint({"./etc/hostname", "./var/cache/apt/big"})
    assert list(without_registry.iterdir()) == []


def test_a_failure_leaves_nothing_and_says_the_last_lines(without_registry, programs, calls):
    programs("debootstrap", MAKES_A_SYSTEM + '; echo "E: no such mirror"; exit 1')
    result = CliRunner().invoke(docker, ["base"])
    assert result.exit_code == 1
    assert "E: no such mirror" in result.output
    assert not [call for call in calls() if "import" in call]
    assert list(without_registry.iterdir()) == []


def test_a_broken_archive_is_not_taken_for_an_image(without_registry, programs):
    programs("tar", "exit 2")
    result = CliRunner().invoke(docker, ["base"])
    assert result.exit_code == 1
    assert "ended with exit code 2" in result.output


def test_dry_run_prints_and_does_nothing(without_registry, calls):
    result = CliRunner().invoke(docker, ["base", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "pull debian:trixie-slim\n" in result.output
    assert "debootstrap --variant=minbase trixie" in result.output
    assert [call.split()[1] for call in calls()] == ["version", "image"]
    assert list(without_registry.iterdir()) == []
