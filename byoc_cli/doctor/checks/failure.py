"""Failure: how a training job ends that cannot succeed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import check, must
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.doctor.subject import Subject, Trained

REASON = 1024  # SageMaker shows so many characters of the failure file
SECRET = "doctors-canary-5417"  # noqa: S105 - not a secret: something to search for
WRONG_ARGUMENT = 2
CHILD = "RuntimeError: what a child process said"


def without_channel(subject: Subject) -> Path:
    """Return an /opt/ml whose channel is configured, but not there."""
    ml = subject.job()
    shutil.rmtree(ml / "input/data/training")
    return ml


def explained(trained: Trained) -> None:
    """Fail the check unless the job failed and its failure file says something."""
    must(trained.code != 0, "exit code 0 although nothing could be trained")
    must(trained.failure.strip(), f"exit code {trained.code}, but no text in /opt/ml/output/failure")


@check(
    28, "M", "trained without the channel's data",
    expected="another exit code than 0, and the reason, in UTF-8, in /opt/ml/output/failure",
    advice="catch every exception, write it to /opt/ml/output/failure and end with 1: exit code 0 means success",
)  # fmt: skip
def check_28_failure_file(subject: Subject) -> str:
    """The file becomes the job's FailureReason."""
    trained = subject.train(without_channel(subject))
    explained(trained)
    must("\ufffd" not in trained.failure, "the failure file is not UTF-8")
    return trained.cause


@check(
    29, "M", "read the first 1024 characters of the failure file",
    expected="they name what is wrong: the channel `training`",
    advice="write the cause first and the traceback, if at all, behind it: SageMaker shows 1024 characters",
)  # fmt: skip
def check_29_cause_first(subject: Subject) -> str:
    """The rest is cut off."""
    trained = subject.train(without_channel(subject))
    explained(trained)
    start = trained.failure[:REASON]
    must("training" in start.replace("training failed", ""), f"no channel is named: {' '.join(start.split())[:160]}")
    must(not trained.failure.startswith("Traceback"), "it begins with the traceback, the cause comes last")
    return start.splitlines()[0][:160]


@check(
    30, "S", "trained with a broken config, unreadable data and a read-only model folder",
    expected="each ends with another code than 0 and a failure file",
    advice="put everything, from the reading of the configuration to the saving of the model, into one try",
)  # fmt: skip
def check_30_every_failure_is_told(subject: Subject) -> str:
    """Three places where jobs fail."""
    broken, unreadable, full = subject.job(), subject.job(), subject.job()
    (broken / "input/config/hyperparameters.json").write_text('{"a": ')
    for file in (unreadable / "input/data/training").rglob("*.csv"):
        file.write_bytes(b'\xff\xfe\x00"\n\x00,,,\n')
    explained(subject.train(broken))
    explained(subject.train(unreadable))
    explained(subject.train(full, "--volume", f"{full / 'model'}:/opt/ml/model:ro"))
    return "a failure file each"


@check(
    31, "S", "failed with a failure file that was there before",
    expected="it stays as a child process left it",
    advice="leave /opt/ml/output/failure alone where it has text: who wrote first was nearer to the fault",
)  # fmt: skip
def check_31_first_cause_stays(subject: Subject) -> str:
    """As a script or a worker of the job leaves it."""
    ml = without_channel(subject)
    (ml / "output/failure").write_text(CHILD)
    trained = subject.train(ml)
    must(trained.code != 0, "exit code 0 although nothing could be trained")
    must(trained.failure.startswith(CHILD), f"overwritten: {trained.cause}")
    return f"kept; {trained.cause}"


@check(
    32, "M", "trained on an empty channel",
    expected="a message that names the channel, or an end without a model; no bare error about concatenation",
    advice="tell an empty channel from a missing one: a host may get no object under ShardedByS3Key",
)  # fmt: skip
def check_32_empty_channel(subject: Subject) -> str:
    """What a host sees when there are more hosts than files."""
    ml = without_channel(subject)
    (ml / "input/data/training").mkdir()
    trained = subject.train(ml)
    must(trained.code == 0 or "training" in trained.failure, trained.cause)
    must("No objects to concatenate" not in trained.failure[:REASON], trained.cause)
    return trained.cause if trained.code else "exit code 0"


@check(
    33, "S", "searched the failure text for values of the environment and of the data",
    expected="neither is in it: everybody who may describe the job reads it",
    advice="name rows and columns, not values, and never print the environment",
)  # fmt: skip
def check_33_no_leak(subject: Subject) -> str:
    """A canary in each place."""
    ml = subject.job()
    for file in (ml / "input/data/training").rglob("*.csv"):
        file.write_text(f"{file.read_text()}{SECRET},{SECRET},{SECRET}\n{SECRET}\n")
    trained = subject.train(ml, environment={**ENVIRONMENT, "PASSWORD": f"{SECRET}-environment"})
    must(SECRET not in trained.failure, trained.cause)
    return f"not found; {trained.cause[:120]}"


@check(
    34, "S", "looked for a model after a failed job",
    expected="/opt/ml/model is empty",
    advice="write the model elsewhere and rename it into place as the last step",
)  # fmt: skip
def check_34_no_partial_model(subject: Subject) -> str:
    """A half-written model looks like a whole one."""
    trained = subject.train(without_channel(subject))
    must(trained.code != 0, "exit code 0 although nothing could be trained")
    must(not trained.model_files, f"left: {', '.join(path.name for path in trained.model_files)}")
    return "nothing left"


@check(
    35, "S", "called without a word, with --help and with an unknown argument",
    expected='CMD is ["train"]; `train --help` prints its usage; an unknown argument ends with 2 and the usage',
    advice='write CMD ["train"] (local mode gives no word), and read the arguments by argparse',
)  # fmt: skip
def check_35_explains_itself(subject: Subject) -> str:
    """For people, and for the SDK's local mode."""
    command = subject.config.get("Cmd") or []
    must(command == ["train"] or subject.config.get("Entrypoint"), f"CMD is {json.dumps(command)}")
    for word in ("train", "serve"):
        trained = subject.train(without_channel(subject), command=(word, "--help"))
        must(trained.code == 0 and "usage" in trained.log.lower(), f"{word} --help: {trained.cause}")
        trained = subject.train(without_channel(subject), command=(word, "--no-such-option"))
        must(trained.code == WRONG_ARGUMENT, f"{word} --no-such-option: {trained.cause}")
    return f"CMD is {json.dumps(command)}; usage on --help; {last_line(trained.log)}"
