"""Training: `docker run IMAGE train` with a prepared /opt/ml."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import check, must, not_offered
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import CSV, HOST, PORT, Server

if TYPE_CHECKING:
    from byoc_cli.doctor.subject import Subject

SHELLS = ("/bin/sh", "sh", "/bin/bash", "bash")
FULL_RESOURCES = {
    "current_host": HOST,
    "current_instance_type": "ml.c5.xlarge",
    "current_group_name": "homogeneousCluster",
    "hosts": [HOST],
    "instance_groups": [
        {"instance_group_name": "homogeneousCluster", "instance_type": "ml.c5.xlarge", "hosts": [HOST]}
    ],
    "network_interface_name": "eth0",
    "topology": None,
}


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
    16, "M", "trained with the full resourceconfig.json of 2025",
    expected="exit code 0 with instance groups and `topology: null`, and with the three documented keys alone",
    advice="read every key but current_host and hosts with a default, and take null for absent",
)  # fmt: skip
def check_16_resources(subject: Subject) -> str:
    """The three documented keys are what every other check has."""
    must(subject.trained.code == 0, subject.trained.cause)
    return f"exit code {subject.good_training(subject.job(resources=FULL_RESOURCES)).code}"


@check(
    19, "S", "trained without resourceconfig.json",
    expected="exit code 0 as a single host, or a failure that names the file",
    advice="take one host for granted where the file is missing: that is a bare docker run",
)  # fmt: skip
def check_19_no_resources(subject: Subject) -> str:
    """A bare docker run."""
    ml = subject.job()
    (ml / "input/config/resourceconfig.json").unlink()
    trained = subject.train(ml)
    must(trained.code == 0 or "resourceconfig" in trained.failure, trained.cause)
    return trained.cause if trained.code else "exit code 0"


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
    expected="each regular expression that `train --metric-definitions` prints finds a number",
    advice="print each metric as a whole line, at once (PYTHONUNBUFFERED=1), in the form that its expression asks for",
)  # fmt: skip
def check_22_metrics(subject: Subject) -> str:
    """SageMaker searches the log with them."""
    trained = subject.trained
    with subject.engine.start("train", "--metric-definitions") as container:
        code = container.wait(60)
        try:
            definitions = {item["Name"]: item["Regex"] for item in json.loads(container.log())} if code == 0 else {}
        except (ValueError, TypeError, KeyError):
            definitions = {}
    if not definitions:
        not_offered("`train --metric-definitions` does not print any")
    found = {name: re.search(regex, trained.log) for name, regex in definitions.items()}
    # The definitions are of classification and regression alike: one of them must be found, and hold a number.
    matched = [f"{name}={float(match[1])}" for name, match in found.items() if match]
    must(matched, f"none of {', '.join(definitions)} is in the log")
    return ", ".join(matched)


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
    model = subject.good_training(subject.job()).ml / "model"
    with subject.serve(model=model).container as container:
        second = subject.ask(Server(container, container.port(PORT)))
    must(first == second, "the answers differ")
    return f"the same {len(first)} bytes"
