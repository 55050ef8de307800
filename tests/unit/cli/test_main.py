"""The command's own answers, and where it finds the repository."""

import re
import shlex
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from byoc_cli import repository
from byoc_cli.docker import docker
from byoc_cli.main import main

ROOT = Path(__file__).resolve().parents[3]


def test_version():
    assert CliRunner().invoke(main, ["--version"]).output == f"byoc, version {version('byoc')}\n"


EXAMPLES = {
    "": "",
    "docker": "docker ",
    **{f"docker {name}": f"docker {name} " for name in ("build", "push", "run-local", "invoke-local")},
}


@pytest.mark.parametrize("words", EXAMPLES)
def test_help_has_examples(words):
    done = CliRunner().invoke(main, [*words.split(), "--help"])
    assert f"Examples:\n    byoc {EXAMPLES[words]}" in done.output


@pytest.mark.parametrize("words", EXAMPLES)
def test_the_options_of_the_examples_are_there(words):
    """Read as a shell would; every option that an example names is one of its command's."""
    text = CliRunner().invoke(main, [*words.split(), "--help"], terminal_width=200).output
    for line in re.findall(
        r"^ +(?:.*\| )?(byoc docker .*?)(?: {3,}.*)?$", text.partition("Examples:")[2], re.MULTILINE
    ):
        _, _, name, *arguments = shlex.split(line)
        options = {option for each in docker.commands[name].params for option in each.opts}
        assert {word for word in arguments if re.match(r"--?[a-z]", word)} <= options, line


def test_the_editable_install_wins_over_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert repository.repository_root() == ROOT


def test_without_it_the_current_folder_or_one_above(monkeypatch, tmp_path):
    monkeypatch.setattr(repository, "__file__", str(tmp_path / "site-packages" / "byoc_cli" / "repository.py"))
    monkeypatch.chdir(ROOT / "tests" / "unit")
    assert repository.repository_root() == ROOT
    monkeypatch.chdir(tmp_path)
    (tmp_path / "container").mkdir()
    (tmp_path / "container" / "Dockerfile").touch()  # a project of the user's own, of the same layout
    with pytest.raises(click.ClickException, match=f"{tmp_path} isn't in a clone of this repository"):
        repository.repository_root()


def test_outside_a_clone_what_the_package_brought(monkeypatch, tmp_path):
    package = tmp_path / "site-packages" / "byoc_cli"
    shipped = package / "shipped" / "container" / "Dockerfile"
    shipped.parent.mkdir(parents=True)
    shipped.touch()
    monkeypatch.setattr(repository, "__file__", str(package / "repository.py"))
    monkeypatch.chdir(tmp_path)
    assert repository.repository_root() == package / "shipped"
    with pytest.raises(click.ClickException, match=r"there is no local_test/train_local\.sh"):
        repository.repository_root("local_test/train_local.sh")
    monkeypatch.chdir(ROOT)
    assert repository.repository_root() == ROOT
