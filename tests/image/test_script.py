"""Scripts that a job brings along, in the image: script mode, and the driver of SageMaker's SDK v3 (CONTRACT 2.9)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import engine, program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docker

# Trains on the channel with a package of the image's, as users' scripts do.
SCRIPT = """
import argparse, json, os
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--max-depth", type=int)
table = pd.read_csv(os.path.join(os.environ["SM_CHANNEL_TRAINING"], "iris.csv"), header=None)
model = DecisionTreeClassifier(max_depth=parser.parse_args().max_depth).fit(table.iloc[:, 1:], table[0])
told = {"score": model.score(table.iloc[:, 1:], table[0]), "depth": model.get_depth(), "folder": os.getcwd()}
told["variables"] = {name: os.environ.get(name) for name in ("SM_CURRENT_INSTANCE_TYPE", "SM_NETWORK_INTERFACE_NAME")}
json.dump(told, open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w"))
"""
# What SDK v3's own driver asks of an image, in a few lines.
DRIVER = r"""
set -euo pipefail
command -v python3 && command -v pip3 && command -v bash
python3 - <<'END'
import json, os, shlex
config = "/opt/ml/input/config/"
told = {name: json.load(open(f"{config}{name}.json")) for name in ("hyperparameters", "inputdataconfig", "resourceconfig")}
variables = {"SM_MODEL_DIR": "/opt/ml/model", "JOB": os.environ["TRAINING_JOB_NAME"]}
variables |= {f"SM_CHANNEL_{name.upper()}": f"/opt/ml/input/data/{name}" for name in told["inputdataconfig"]}
for name in ("current_instance_type", "network_interface_name"):
    variables[f"SM_{name.upper()}"] = told["resourceconfig"][name]
with open("/opt/ml/input/sm_training.env", "w") as file:
    file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
END
. /opt/ml/input/sm_training.env
cd /opt/ml/input/data/code
python3 mine.py --max-depth 2
"""


def write_script(ml: Path) -> None:
    (ml / "input/data/code").mkdir()
    (ml / "input/data/code/mine.py").write_text(SCRIPT)


def model(result: engine.Finished, ml: Path) -> dict[str, Any]:
    """Check that the job ended well; return what the script wrote."""
    assert result.returncode == 0, result.stdout + result.stderr
    assert [path.name for path in (ml / "model").iterdir()] == ["model.json"]
    told: dict[str, Any] = json.loads((ml / "model/model.json").read_bytes())
    assert told["depth"] == 2
    assert told["score"] > 0.9
    return told


def test_script_mode(image: str, ml: Path) -> None:
    write_script(ml)
    names = {"sagemaker_program": '"mine.py"', "sagemaker_submit_directory": '"/opt/ml/input/data/code"'}
    program.write_job(ml, {**names, "max-depth": "2"}, resourceconfig=program.FULL_RESOURCES)
    told = model(engine.run(image, "train", options=["-v", f"{ml}:/opt/ml", "--network", "none"]), ml)
    assert told["folder"] == "/opt/ml/input/data/code"
    assert told["variables"] == {"SM_CURRENT_INSTANCE_TYPE": "ml.c5.xlarge", "SM_NETWORK_INTERFACE_NAME": "eth0"}


def test_sdk_v3s_driver(image: str, ml: Path) -> None:
    """It goes round `train`: the image must have a shell and Python where the driver looks for them."""
    write_script(ml)
    (ml / "input/data/sm_drivers").mkdir()
    (ml / "input/data/sm_drivers/sm_train.sh").write_text("#!/bin/bash" + DRIVER)
    channels = {name: {"TrainingInputMode": "File"} for name in ("code", "sm_drivers", "training")}
    program.write_job(ml, resourceconfig=program.FULL_RESOURCES, inputdataconfig=channels)
    driver = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    options = ["-v", f"{ml}:/opt/ml", "--entrypoint", "/bin/bash", "-e", "TRAINING_JOB_NAME=job-1", "--network", "none"]
    told = model(engine.run(image, "-c", f"chmod +x {driver} && {driver}", options=options), ml)
    assert told["variables"] == {"SM_CURRENT_INSTANCE_TYPE": "ml.c5.xlarge", "SM_NETWORK_INTERFACE_NAME": "eth0"}
