"""What README.md says of the image."""

from __future__ import annotations

import re

import pytest

from tests import engine
from tests.program import ROOT
from tests.readme import README

pytestmark = pytest.mark.docker
COMMANDS = [span for span in README.spans if span.startswith(("docker run ", "python3 "))]


def size(image: str) -> int:
    return int(engine.docker("image", "inspect", "-f", "{{.Size}}", image).stdout)


def test_it_adds_about_as_much_as_the_readme_says(image):
    base = re.search(r"^ARG BASE_IMAGE=(\S+)", (ROOT / "container/Dockerfile").read_text(), re.MULTILINE)[1]
    (megabytes,) = re.findall(r"It adds about (\d+) MB", README.text)
    assert (size(image) - size(base)) / 1e6 == pytest.approx(int(megabytes), rel=0.1)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_all_the_same_to_it(image, command):
    words = command.removeprefix("docker run NAME ").split()
    done = engine.run(image, *words, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {words[-1]}")
