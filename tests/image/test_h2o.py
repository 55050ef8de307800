"""H2O-3 models: MOJOs that h2o has just trained on real data are answered as h2o itself answers, to 1e-9."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests import engine
from tests.image.test_examples import Reader, follow
from tests.program import ROOT
from tests.readme import Document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

HERE = ROOT / "tests/image/h2o"
EXAMPLE = ROOT / "examples/h2o_mojo"
LABELS = (
    "gbm_binomial",
    "gbm_multinomial",
    "glm_binomial",
    "glm_multinomial",
    "glm_ordinal",
    "drf_multinomial",
    "xgboost_binomial",
    "deeplearning",
    "stackedensemble",
)
NUMBERS = (
    "gbm_regression",
    "gbm_offset",
    "gbm_one_hot_explicit",
    "gbm_label_encoder",
    "gbm_binary",
    "gbm_enum_limited",
    "glm_gaussian",
    "glm_offset",
    "xgboost_regression",
    "rulefit",
    "coxph",
    "kmeans",
    "isolationforest",
    "extendedisolationforest",
)
MATRICES = ("pca", "autoencoder")
REFUSED = {
    "gam": "models of gam (Regression) do not predict from the rows of a table alone",
    "gbm_eigen": "with categorical_encoding=eigen h2o-genmodel predicts other than h2o; train with another",
    "glm_skip": "row 2: is none that the model predicts: h2o says IllegalArgumentException: categorical value out of range",
}
JSON = "application/json"
OUTPUTS = "SAGEMAKER_INFERENCE_OUTPUT=predicted_label,probabilities"
# Those for which the example prints h2o's predictions, in its order of columns.
FOUR = [
    {"features": ["Torgersen", 39.1, 18.7, 181, 3750, "male"]},
    {"features": ["Biscoe", 35, 17.9, 192, 3725, "female"]},
    {"features": ["Biscoe", 44.9, 13.3, 213, 5100, "female"]},
    {"features": ["Dream", 46.7, 17.9, 195, 3300, "female"]},
]


@pytest.fixture(scope="module")
def h2o_image() -> Iterator[str]:
    """The image with the extra h2o."""
    with engine.built_with("h2o") as name:
        yield name


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what models.py leaves, which h2o has trained in an environment of its own."""
    environment, folder = tmp_path_factory.mktemp("h2o"), tmp_path_factory.mktemp("mojos")
    python = str(environment / "bin" / "python")
    finish(sys.executable, "-m", "venv", str(environment))
    finish(python, "-m", "pip", "install", "--quiet", "-r", str(EXAMPLE / "requirements.txt"))
    finish(python, str(HERE / "models.py"), str(folder))
    shutil.rmtree(environment)
    return folder


def finish(*command: str) -> None:
    """Run a program to its end, which must be a good one."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def answers(h2o_image: str, models: Path) -> dict[str, Any]:
    """What the program says to every model's rows."""
    options = ("-v", f"{HERE / 'answers.py'}:/answers.py:ro", "-v", f"{models}:/models:ro", "--network", "none")
    result = engine.run(h2o_image, "python3", "/answers.py", "/models", options=options)
    assert result.returncode == 0, result.stdout + result.stderr
    answers: dict[str, Any] = json.loads(result.stdout)
    return answers


def by_h2o(models: Path, kind: str) -> tuple[list[str], list[list[str]]]:
    """Return the names and the rows of h2o's own predictions."""
    names, *rows = json.loads((models / f"{kind}.json").read_text())
    return names, rows


def numbers(rows: list[list[str]]) -> np.ndarray:
    """Return cells as numbers, NaN where h2o gave none."""
    return np.array([[float(cell or "nan") for cell in row or [""]] for row in rows])


def same(found: Any, wanted: np.ndarray) -> None:
    """Compare, NaN with NaN too."""
    np.testing.assert_allclose(np.array(found, float), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", LABELS)
def test_labels_and_probabilities_are_h2os_own(models: Path, answers: dict[str, Any], kind: str) -> None:
    """With text that training never saw, and with missing values, down to rows that have nothing."""
    names, rows = by_h2o(models, kind)
    answer = answers[kind]
    assert answer["classes"] == names[1:]
    assert answer["labels"] == [row[0] for row in rows]
    same(answer["probabilities"], numbers([row[1:] for row in rows]))
    assert len({*answer["labels"]}) > 1


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_are_h2os_own(models: Path, answers: dict[str, Any], kind: str) -> None:
    """The first of h2o's columns: the number, the cluster, or how much of an anomaly it is."""
    _, rows = by_h2o(models, kind)
    same(answers[kind]["labels"], numbers(rows)[:, 0])
    assert answers[kind]["probabilities"] is None


@pytest.mark.parametrize("kind", MATRICES)
def test_several_numbers_a_row_are_h2os_own(models: Path, answers: dict[str, Any], kind: str) -> None:
    _, rows = by_h2o(models, kind)
    same(answers[kind]["labels"], numbers(rows))


@pytest.mark.parametrize("kind", REFUSED)
def test_what_h2o_genmodel_cannot_do_is_refused(answers: dict[str, Any], kind: str) -> None:
    assert answers[kind]["error"].endswith(REFUSED[kind])


def test_every_kind_is_tested(answers: dict[str, Any]) -> None:
    assert {*answers} == {*LABELS, *NUMBERS, *MATRICES, *REFUSED}


def test_the_schema_is_the_mojos(models: Path, answers: dict[str, Any]) -> None:
    """Levels in h2o's order, an offset as one more column, and the encoded model's columns as they were before."""
    columns = answers["gbm_multinomial"]["columns"]
    assert [*columns] == ["island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "sex", "year"]
    assert columns["sex"] == ["text", "female", "male"]
    assert columns["year"] == ["number"]
    assert answers["gbm_multinomial"]["target"] == "species"
    assert [*answers["gbm_offset"]["columns"]][-1] == "log_mass"
    assert answers["gbm_one_hot_explicit"]["columns"] == columns
    with zipfile.ZipFile(models / "gbm_multinomial/model.zip") as mojo:
        assert f"uuid = {answers['gbm_multinomial']['id']}\n" in mojo.read("model.ini").decode()


def test_served(h2o_image: str, models: Path, answers: dict[str, Any]) -> None:
    """A binomial model in a real server, asked at once by several; read only, as somebody else, without a network."""
    body = (models / "gbm_binomial.csv").read_text()
    _, rows = by_h2o(models, "gbm_binomial")
    options = ("-e", OUTPUTS, "--read-only", "--tmpfs", "/tmp")
    with engine.serving(h2o_image, models / "gbm_binomial", *options, "--user", "1234") as server:
        found = server.post(body, Accept=JSON).json()["predictions"]
        assert [each["predicted_label"] for each in found] == [row[0] for row in rows]
        same([each["probabilities"] for each in found], numbers([row[1:] for row in rows]))
        record = dict(next(csv.DictReader(io.StringIO(body))))
        assert server.post(json.dumps([{"features": [*record.values()]}]), JSON).json()["predictions"] == found[:1]
        # The two forms of H2O's own scorers, whose values are text.
        names, *cells = csv.reader(body.splitlines())
        for answer, count in (
            (server.post(json.dumps({"fields": names, "rows": cells}), JSON), len(rows)),
            (server.post(json.dumps(record), "application/octet-stream"), 1),
        ):
            table = answer.json()
            assert (table["id"], table["fields"]) == (answers["gbm_binomial"]["id"], ["predict", "false", "true"])
            assert [row[0] for row in table["score"]] == [row[0] for row in rows[:count]]
            same([row[1:] for row in table["score"]], numbers([row[1:] for row in rows[:count]]))
        bad = server.post(json.dumps([{"features": ["Biscoe", "long", 1, 2, "male", 2007]}]), JSON)
        assert (bad.status_code, bad.json()["error"]["column"]) == (400, "bill_length_mm")
        # Java takes no signal, and holds up no end.
        assert server.stop(29) == 0


def test_files_that_are_no_mojo(h2o_image: str, models: Path, tmp_path: Path) -> None:
    """The start ends at once, with one line that says why."""
    whole = (models / "gbm_binomial/model.zip").read_bytes()
    for case, content in {"cut": whole[: len(whole) // 2], "text": b"not a zip"}.items():
        folder = tmp_path / case
        folder.mkdir()
        (folder / "model.zip").write_bytes(content)
        told = last_line(h2o_image, folder)
        assert "/opt/ml/model/model.zip cannot be read by h2o-genmodel" in told
        assert "it has to be a whole MOJO, as h2o's download_mojo writes it" in told
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    shutil.make_archive(str(foreign / "code"), "zip", HERE)
    assert "holds no model that is known by its files (found: code.zip)" in last_line(h2o_image, foreign)


# A heap as small as it gets: a million rows go through it, and what does not fit is Python's own error.
SMALL = """
import jpype, numpy as np
from pathlib import Path
from byoc import flavors, machine
from byoc.flavors import java
machine.memory_left = lambda: 0
model = flavors.load(Path("/opt/ml/model"))
print(jpype.JClass("java.lang.Runtime").getRuntime().maxMemory() >> 20)
rows = np.tile(model.schema.sample(1000), (1000, 1))
labels = model.predict(rows).labels
print((labels.reshape(1000, 1000) == labels[:1000]).all())
try:
    jpype.JClass("java.util.Arrays").copyOf(jpype.JDouble[:](1), 10**9)
except jpype.JException as error:
    try:
        java.tell(error)
    except MemoryError as told:
        print(told)
"""


def test_java_takes_no_more_than_its_share(h2o_image: str, models: Path) -> None:
    options = ("-v", f"{models / 'gbm_binomial'}:/opt/ml/model:ro")
    result = engine.run(h2o_image, "python3", "-c", SMALL, options=options)
    heap, right, told = result.stdout.splitlines()
    assert 32 <= int(heap) <= 64
    assert right == "True"
    assert told.startswith("Java's heap is full: ")


def test_an_image_without_the_extra_says_so(image: str, models: Path) -> None:
    assert "build it with --extra h2o" in last_line(image, models / "gbm_binomial")


def last_line(image: str, folder: Path) -> str:
    """Return the last line of a `serve` that cannot start."""
    result = engine.run(image, "serve", options=("-v", f"{folder}:/opt/ml/model:ro"))
    assert result.returncode not in (0, 137), result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    return (result.stdout + result.stderr).strip().splitlines()[-1]


def test_the_example(tmp_path: Path) -> None:
    """Its README is followed to the letter; what h2o itself printed is what the server answers."""
    reader = Reader("h2o_mojo", tmp_path)
    training = Document("examples/h2o_mojo/README.md").block("python3 -m venv").splitlines()
    try:
        *_, told = [line for command in training for line in reader.run(command).splitlines() if line.startswith("[{")]
        follow(reader, reader.commands)
        wanted = json.loads(told)
        with engine.serving(reader.own, reader.clone / "mojo", "-e", OUTPUTS) as server:
            found = server.post(json.dumps(FOUR), JSON).json()["predictions"]
        assert [each["predicted_label"] for each in found] == [each.pop("predict") for each in wanted]
        same([each["probabilities"] for each in found], np.array([[*each.values()] for each in wanted]))
    finally:
        engine.docker("rmi", "--force", reader.own)
