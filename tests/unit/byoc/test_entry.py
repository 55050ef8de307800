"""The user's file: where it is, how it is imported, and what is told when it cannot be."""

import sys
from pathlib import Path

import pytest

from byoc.entry import CODE, OWN, EntryPoint
from byoc.errors import UserError


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Importing an entry point changes the process it happens in."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    monkeypatch.chdir(str(Path.cwd()))


PLACES = {
    "": OWN,
    "handler.py": CODE / "handler.py",
    "/somewhere/else.py": "/somewhere/else.py",
}


@pytest.mark.parametrize(("given", "file"), PLACES.items())
def test_where_it_is(given, file):
    entry = EntryPoint.from_environ({"BYOC_ENTRY_POINT": given, "BYOC_ENTRY_POINT_METHOD": " M.handle "})
    assert str(entry.file) == str(file)
    assert entry.method == "M.handle"
    assert entry.is_own is (given == "")


def entry(folder, source, name="handler.py"):
    (folder / name).write_text(source)
    return EntryPoint(folder / name)


def test_it_runs_in_its_own_folder_with_its_neighbours(tmp_path):
    (tmp_path / "neighbour.py").write_text("value = 1")
    (tmp_path / "labels.txt").write_text("a")
    module = entry(
        tmp_path, "import neighbour, os\nthere = os.path.exists('labels.txt')\nvalue = neighbour.value"
    ).load()
    assert (module.value, module.there, module.__name__) == (1, True, "handler")
    assert sys.modules["handler"] is module


def test_it_is_imported_once(tmp_path):
    made = entry(tmp_path, "import itertools\ncounter = object()")
    assert made.load() is made.load()


@pytest.mark.parametrize("name", ["json.py", "my-handler.py", "byoc.py"])
def test_its_name_takes_nothing_from_others(tmp_path, name):
    before = sys.modules.get(name.removesuffix(".py"))
    assert entry(tmp_path, "value = 2", name).load().value == 2
    assert before is None or sys.modules[name.removesuffix(".py")] is before


@pytest.mark.parametrize(
    ("source", "shared"), [("FORK_SAFE = True", True), ("FORK_SAFE: bool = False", True), ("x = 1", False)]
)
def test_a_module_that_says_whether_its_model_may_be_shared_is_imported_once(tmp_path, source, shared):
    assert entry(tmp_path, f"import os\n{source}").is_shared is shared


DISTRIBUTIONS = {
    'DISTRIBUTION = "torchrun"': "torchrun",
    "DISTRIBUTION: str = 'torchrun'  # on all GPUs": "torchrun",
    "DISTRIBUTION = OTHER": "OTHER",
    'DISTRIBUTION = ""': "",
    'OTHER_DISTRIBUTION = "a"': "",
    'if True:\n    DISTRIBUTION = "a"': "",
    "x = 1": "",
}


@pytest.mark.parametrize(("source", "name"), DISTRIBUTIONS.items())
def test_how_a_fit_is_to_be_spread_is_known_without_importing_it(tmp_path, source, name):
    assert entry(tmp_path, f"import no_such_package\n{source}").distribution == name


FAULTS = {
    "a missing package": (
        "\n\nimport no_such_package.part",
        r"ModuleNotFoundError: No module named 'no_such_package' \(line 3\); add what brings no_such_package to the req",
    ),
    "an error": ("\n1 / 0", r"handler.py cannot be imported: ZeroDivisionError: division by zero \(line 2\)$"),
    "no Python": ("def :", "handler.py cannot be imported: SyntaxError: "),
    "an exit": ("import sys; sys.exit('no licence')", "handler.py cannot be imported: SystemExit: no licence"),
}


@pytest.mark.parametrize(("source", "told"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_with_it_is_told_with_its_line(tmp_path, source, told):
    with pytest.raises(UserError, match=told):
        entry(tmp_path, source).load()
    assert "handler" not in sys.modules


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=f"handler.py cannot be imported: .*there is no such file in {tmp_path}"):
        EntryPoint(tmp_path / "handler.py").load()


BASE_MODEL_IMPORTS = [
    "from superai.meta_ai.base.base_ai import BaseModel",
    "from superai.meta_ai.base import BaseModel",
    "from superai.meta_ai import BaseModel",
    "from superai.meta_ai import BaseAI as BaseModel",
]


@pytest.mark.parametrize("line", BASE_MODEL_IMPORTS)
def test_superais_base_class_is_stood_in_for(tmp_path, line):
    module = entry(tmp_path, line).load()
    assert module.BaseModel.handle


def test_the_real_superai_comes_first(tmp_path):
    installed = tmp_path / "site-packages"
    (installed / "superai" / "meta_ai" / "base").mkdir(parents=True)
    for folder in ("", "meta_ai", "meta_ai/base"):
        (installed / "superai" / folder / "__init__.py").touch()
    (installed / "superai" / "meta_ai" / "base" / "base_ai.py").write_text("class BaseModel: real = True")
    sys.path.append(str(installed))
    assert entry(tmp_path, BASE_MODEL_IMPORTS[0]).load().BaseModel.real
