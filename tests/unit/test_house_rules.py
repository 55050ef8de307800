"""The house rules of CONTRIBUTING.md and the floors of the house: who may import whom."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.program import PROGRAM, ROOT
from tests.readme import CONTRIBUTING

if TYPE_CHECKING:
    from pathlib import Path


def python_files(*folders: Path) -> list[Path]:
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Return the full names of the modules and names that a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level], f"relative import in {file}"
    named = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return plain | {f"{node.module}.{alias.name}" for node in named for alias in node.names}


BYOC = PROGRAM / "byoc"
FLOORS = {
    "training knows nothing of serving": ([BYOC / "training"], ("byoc.serving", "tabular")),
    "serving knows nothing of training": ([BYOC / "serving"], ("byoc.training", "tabular")),
    "flavors stand below both": ([BYOC / "flavors"], ("byoc.training", "byoc.serving", "tabular")),
    "the algorithm knows no server": ([PROGRAM / "tabular"], ("byoc.serving",)),
    "the command line is apart": ([ROOT / "byoc_cli"], ("byoc", "tabular", "predictor", "wsgi", "train", "serve")),
}


@pytest.mark.parametrize("rule", FLOORS)
def test_the_floors_hold(rule: str):
    folders, forbidden = FLOORS[rule]
    files = python_files(*folders)
    assert files
    found = {(file.name, name) for file in files for name in imports(file) if f"{name}.".startswith(dotted(forbidden))}
    assert not found, rule


def test_the_ground_floor_of_byoc_stands_alone():
    above = dotted(("byoc.training", "byoc.serving", "byoc.flavors", "tabular"))
    files = sorted(BYOC.glob("*.py"))
    assert not {(file.name, name) for file in files for name in imports(file) if f"{name}.".startswith(above)}


def dotted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}." for name in names)


def test_no_module_is_a_drawer_for_odds_and_ends():
    files = python_files(PROGRAM, ROOT / "byoc_cli", ROOT / "tests")
    names = {part for file in files for part in file.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"util", "utils", "helper", "helpers", "common"}


def test_what_sagemaker_sets_is_read_in_two_places():
    variable = re.compile(r"(SAGEMAKER|MODEL_SERVER)_[A-Z_]+|TRAINING_JOB_NAME|WEB_SERVER_WORKERS")
    readers = set()
    for file in python_files(PROGRAM):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        set_for_children = {id(key) for node in nodes if isinstance(node, ast.Dict) for key in node.keys}
        named = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in set_for_children]
        if any(isinstance(node.value, str) and variable.fullmatch(node.value) for node in named):
            readers.add(str(file.relative_to(PROGRAM)))
    assert readers == {"byoc/env.py", "byoc/serving/settings.py"}
    assert readers <= set(CONTRIBUTING.spans)
