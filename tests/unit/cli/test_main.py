"""The command's own answers, and where it finds the repository."""

from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from byoc_cli import repository
from byoc_cli.main import main

ROOT = Path(__file__).resolve().parents[3]


def test_version():
    assert CliRunner().invoke(main, ["--version"]).output == f"byoc, version {version('byoc')}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["docker", "--help"]])
def test_help_has_examples(arguments):
    assert "Examples:\n    byoc " in CliRunner().invoke(main, arguments).output


def test_the_editable_install_wins_over_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert repository.repository_root() == ROOT


def test_without_it_the_current_folder_or_one_above(monkeypatch, tmp_path):
    monkeypatch.setattr(repository, "__file__", str(tmp_path / "site-packages" / "byoc_cli" / "repository.py"))
    monkeypatch.chdir(ROOT / "tests" / "unit")
    assert repository.repository_root() == ROOT
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.ClickException, match=f"{tmp_path} isn't in a clone of this repository"):
        repository.repository_root()
