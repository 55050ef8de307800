"""Training: `docker run IMAGE train` with a prepared /opt/ml, and what a job may find there."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import CSV, TRAINING_SECONDS, Trained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.doctor.subject import Subject

SHELLS = ("/bin/sh", "sh", "/bin/bash", "bash")
# What is tried where the user names no hyperparameters: scikit-learn's, and one that the sample of this repository has.
TYPED = ({"max_leaf_nodes": "5", "scale": "true"}, {"max_leaf_nodes": "5"})
# Feeds two epochs, late, and prints the number of each that was read to its end.
FEED = """sleep 3; cd /opt/ml/input/data
for epoch in 0 1; do mkfifo -m 666 training_$epoch && cat /doctor/stream >training_$epoch && echo $epoch; done"""


@check(
    1, "M", "the word `train` alone starts training",
    expected="`docker run IMAGE train` finds the program and runs it",
    advice="put an executable `train`, with a valid #! line and LF line ends, into a folder on PATH",
)  # fmt: skip
def check_01_train_alone_starts(subject: Subject) -> str:
    """No other argument, and no entry point of ours."""
    with subject.start_training(subject.job()) as container:
        code = container.wait(180)
        log = container.log()
    must(code not in {126, 127}, f"exit code {code}: {last_line(log)}")
    return f"it ran; exit code {code}"


@check(
    2, "M", "looked at ENTRYPOINT",
    expected="none, or the exec form without a shell, so that PID 1 gets the signals",
    advice='leave ENTRYPOINT out, or write it as a list: ENTRYPOINT ["python3", "main.py"]',
)  # fmt: skip
def check_02_entry_point(subject: Subject) -> str:
    """A shell as PID 1 keeps SIGTERM for itself."""
    entry = subject.config.get("Entrypoint") or []
    must(not (entry[:1] and entry[0] in SHELLS), f"ENTRYPOINT is {json.dumps(entry)}: a shell is PID 1")
    return json.dumps(entry) if entry else "none"


@check(
    3, "M", "trained on CSV without a header",
    expected="exit code 0, and a file in /opt/ml/model",
    advice="end with 0 once the model is in /opt/ml/model; name other data by --data and --hyperparameters",
)  # fmt: skip
def check_03_trains(subject: Subject) -> str:
    """The happy path."""
    return f"exit code 0; {', '.join(path.name for path in subject.trained.model_files)}"


@check(
    4, "M", "trained without hyperparameters",
    expected="exit code 0: every hyperparameter has a default",
    advice="give every hyperparameter a default; hyperparameters.json is {} where the job has none",
)  # fmt: skip
def check_04_defaults(subject: Subject) -> str:
    """The file is there and holds {}."""
    if not subject.hyperparameters:
        return f"exit code {subject.trained.code}"
    return f"exit code {subject.good_training(subject.job({})).code}"


@check(
    5, "M", "trained with a number as text, as SageMaker writes all hyperparameters",
    expected="the text is converted, exit code 0",
    advice='convert: every value of hyperparameters.json is text, as in {"max_depth": "5"}; '
    "if the image knows no max_leaf_nodes, name one of its own by --hyperparameters",
)  # fmt: skip
def check_05_text_is_converted(subject: Subject) -> str:
    """The AWS sample's own hyperparameter, unless the user has others."""
    values = subject.hyperparameters or {"max_leaf_nodes": "5"}
    return f"exit code {subject.good_training(subject.job(values)).code} with {json.dumps(values)}"


def spellings(text: str) -> list[str]:
    """Return how else SageMaker's clients write a whole number or a truth value; nothing for other texts."""
    if text.isdecimal():
        return [f'"{text}"', f"{text}.0"]
    if text.lower() in {"true", "false"}:
        return [word for word in (text.lower(), text.capitalize(), f'"{text.lower()}"') if word != text]
    return []


def unlike(first: Trained, second: Trained, names: set[str]) -> list[str]:
    """Return which of the named files of two models differ or are missing in one."""
    files = [{path.name: path.read_bytes() for path in trained.model_files} for trained in (first, second)]
    return sorted(name for name in names if files[0].get(name) != files[1].get(name))


@check(
    6, "S", "trained with a number and a truth value in every spelling of SageMaker's clients",
    expected='5, "5" in quotes and 5.0 make the same model, as do true, True and "true" in quotes',
    advice="undo JSON once, or twice for the tuner's values, then convert by the parameter's own type",
)  # fmt: skip
def check_06_spellings(subject: Subject) -> str:
    """Told by the files that two jobs of one spelling have in common to the byte."""
    first, plain = taken(subject)
    again = subject.good_training(subject.job({**subject.hyperparameters, **plain}))
    names = {path.name for path in first.model_files}
    names.difference_update(unlike(first, again, names))
    others = {name: spellings(text) for name, text in plain.items()}
    for number in range(max(map(len, others.values()))):
        spelled = {name: words[min(number, len(words) - 1)] for name, words in others.items()}
        trained = subject.train(subject.job({**subject.hyperparameters, **spelled}))
        must(trained.code == 0, f"{json.dumps(spelled)}: {trained.cause}")
        odd = unlike(first, trained, names)
        must(not odd, f"{json.dumps(spelled)} makes another {', '.join(odd)} than {json.dumps(plain)}")
    compared = f"the same {', '.join(sorted(names))}" if names else "exit code 0; no two models are the same"
    return f"{json.dumps(plain)}, otherwise spelled: {compared}"


def taken(subject: Subject) -> tuple[Trained, Mapping[str, str]]:
    """Train with typed hyperparameters and return them; ends the check where the image takes none that we know."""
    own = {name: text for name, text in subject.hyperparameters.items() if spellings(text)}
    choices = [own] if subject.hyperparameters else TYPED
    jobs = ((subject.train(subject.job({**subject.hyperparameters, **plain})), plain) for plain in choices if plain)
    found = next((item for item in jobs if item[0].code == 0), None)
    if found is None:
        not_offered("no number or truth value is known that it takes; name one by --hyperparameters")
    return found


@check(
    7, "S", "trained with the platform's own hyperparameters",
    expected="sagemaker_region, sagemaker_container_log_level and _tuning_objective_metric are not the algorithm's",
    advice="leave names that start with sagemaker_ and _tuning_objective_metric out of the algorithm's parameters",
)  # fmt: skip
def check_07_reserved_names(subject: Subject) -> str:
    """The SDK and the tuner add them to every job."""
    reserved = {
        "sagemaker_region": '"eu-west-1"',
        "sagemaker_container_log_level": "20",
        "_tuning_objective_metric": "validation:accuracy",
    }
    return f"exit code {subject.good_training(subject.job({**subject.hyperparameters, **reserved})).code}"


@check(
    8, "S", "trained with a hyperparameter that does not exist",
    expected="its name is in the failure file, or in the log of a job that goes on",
    advice="compare the names with those you know; a misspelt one must not be dropped in silence",
)  # fmt: skip
def check_08_unknown_hyperparameter(subject: Subject) -> str:
    """A typing mistake costs a training job, or worse: nobody notices."""
    name = "no_such_hyperparameter"
    trained = subject.train(subject.job({**subject.hyperparameters, name: "1"}))
    must(name in trained.failure + (trained.log if trained.code == 0 else ""), f"{trained.cause}; {name} is not named")
    return "a warning in the log" if trained.code == 0 else "refused by its name"


@check(
    9, "M", "trained on a channel without a ContentType",
    expected="exit code 0",
    advice="inputdataconfig.json has a ContentType only where the job gave one; have a default",
)  # fmt: skip
def check_09_no_content_type(subject: Subject) -> str:
    """Most jobs leave it out."""
    return f"exit code {subject.good_training(subject.job(channels={'training': {}})).code}"


@check(
    10, "M", "trained on a channel with parameters in its ContentType",
    expected="exit code 0 with `TEXT/CSV; charset=utf-8`",
    advice="parse the media type, in any case and with its parameters, instead of comparing strings",
)  # fmt: skip
def check_10_content_type_with_parameters(subject: Subject) -> str:
    """A media type is more than a string."""
    channels = {"training": {"ContentType": f"{CSV.upper()}; charset=utf-8"}}
    return f"exit code {subject.good_training(subject.job(channels=channels)).code}"


@check(
    11, "M", "trained in FastFile mode on a channel mounted read only",
    expected="exit code 0, nothing is written to the channel",
    advice="write to /opt/ml/output, /opt/ml/checkpoints or /tmp, and read each file from start to end",
)  # fmt: skip
def check_11_read_only_channel(subject: Subject) -> str:
    """FastFile mounts the channel read only."""
    ml = subject.job(channels={"training": {"ContentType": CSV, "TrainingInputMode": "FastFile"}})
    channel = ml / "input/data/training"
    return f"exit code {subject.good_training(ml, '--volume', f'{channel}:/opt/ml/input/data/training:ro').code}"


@check(
    12, "S", "trained beside a stray file `training-manifest`",
    expected="exit code 0: it is not taken for a channel",
    advice="take the channels from inputdataconfig.json instead of listing /opt/ml/input/data",
)  # fmt: skip
def check_12_stray_manifest(subject: Subject) -> str:
    """The platform leaves manifests beside the channels' folders."""
    ml = subject.job()
    (ml / "input/data/training-manifest").write_text('[{"prefix": "s3://bucket/"}, "a.csv"]')
    return f"exit code {subject.good_training(ml).code}"


@check(
    13, "S", "trained on nested folders with an empty file and files that are no data",
    expected="exit code 0: only data files are read, in folders too",
    advice="read recursively, and skip hidden folders, `_SUCCESS` and empty files",
)  # fmt: skip
def check_13_nested_folders(subject: Subject) -> str:
    """What Spark, notebooks and prefixes in S3 leave."""
    ml = subject.job()
    channel = ml / "input/data/training"
    nested = channel / "part=1"
    nested.mkdir()
    for file in sorted(channel.glob("*.csv")):
        shutil.move(file, nested)
    for name in ("_SUCCESS", "empty.csv", ".ipynb_checkpoints/note.csv"):
        (channel / name).parent.mkdir(exist_ok=True)
        (channel / name).write_text("not,data\n" if name.startswith(".") else "")
    return f"exit code {subject.good_training(ml).code}"


@check(
    14, "M", "trained with a validation channel",
    expected="exit code 0 without it and with it, and then a validation metric in the log",
    advice="treat the channel `validation` as optional; print what it tells, as in `validation:accuracy=0.93;`",
)  # fmt: skip
def check_14_validation(subject: Subject) -> str:
    """Without it is what every other check trains."""
    must(subject.trained.code == 0, subject.trained.cause)
    trained = subject.good_training(subject.job(channels={"training": {"ContentType": CSV}, "validation": {}}))
    found = re.search(r"^.*valid.*\d.*$", trained.log, re.MULTILINE | re.IGNORECASE)
    if found is None:
        not_offered("the job takes the channel but prints nothing about validation")
    return found.group().strip()[:100]


@check(
    15, "M", "trained in Pipe mode on pipes that come 3 s late",
    expected="it waits for training_0 and reads it, or ends with a failure that says that Pipe mode is not supported",
    advice="wait for /opt/ml/input/data/CHANNEL_EPOCH and read it to its end; or refuse TrainingInputMode Pipe by name",
)  # fmt: skip
def check_15_pipe_mode(subject: Subject) -> str:
    """An epoch that the algorithm does not want is never opened."""
    stream = Path(tempfile.mkdtemp(dir=subject.engine.folder))
    (stream / "stream").write_bytes(b"".join(file.read_bytes() for file in sorted(subject.data.rglob("*.csv"))))
    ml = subject.job(channels={"training": {"ContentType": CSV, "TrainingInputMode": "Pipe"}})
    shutil.rmtree(ml / "input/data/training")
    options = ("--volume", f"{stream}:/doctor:ro", "--tmpfs", "/opt/ml/input/data")
    # The pool ends last: who feeds a pipe that nobody reads waits for the container's end.
    with ThreadPoolExecutor(1) as pool, subject.start_training(ml, *options) as container:
        fed = pool.submit(container.shell, FEED)
        code, log = container.wait(TRAINING_SECONDS), container.log()
    subject.engine.own(ml)
    if code is None:
        raise Failed(f"training did not end within {TRAINING_SECONDS} s; its last line: {last_line(log)}")
    trained = Trained(code, log, ml)
    if code:
        must("pipe" in trained.failure.lower(), trained.cause)
        return f"not supported, and says so: {trained.cause}"
    epochs = fed.result().split()
    must(epochs, "exit code 0, but no pipe was read")
    must(trained.model_files, "exit code 0, but nothing is in /opt/ml/model")
    return f"waited, read {'both epochs' if len(epochs) > 1 else 'one epoch'}, exit code 0"
