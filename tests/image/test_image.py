"""What the image is: its configuration, its contents, and how it is built."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests import engine, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker

CONTEXT = program.ROOT / "container"
MOST_ADDED_MB = 420
LABELS = {
    "com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true",
    "com.amazonaws.sagemaker.capabilities.multi-models": "true",
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.title": "byoc",
}
VARIABLES = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}
BUILD_TOOLS = ("gcc", "cc", "g++", "make", "ld", "git", "uv")
# What has no place in an image: repositories, caches, package lists, test suites, drivers that the host brings.
UNWANTED = """\
find / -xdev '(' -name .git -o -name .pip -o -path '*/.cache/*' -o -path '/root/.cache' -o -name 'libcuda.so*' \
    -o -name 'libnvidia-*' -o -path '/var/lib/apt/lists/*Packages*' -o -path '*/site-packages/*/tests' \
    -o -path '/tmp/*' -o -path '/opt/ml/*' ')' -print
"""


@cache
def inspect(name: str) -> dict[str, Any]:
    details: dict[str, Any] = json.loads(engine.docker("image", "inspect", name).stdout)[0]
    return details


def base_image() -> str:
    """Return the base that the Dockerfile names."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", (CONTEXT / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    return found[1]


def shell(image: str, script: str) -> str:
    result = engine.run(image, "-c", script, options=["--entrypoint", "/bin/bash"])
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_configuration(image: str) -> None:
    """Checks 2, 35, 99 and 102: no entry point, so the word is the command; without one it trains; the user is root."""
    config = inspect(image)["Config"]
    assert config["Entrypoint"] is None
    assert config["Cmd"] == ["train"]
    assert config["WorkingDir"] == "/opt/program"
    assert config.get("User", "") in ("", "0", "root")
    assert config["Labels"].items() >= LABELS.items()
    assert dict(entry.split("=", 1) for entry in config["Env"]).items() >= VARIABLES.items()
    assert inspect(image)["Architecture"] == "amd64"


def test_size(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The image adds little to its base."""
    base = inspect(base_image())
    layers = base["RootFS"]["Layers"]
    assert inspect(image)["RootFS"]["Layers"][: len(layers)] == layers
    added = (inspect(image)["Size"] - base["Size"]) / 1_000_000
    with capsys.disabled():
        sys.stdout.write(f"\nthe image adds {added:.0f} MB to {base_image()}, of {MOST_ADDED_MB} allowed\n")
    assert added <= MOST_ADDED_MB


def test_overridden_entry_point(image: str) -> None:
    """Check 26: what the SDK's ModelTrainer needs."""
    found = shell(image, "command -v python3 && command -v pip && bash --version && command -v train serve nginx")
    assert found.splitlines()[:2] == ["/opt/venv/bin/python3", "/opt/venv/bin/pip"]
    assert found.splitlines()[-3:] == ["/opt/program/train", "/opt/program/serve", "/usr/sbin/nginx"]


def test_a_person_can_look_around(image: str) -> None:
    """`docker run --rm -it --entrypoint /bin/bash IMAGE` gives a prompt in /opt/program."""
    name = engine.unique()
    ours, theirs = pty.openpty()
    command = [engine.client(), "run", "--rm", "-it", "--name", name, "--entrypoint", "/bin/bash", image]
    try:
        with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            os.write(ours, b'test -t 0 && echo "$(id -un) on a terminal in $PWD"; exit\n')
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert b"root on a terminal in /opt/program" in output
    finally:
        os.close(ours)
        os.close(theirs)
        engine.docker("rm", "-f", name, check=False)


@pytest.mark.parametrize("word", ["train", "serve"])
def test_commands_explain_themselves(image: str, word: str) -> None:
    """Check 35."""
    told = engine.run(image, word, "--help")
    assert told.returncode == 0
    assert told.stdout.startswith(f"usage: {word}")
    refused = engine.run(image, word, "--fast")
    assert refused.returncode == 2
    assert "unrecognized arguments: --fast" in refused.stderr
    assert refused.stdout == ""


def test_holds_nothing_unwanted(image: str) -> None:
    """Checks 102, 103 and 106."""
    assert shell(image, UNWANTED) == ""
    assert shell(image, f"command -v {' '.join(BUILD_TOOLS)} || true") == ""


def test_packages_are_those_of_the_lock(image: str) -> None:
    """Check 106: each by its version and its hashes, and no other."""
    entries = re.findall(r"^[\w.-]+==(?:.*\\\n)*.*", (CONTEXT / "requirements.txt").read_text(), re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "--require-hashes" in (CONTEXT / "Dockerfile").read_text()
    locked = {plain(entry.split()[0]) for entry in entries}
    listing = json.loads(shell(image, "pip list --format json --disable-pip-version-check"))
    installed = {plain(f"{package['name']}=={package['version']}") for package in listing if package["name"] != "pip"}
    assert installed <= locked
    assert {"flask", "gunicorn", "scikit-learn", "skops"} <= {package.partition("==")[0] for package in installed}


def test_lists_its_packages_for_scanners(image: str) -> None:
    """Check 106: Python's and Debian's, by the name and version that their package managers know."""
    bill = json.loads(shell(image, "cat /opt/sbom.cdx.json"))
    listed = {(kind, part["name"], part["version"]) for part in bill["components"] for kind in [part["purl"][4:7]]}
    python = json.loads(shell(image, "pip list --format json --disable-pip-version-check"))
    debian = shell(image, "dpkg-query -W -f '${Package} ${Version}\\n'").splitlines()
    expected = {("pyp", package["name"].lower(), package["version"]) for package in python}
    assert listed == expected | {("deb", *line.split()) for line in debian}


def plain(package: str) -> str:
    """Return NAME==VERSION with the name as indexes compare it."""
    name, _, version = package.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Give a copy of what the image is built from."""
    return shutil.copytree(CONTEXT, tmp_path / "container", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def name(image: str) -> Iterator[str]:
    """Give a name to build under; the build finds most of its layers made."""
    name = engine.unique()
    yield name
    engine.docker("image", "rm", "-f", name, check=False)


def test_lost_exec_bits_and_line_ends_do_no_harm(name: str, context: Path, ml: Path) -> None:
    """What Windows and zip files do to a checkout."""
    for file in ("train", "serve", "nginx.conf", "predictor.py", "wsgi.py", "gunicorn.conf.py"):
        path = context / "program" / file
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        path.chmod(0o644)
    build = engine.build(name, context)
    assert build.returncode == 0, build.stderr
    trained = engine.run(name, "train", options=["-v", f"{ml}:/opt/ml"])
    assert trained.returncode == 0, trained.stderr
    with engine.serving(name, ml / "model") as server:
        assert server.post("5.1,3.5,1.4,0.2").text == "setosa\n"


@pytest.mark.parametrize(
    ("file", "mistake", "told"),
    [
        ("predictor.py", "\nraise ValueError('weights are missing')\n", "ValueError: weights are missing"),
        ("predictor.py", "\nimport torchvision\n", "No module named 'torchvision'"),
        ("train", "\ndef fit(job:\n", "SyntaxError"),
        ("nginx.conf", "\nlisten_to everything;\n", "listen_to"),
    ],
    ids=["an error", "a missing package", "syntax", "nginx"],
)
def test_a_mistake_fails_the_build(name: str, context: Path, file: str, mistake: str, told: str) -> None:
    """It is told at once, by its own message, and not ten minutes later by SageMaker."""
    with (context / "program" / file).open("a") as opened:
        opened.write(mistake)
    build = engine.build(name, context)
    assert build.returncode != 0
    assert told in build.stderr


def test_stands_on_another_base(name: str, tmp_path: Path) -> None:
    """ARG BASE_IMAGE: a base of one's own, with more in it."""
    base = engine.unique()
    (tmp_path / "Dockerfile").write_text(f"FROM {base_image()}\nRUN echo mine >/mine\n")
    try:
        assert engine.build(base, tmp_path).returncode == 0
        build = engine.build(name, arguments={"BASE_IMAGE": base, "GIT_COMMIT": "0123abc"})
        assert build.returncode == 0, build.stderr
        assert shell(name, "cat /mine && serve --check") == "mine\n"
        assert inspect(name)["Config"]["Labels"]["org.opencontainers.image.revision"] == "0123abc"
    finally:
        engine.docker("image", "rm", "-f", base, check=False)
