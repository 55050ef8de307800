"""README.md and CONTRIBUTING.md against the code: what has to be compared, not run; tests/process has the rest."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import gunicorn.arbiter
import pytest
from werkzeug.exceptions import default_exceptions

from benchmarks.wide import projection
from benchmarks.wide.simulation import Costs
from byoc import logs
from byoc.entry import DISTRIBUTION
from byoc.flavors import FLAVORS
from byoc.serving import app, nginx
from byoc.serving.conventions import functions
from byoc.serving.errors import RequestError
from byoc.serving.formats import ANSWERS, REQUESTS
from byoc.serving.handler import Handler
from byoc.serving.settings import OUTPUTS, Settings
from byoc.training import torchrun
from byoc_cli.emulator.emulator import Emulator
from byoc_cli.emulator.hosting import Hosting
from byoc_cli.emulator.native_engine import NativeEngine
from byoc_cli.emulator.training import TrainingJobs
from byoc_cli.emulator.transform import TransformJobs
from byoc_cli.sagemaker import sagemaker
from tabular.options import DEFAULTS, PROBLEM_TYPES, Options
from tests.image.test_examples import CONVENTIONS
from tests.program import PROGRAM, ROOT
from tests.readme import BENCHMARKS, CONTRIBUTING, LINK, README, codes, expanded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.readme import Document

DOCUMENTS = [pytest.param(README, id="README"), pytest.param(CONTRIBUTING, id="CONTRIBUTING")]
SETTINGS = README.table("variable")
HYPERPARAMETERS = README.table("hyperparameter")
# What a variable may hold that is neither its default nor a number.
SAMPLES = {
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/json",
    "SAGEMAKER_INFERENCE_OUTPUT": "probability",
    "SAGEMAKER_USE_NGINX": "false",
    "SAGEMAKER_MULTI_MODEL": "true",
    "SERVE_ENGINE": "onnx",
    "SERVE_ALLOW_PICKLE": "true",
    "SAGEMAKER_BATCH": "true",
    "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
    "SAGEMAKER_BASE_DIR": "/elsewhere",
    "SAGEMAKER_ENABLE_STATEFUL_SESSIONS": "true",
}
# Where a name that one of the two documents gives may be; the last two are for CONTRIBUTING's ways of a request and a job.
FOLDERS = [ROOT, PROGRAM, ROOT / "local_test/test_dir", PROGRAM / "byoc/serving", PROGRAM / "tabular"]
# The same names, left by a training job; tests/process/test_readme.py looks for them there.
LEFT_BY_TRAINING = {"model.skops", "model.onnx", "schema.json", "metrics.json", "report.html"}


def settings(**environ: str) -> Settings:
    return Settings.from_environ(environ, cpus=4, memory=1 << 40)


def python_files(*folders: Path) -> list[Path]:
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


# --- every piece is known to a test


def asked_for(kind: str) -> list[str]:
    """Return what the tests of the documents ask a document's ``block`` or ``table`` for."""
    names = (
        "unit/test_docs.py",
        "process/test_readme.py",
        "process/test_stream.py",
        "process/test_models.py",
        "image/test_readme.py",
        "image/test_aws_cli.py",
        "doctor/test_doctor.py",
    )
    files = [ROOT / "tests" / name for name in names]
    calls = [node for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    wanted = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == kind]
    return [call.args[0].value for call in wanted if isinstance(call.args[0], ast.Constant)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_asked_for_by_a_test(document: Document):
    known = tuple(asked_for("block"))
    assert [block for block in document.blocks if not block.startswith(known)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_table_is_asked_for_by_a_test(document: Document):
    assert {table[0][0] for table in document.tables} <= set(asked_for("table"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_fences_and_tables_are_all_read(document: Document):
    assert document.text.count("```") == 2 * len(document.blocks)
    assert document.text.count("`") % 2 == 0
    assert document.text.count("| --- |\n") == len(document.tables)


# --- settings


def test_the_settings_are_those_that_are_read():
    asked = set()

    class Recording(dict[str, str]):
        def get(self, name, default=None):
            asked.add(name)
            return default

    Settings.from_environ(Recording())
    documented = [name for row in SETTINGS for cell in (row[0], row[3]) for name in codes(cell)]
    assert sorted(documented) == sorted(asked)


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row[0])
def test_a_setting_and_its_aliases_set_the_same(row: list[str]):
    (name,) = codes(row[0])
    sample = SAMPLES.get(name, "30")
    changed = settings(**{name: sample})
    assert changed != settings()
    for alias in codes(row[3]):
        assert settings(**{alias: sample}) == changed


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row[0])
def test_a_settings_default(row: list[str]):
    (name,) = codes(row[0])
    match row[1]:
        case "one a CPU, as far as memory goes":
            assert [Settings.from_environ({}, cpus, 1 << 40).workers for cpus in (1, 4)] == [1, 4]
            assert Settings.from_environ({}, 64, 2 << 30).workers == 2
        case "CPUs / workers":
            assert Settings.from_environ({"MODEL_SERVER_WORKERS": "3"}, 12, 1 << 40).threads == 4
        case "the workers, as far as 100 MB go":
            assert [settings(MODEL_SERVER_WORKERS=str(count)).batch.concurrent for count in (3, 500)] == [3, 100]
            assert settings(SAGEMAKER_MAX_PAYLOAD_IN_MB="30").batch.concurrent == 3
        case "the request's own type":
            assert settings().default_accept == ""
        case "label; in JSON label and score":
            assert settings().outputs == ()
            assert ANSWERS["text/csv"].encode(["setosa"], ()) == b"setosa\n"
        case "the server's own folder":
            assert settings().session_folder == ""
        case "no metrics":
            assert settings().metrics_namespace == ""
        case written:
            (default,) = codes(written)
            assert settings(**{name: default}) == settings()


def test_the_values_that_settings_may_have():
    meanings = {codes(row[0])[0]: row[2] for row in SETTINGS}
    assert codes(meanings["SAGEMAKER_INFERENCE_OUTPUT"])[0].split(",") == list(OUTPUTS)
    low, high, *names = re.findall(r"\d+|[A-Z]{2,}", meanings["SAGEMAKER_CONTAINER_LOG_LEVEL"])
    assert [logs.level(low), logs.level(high)] == [logs.level(name) for name in names]


def test_the_hyperparameters_are_the_options():
    fields = Options.__dataclass_fields__.keys() - {"parameters"}
    assert {codes(row[0])[0] for row in HYPERPARAMETERS} == fields


@pytest.mark.parametrize("row", HYPERPARAMETERS, ids=lambda row: row[0])
def test_a_hyperparameters_default(row: list[str]):
    default = getattr(Options(), codes(row[0])[0])
    match row[1]:
        case "from the label":
            assert default == ""
            assert tuple(codes(row[2])) == PROBLEM_TYPES
        case "`HistGradientBoosting…`":
            assert default == ""
            assert all(name.startswith("HistGradientBoosting") for name in DEFAULTS.values())
        case written:
            assert (type(default), default) == (type(json.loads(codes(written)[0])), json.loads(codes(written)[0]))


def test_the_module_settings_are_those_that_the_handler_reads():
    asked = set()

    class Recording(ModuleType):
        def __getattr__(self, name: str) -> None:
            asked.add(name)
            raise AttributeError(name)

    module = Recording("predictor")
    module.model_fn, module.predict_fn = lambda model_dir: None, lambda data, model: data
    handler = functions.find(module)
    table = {codes(name)[0]: default for name, default, _ in README.table("name")}
    assert {name.partition("(")[0] for name in table} == asked
    for name, default in table.items():
        attribute = name.partition("(")[0].lower()
        if "(" in name:
            assert f"``{name}``" in inspect.getdoc(Handler)
            assert getattr(handler, attribute) is None
        else:
            assert repr(getattr(handler, attribute)) == codes(default)[0]


def test_every_convention_has_the_example_that_is_named():
    told = {LINK.findall(example)[0].split("/")[1]: name for name, _, example in README.table("convention")}
    assert told.items() <= CONVENTIONS.items()
    assert set(told.values()) == set(CONVENTIONS.values())


def test_the_commands_of_byoc_sagemaker_are_all_told():
    assert {codes(name)[0] for name, _ in README.table("command")} == set(sagemaker.commands)


def test_what_the_emulator_can_do_is_what_its_rooms_do(tmp_path):
    rooms = {"training jobs": TrainingJobs, "endpoints": Hosting, "batch transform": TransformJobs}
    told = [name for name, _ in README.table("of SageMaker")]
    assert told == [*rooms, "S3, STS, ECR, IAM, logs"]
    made = Emulator(tmp_path, "http://127.0.0.1:1", "", "eu-west-1", NativeEngine("x"), list(rooms.values()))
    creates = ("CreateTrainingJob", "CreateEndpoint", "CreateTransformJob")
    assert all(operation in room.operations for operation, room in zip(creates, made.rooms, strict=True))
    made.close()


# --- what is answered


def test_the_media_types_are_the_formats():
    assert [codes(row[0])[0] for row in README.table("media type")] == [*REQUESTS, *(ANSWERS.keys() - REQUESTS.keys())]


def test_what_spreads_work_is_there_by_the_name_that_is_told():
    told = [code for row in README.table("work") for code in codes(row[1])]
    assert all(
        (PROGRAM.parent / "extras" / f"{code.partition('EXTRAS=')[2]}.in").is_file()
        for code in told
        if "EXTRAS=" in code
    )
    (line,) = [code for code in told if code.startswith("DISTRIBUTION")]
    assert DISTRIBUTION.match(line)[1] == f'"{torchrun.NAME}"'


def test_what_going_wide_gains_is_what_the_simulation_says():
    """The README's figures follow from the five costs that benchmarks/README.md tells."""
    told = {codes(name)[0]: float(value.split()[0]) for name, value in BENCHMARKS.table("cost")}
    projected = {each.job.name: each for each in projection.all_jobs([], Costs(**told))}
    rows = README.table("job")
    assert [name for name, *_ in rows] == [job.name for job in projection.TYPICAL]
    for name, hosts, gain in rows:
        found = projected[name]
        assert int(hosts) == found.fair
        at = 2 if found.fair == 1 else found.fair
        faster, cost = map(float, re.findall(r"[\d.]+(?= \u00d7)", gain))
        assert faster == pytest.approx(found.seconds[1] / found.seconds[at], rel=0.02), name
        assert cost == pytest.approx(found.cost[at], rel=0.02), name


def test_the_model_files_are_those_that_are_known():
    written = [(tuple(codes(row[0])), codes(row[2])) for row in README.table("model file")]
    known = [(each.files, [f"EXTRAS={each.extra}"] if each.extra else []) for each in FLAVORS[1:]]
    assert written == known


def errors_of_the_code() -> Iterator[tuple[int, str]]:
    """Every status and code that an answer can have: of nginx, of RequestErrors, of /ping, of paths and methods."""
    yield from [
        (int(status), code)
        for status, code in re.findall(r'return (\d+) \'\{"error": \{"code": "(\w+)"', nginx.TEMPLATE.read_text())
    ]
    for file in python_files(PROGRAM / "byoc/serving"):
        for node in ast.walk(ast.parse(file.read_text())):
            values = [arg.value for arg in node.args if isinstance(arg, ast.Constant)] if _raises(node) else []
            if len(values) > 1:
                yield values[0], values[1]
    yield 503, "not_ready"
    with app.Flask("byoc").test_request_context():
        for status in (404, 405):
            yield status, app._translated(default_exceptions[status]()).code


def _raises(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == RequestError.__name__


def test_the_errors_are_those_that_the_code_tells():
    rows = [(row[0].split(", "), codes(row[1])) for row in README.table("status")]
    documented = {
        (int(status), code)
        for statuses, names in rows
        for status, code in zip(statuses * len(names), names, strict=False)
    }
    assert sorted(documented) == sorted(set(errors_of_the_code()))


@pytest.mark.parametrize("row", README.table("what you see"), ids=lambda row: row[0])
def test_what_the_troubleshooting_quotes_is_said_by_the_code(row: list[str]):
    sources = [PROGRAM, ROOT / "byoc_cli", ROOT / "local_test"]
    files = [file for folder in sources for file in folder.rglob("*") if file.suffix in (".py", ".sh")]
    # What becomes of a worker is told by gunicorn.
    said = "\n".join(file.read_text() for file in [*files, Path(gunicorn.arbiter.__file__)])
    (quoted,) = codes(row[0])
    literal = re.escape(quoted).replace("…", ".+")
    for value in ("8080", "byoc", "training"):
        literal = literal.replace(value, rf"(?:{value}|\$\w+|\{{[^}}]+\}})")
    assert re.search(literal, said), quoted


def test_the_modes_name_checks_of_the_doctor_and_tests():
    for mode, _works, numbers, tests in README.table("mode"):
        assert set(expanded(numbers)) <= set(range(1, 109)), mode
        assert codes(tests), mode


# --- paths and links


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_is_there(document: Document):
    names = [word for span in document.spans for word in span.split() if is_path(word)]
    assert len(names) >= 10
    missing = [name for name in names if not any(any(folder.glob(name.removeprefix("./"))) for folder in FOLDERS)]
    assert missing == []


def is_path(word: str) -> bool:
    """Tell a path of the repository from other code: media types, paths of a container, calls."""
    if (
        not re.fullmatch(r"[\w.][\w.*-]*(/[\w.*-]+)*/?", word)
        or word in LEFT_BY_TRAINING
        or any(word in flavor.files for flavor in FLAVORS)
        or word in {*REQUESTS, *ANSWERS}
    ):
        return False
    return "/" in word or bool(re.search(r"[\w*]\.(py|sh|md|conf|toml|in|txt|csv|json|jsonl)$", word))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_leads_somewhere(document: Document):
    local = [link for link in document.links if "://" not in link]
    assert [link for link in local if not (ROOT / link).is_file()] == []


def test_the_tree_is_the_repositorys():
    parents: list[str] = []
    for line in README.block("container/").splitlines():
        indent, name, what = re.fullmatch(r"( *)(\S+) +(.*)", line).groups()
        parents[len(indent) // 2 :] = [name]
        path = ROOT.joinpath(*parents)
        assert path.exists(), path
        # Several things with commas, dots or arrows between are names of what is inside.
        inside = re.split(r"\s*[,·→]\s*", re.sub(r" \(.*?\)", "", what).rpartition(": ")[2])
        for entry in inside if len(inside) > 1 else ():
            assert (path / entry).exists() or (path / f"{entry}.py").exists(), f"{entry} in {path}"


def test_the_commands_for_docker_fit_the_dockerfile():
    (context,) = re.findall(r"docker build -t NAME (\S+)", README.code)
    dockerfile = (ROOT / context / "Dockerfile").read_text()
    for name in re.findall(r"--build-arg (\w+)=", README.code):
        assert f"ARG {name}=" in dockerfile
    assert "ARG BASE_IMAGE=debian:trixie-slim\n" in dockerfile
    assert "debian:trixie-slim" in README.spans


def test_the_tests_have_the_rooms_that_contributing_names():
    commands = {codes(row[1])[0] for row in CONTRIBUTING.table("you want to") if codes(row[1])}
    assert {"make lint", "make image", ".venv/bin/pytest tests/unit"} <= commands
