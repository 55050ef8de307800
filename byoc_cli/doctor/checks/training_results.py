"""What training leaves: a model that can be packed and repeated, metrics, checkpoints to go on from."""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import CSV, TRAINING_SECONDS, Trained

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.doctor.subject import Subject

COPIES = 3000  # of the data, so that there is a time between the first checkpoint and the end
# Lines of one metric that all come within such a share of the job's time were kept back until its end.
AT_ONCE = 0.05
RESUMED = re.compile(r"resum|restor|continu|going on|(from|load\w*) .*checkpoint|start\w* (at|from)", re.IGNORECASE)


@dataclass(frozen=True)
class Whole:
    """A long job that nothing interrupted.

    Attributes:
        trained: as it ended.
        lines: what it wrote, each with the time, in seconds, at which it came out.
        seconds: how long it took.
    """

    trained: Trained
    lines: list[tuple[float, str]]
    seconds: float


def train_whole(subject: Subject) -> Whole:
    """Train on much data to the end.

    Raises:
        Failed: there is no model.
    """
    ml = subject.job(copies=COPIES)
    with subject.start_training(ml) as container:
        code, seconds = container.wait(TRAINING_SECONDS), time.monotonic() - container.started
        log, lines = container.log(), container.stamped_lines()
    subject.engine.own(ml)
    if code is None:
        raise Failed(f"training on much data did not end within {TRAINING_SECONDS} s: {last_line(log)}")
    trained = Trained(code, log, ml)
    must(code == 0 and trained.model_files, f"no model of much data: {trained.cause}")
    return Whole(trained, lines, seconds)


@check(
    21, "M", "looked through /opt/ml/model",
    expected="folders and regular files only",
    advice="copy what links point to: a link in model.tar.gz fails when the model is created",
)  # fmt: skip
def check_21_no_links(subject: Subject) -> str:
    """Links, sockets and pipes do not survive the archive."""
    model = subject.trained.ml / "model"
    odd = [path.name for path in model.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    must(not odd, f"neither file nor folder: {', '.join(odd)}")
    return f"{len(subject.trained.model_files)} regular files"


@check(
    22, "M", "searched the log by the image's own metric definitions",
    expected="those that `train --metric-definitions` prints find numbers on whole lines, each at the time it is known",
    advice="print each metric as a whole line, at once (PYTHONUNBUFFERED=1), in the form that its expression asks for",
)  # fmt: skip
def check_22_metrics(subject: Subject) -> str:
    """SageMaker searches each line by itself."""
    definitions = metric_definitions(subject)
    if not definitions:
        not_offered("`train --metric-definitions` does not print any")
    whole = subject.once(train_whole)
    found = {
        name: [(when, float(match[1])) for when, text in whole.lines if (match := re.search(regex, text))]
        for name, regex in definitions.items()
    }
    # The definitions are of classification and regression alike: one of them must be found, and hold a number.
    must(any(found.values()), f"none of {', '.join(definitions)} is in the log")
    name, values = max(found.items(), key=lambda item: len(item[1]))
    apart = values[-1][0] - values[0][0]
    kept_back = len(values) > 1 and apart < AT_ONCE * whole.seconds
    must(not kept_back, f"{len(values)} lines of {name} came out at once: they are buffered")
    matched = ", ".join(f"{name}={values[-1][1]:g}" for name, values in found.items() if values)
    return f"{matched}; {len(values)} of {name} within {apart:.1f} s"


def metric_definitions(subject: Subject) -> dict[str, str]:
    """Return the image's own regular expressions by name, none where it does not print any."""
    with subject.engine.start("train", "--metric-definitions") as container:
        code = container.wait(60)
        try:
            return {item["Name"]: item["Regex"] for item in json.loads(container.log())} if code == 0 else {}
        except (ValueError, TypeError, KeyError):
            return {}


@check(
    23, "M", "killed a job after its first checkpoint, trained again, and once more with the newest checkpoint damaged",
    expected="it goes on from the checkpoint and says so; both models answer as that of an uninterrupted job",
    advice="save the whole state, the random generator's too, by a rename; log the step that a job goes on from",
)  # fmt: skip
def check_23_checkpoints(subject: Subject) -> str:
    """As after a spot interruption."""
    whole = subject.once(train_whole).trained
    if not checkpoints(whole.ml):
        not_offered("nothing is in /opt/ml/checkpoints after a long job")
    resumed = kill_after_checkpoint(subject)
    damaged = subject.job(copies=COPIES)
    shutil.copytree(resumed / "checkpoints", damaged / "checkpoints", dirs_exist_ok=True)
    saved = checkpoints(damaged)
    content = saved[-1].read_bytes()
    saved[-1].write_bytes(content[: len(content) // 2])
    trained = subject.good_training(resumed)
    said = went_on(trained.log, whole.log)
    must(said, "nothing in the log says that the second job went on from a checkpoint")
    expected = answers(subject, whole)
    must(alike(answers(subject, trained), expected), "the model of the job that went on answers otherwise")
    trained = subject.train(damaged)
    must(trained.code == 0, f"with {saved[-1].name} damaged: {trained.cause}")
    must(alike(answers(subject, trained), expected), "the model made beside a damaged checkpoint answers otherwise")
    return f"{len(saved)} files; {said[:120]}; with the newest damaged the same model too"


def checkpoints(ml: Path) -> list[Path]:
    """Return the files of an /opt/ml/checkpoints, the newest last, without hidden and empty ones."""
    files = [path for path in (ml / "checkpoints").rglob("[!.]*") if path.is_file() and path.stat().st_size]
    return sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name))


def kill_after_checkpoint(subject: Subject) -> Path:
    """Return the /opt/ml of a job that was killed when its first checkpoint was there."""
    ml = subject.job(copies=COPIES)
    seen: list[tuple[str, int]] = []
    with subject.start_training(ml) as container:
        while True:
            if not container.state()["Running"]:
                not_offered("the job ended before it could be killed; name slower data by --data")
            # One that is still being written grows.
            before, seen = seen, sizes(ml)
            if seen and before == seen:
                break
            time.sleep(0.1)
        container.kill("KILL")
        container.wait(10)
    subject.engine.own(ml)
    shutil.rmtree(ml / "model")
    (ml / "model").mkdir()
    return ml


def sizes(ml: Path) -> list[tuple[str, int]]:
    """Return the checkpoints' names and sizes; one may vanish while it is looked at."""
    try:
        return [(path.name, path.stat().st_size) for path in checkpoints(ml)]
    except FileNotFoundError:
        return []


def went_on(log: str, uninterrupted: str) -> str:
    """Return the line that tells of a checkpoint gone on from, which an uninterrupted job does not write."""
    usual = {re.sub(r"\d+", "", line) for line in uninterrupted.splitlines()}
    lines = (line for line in log.splitlines() if RESUMED.search(line) and re.sub(r"\d+", "", line) not in usual)
    line = next(lines, "")
    match = RESUMED.search(line)
    return line[max(0, match.start() - 40) :].strip() if match else ""


def answers(subject: Subject, trained: Trained) -> bytes:
    """Serve a model and return what it answers to a good request."""
    server = subject.serve(model=trained.ml / "model")
    with server.container:
        return subject.ask(server)


def alike(first: bytes, second: bytes) -> bool:
    """Whether two answers are the same, their numbers as far as a resumed sum can be."""
    words = [re.findall(r"[^\s,:{}\[\]]+", answer.decode(errors="replace")) for answer in (first, second)]
    return len(words[0]) == len(words[1]) and all(map(_close, *words))


def _close(first: str, second: str) -> bool:
    try:
        return first == second or math.isclose(float(first), float(second), rel_tol=1e-4, abs_tol=1e-6)
    except ValueError:
        return False


@check(
    24, "S", "trained with a read-only root",
    expected="exit code 0: all writes go to /opt/ml/model, /opt/ml/output, /opt/ml/checkpoints and /tmp",
    advice="write nowhere else; set HOME, MPLCONFIGDIR and the like to a folder below /tmp",
)  # fmt: skip
def check_24_read_only_root(subject: Subject) -> str:
    """Other folders are small, or gone after the job."""
    ml = subject.job()
    options = ("--read-only", "--tmpfs=/tmp", f"--volume={ml / 'input'}:/opt/ml/input:ro")
    return f"exit code {subject.good_training(ml, *options).code}"


@check(
    25, "S", "trained as the SDK's local mode does",
    expected="exit code 0 on a terminal, with a random host name, no job's ARN and few keys in the config",
    advice="take names from resourceconfig.json, and have defaults for what is missing",
)  # fmt: skip
def check_25_local_mode(subject: Subject) -> str:
    """Another host name, fewer variables, a terminal."""
    host = "algo-1-x7k2p"
    resources = {"current_host": host, "hosts": [host], "network_interface_name": "eth0"}
    ml = subject.job(resources=resources)
    config = {"training": {"TrainingInputMode": "File", "ContentType": CSV}}
    (ml / "input/config/inputdataconfig.json").write_text(json.dumps(config))
    trained = subject.train(ml, "--tty", "--hostname", host, environment={"TRAINING_JOB_NAME": "local"})
    must(trained.code == 0, trained.cause)
    return "exit code 0"


@check(
    26, "M", "looked for what ModelTrainer of SDK v3 starts the image with",
    expected="bash, python3 and pip are there",
    advice="install bash, python3 and python3-pip: ModelTrainer replaces the entry point by a bash script",
)  # fmt: skip
def check_26_model_trainer(subject: Subject) -> str:
    """Its driver is a shell script that calls python3 and pip."""
    script = "command -v python3 && (command -v pip || python3 -m pip --version) && bash --version"
    with subject.engine.start("-c", script, options=["--entrypoint", "/bin/bash"]) as container:
        code, log = container.wait(60), container.log()
    must(code == 0, f"exit code {code}: {last_line(log)}")
    return ", ".join(log.splitlines()[:2])


@check(
    27, "S", "trained twice on the same data",
    expected="both models answer the same bytes",
    advice="seed every random generator, and read files in sorted order",
)  # fmt: skip
def check_27_deterministic(subject: Subject) -> str:
    """Two jobs, two servers, one request."""
    first = subject.ask(subject.server)
    second = answers(subject, subject.good_training(subject.job()))
    must(first == second, "the answers differ")
    return f"the same {len(first)} bytes"
