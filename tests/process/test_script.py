"""Script mode: a script that the job brings along is run in place of `fit` (CONTRACT 2.6, 2.9; checks 7, 31, 36)."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests import datasets
from tests.program import PROGRAM, environ, is_dying, train, wait_until, write_job

if TYPE_CHECKING:
    from pathlib import Path

WRITE = """
import json, os, sys
with open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w") as file:
    json.dump({"arguments": sys.argv[1:], "folder": os.getcwd(),
               "variables": {name: value for name, value in os.environ.items() if name.startswith("SM_")}}, file)
print("loss=0.5;")
"""


def pack(file: Path, **sources: str) -> Path:
    """Write a sourcedir.tar.gz of scripts."""
    with tarfile.open(file, "w:gz") as archive:
        for name, text in sources.items():
            member = tarfile.TarInfo(f"{name}.py")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return file


def write_script(folder: Path, text: str, name: str = "mine.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def seen(base: Path) -> dict:
    return json.loads((base / "model/seen.json").read_text())


def test_hyperparameters_become_typed_arguments_and_variables(base: Path):
    """The spellings are those of SageMaker's training toolkit."""
    folder = write_script(base / "mine", WRITE)
    write_job(
        base,
        {
            "sagemaker_program": '"mine.py"',
            "sagemaker_submit_directory": json.dumps(str(folder)),
            "batch-size": "32",
            "rate": "0.10",
            "name": '"adam"',
            "flag": "true",
            "layers": "[64, 32]",
            "map": '{"a": 1, "b": 2}',
            "x": "1",
        },
        inputdataconfig={"train": {"TrainingInputMode": "File"}},
        resourceconfig={
            "current_host": "algo-2",
            "hosts": ["algo-1", "algo-2"],
            "network_interface_name": "eth0",
            "current_instance_type": "ml.c5.xlarge",
            "current_group_name": "a",
            "instance_groups": [{"instance_group_name": "a", "hosts": ["algo-1", "algo-2"]}],
            "topology": None,
        },
    )
    result = train(base, TRAINING_JOB_NAME="job-1")
    assert result.returncode == 0, result.stderr
    assert "loss=0.5;\n" in result.stdout
    told = seen(base)
    assert told["folder"] == str(folder)
    assert " ".join(told["arguments"]) == (
        "--batch-size 32 --flag True --layers [64, 32] --map a=1,b=2 --name adam --rate 0.1 -x 1"
    )
    variables = told["variables"]
    expected = {
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DATA_DIR": str(base / "output/data"),
        "SM_OUTPUT_DIR": str(base / "output"),
        "SM_INPUT_CONFIG_DIR": str(base / "input/config"),
        "SM_CHANNELS": '["train"]',
        "SM_CHANNEL_TRAIN": str(base / "input/data/train"),
        "SM_HP_BATCH-SIZE": "32",
        "SM_HP_BATCH_SIZE": "32",
        "SM_HP_FLAG": "true",
        "SM_HP_LAYERS": "[64,32]",
        "SM_HP_NAME": "adam",
        "SM_HOSTS": '["algo-1","algo-2"]',
        "SM_CURRENT_HOST": "algo-2",
        "SM_NETWORK_INTERFACE_NAME": "eth0",
        "SM_CURRENT_INSTANCE_TYPE": "ml.c5.xlarge",
        "SM_CURRENT_INSTANCE_GROUP": "a",
        "SM_INSTANCE_GROUPS": '["a"]',
        "SM_USER_ENTRY_POINT": "mine.py",
        "SM_MODULE_NAME": "mine",
        "SM_MODULE_DIR": str(folder),
        "SM_LOG_LEVEL": "20",
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert json.loads(variables["SM_HPS"])["rate"] == 0.1
    assert json.loads(variables["SM_USER_ARGS"]) == told["arguments"]
    assert json.loads(variables["SM_FRAMEWORK_PARAMS"])["sagemaker_program"] == "mine.py"
    assert json.loads(variables["SM_TRAINING_ENV"])["job_name"] == "job-1"
    assert int(variables["SM_NUM_CPUS"]) >= 1
    assert variables["SM_NUM_GPUS"].isdecimal()


def in_a_folder(base: Path) -> str:
    return str(write_script(base / "input/data/code", WRITE))


def in_opt_ml_code(base: Path) -> str:
    write_script(base / "code", WRITE)
    return "file:///opt/ml/code"


def in_an_archive(base: Path) -> str:
    return f"file://{pack(base / 'sourcedir.tar.gz', mine=WRITE)}"


@pytest.mark.parametrize("place", [in_a_folder, in_opt_ml_code, in_an_archive])
def test_where_the_code_may_be(place, base: Path):
    source = place(base)
    result = train(base, SAGEMAKER_PROGRAM="mine.py", SAGEMAKER_SUBMIT_DIRECTORY=source)
    assert result.returncode == 0, result.stderr
    assert seen(base)["arguments"] == []


def test_a_program_that_lies_in_opt_ml_code_needs_no_directory(base: Path):
    write_script(base / "code", WRITE)
    assert train(base, SAGEMAKER_PROGRAM="mine.py").returncode == 0
    assert seen(base)["folder"] == str(base / "code")


class Bucket(BaseHTTPRequestHandler):
    """An S3 that has one object."""

    content = b""

    def do_GET(self) -> None:
        self._answer()
        self.wfile.write(self.content)

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.send_response(200 if "/job/source.tar.gz" in self.path else 404)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("ETag", '"1"')
        self.end_headers()

    def log_message(self, *_arguments) -> None:
        pass


@pytest.fixture
def bucket(tmp_path: Path):
    Bucket.content = pack(tmp_path / "source.tar.gz", mine=WRITE).read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testtest", "AWS_REGION": "eu-west-1"}


def test_code_from_s3(base: Path, bucket: str):
    write_job(base, {"sagemaker_program": "mine.py", "sagemaker_submit_directory": '"s3://bucket/job/source.tar.gz"'})
    result = train(base, S3_ENDPOINT_URL=bucket, **KEYS)
    assert result.returncode == 0, result.stderr
    assert seen(base)["folder"] == str(base / "code")


@pytest.mark.parametrize(
    ("endpoint", "keys", "reason"),
    [
        ("http://127.0.0.1:9", KEYS, "Could not connect to the endpoint"),
        ("bucket", KEYS, "404"),
        ("http://127.0.0.1:9", {"AWS_REGION": "eu-west-1"}, "Unable to locate credentials"),
    ],
)
def test_code_that_cannot_be_fetched(base: Path, bucket: str, endpoint: str, keys: dict[str, str], reason: str):
    write_job(base, {"sagemaker_program": "mine.py", "sagemaker_submit_directory": "s3://bucket/no/such.tar.gz"})
    endpoint = bucket if endpoint == "bucket" else endpoint
    nothing = {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CONFIG_FILE": "/dev/null"}
    result = train(base, S3_ENDPOINT_URL=endpoint, AWS_EC2_METADATA_DISABLED="true", **nothing, **keys)
    failure = (base / "output/failure").read_text()
    assert result.returncode == 1
    assert failure.startswith("CodeError: s3://bucket/no/such.tar.gz cannot be fetched")
    assert reason in failure
    assert "s3:GetObject" in failure
    assert "Traceback" not in failure + result.stderr


def test_a_shell_script(base: Path):
    write_script(base / "code", 'echo "$@" "$SM_HP_DEPTH" > "$SM_MODEL_DIR/told"\n', "mine.sh")
    write_job(base, {"sagemaker_program": "mine.sh", "depth": "3"})
    result = train(base)
    assert result.returncode == 0, result.stderr
    assert (base / "model/told").read_text() == "--depth 3 3\n"


def test_reserved_names_alone_do_not_bring_a_script(base: Path):
    """Check 7."""
    write_job(base, {"sagemaker_program": '"x.py"', "sagemaker_region": "eu-west-1", "max_iter": "5"})
    datasets.iris().write(base / "input/data/training/iris.csv")
    result = train(base)
    assert result.returncode == 0, result.stderr
    assert "sagemaker_program='x.py' is passed over" in result.stderr
    assert (base / "model/model.skops").exists()


FAILURES = {
    "an exception": ("raise KeyError('column')", 1, "ScriptError: mine.py ended with exit code 1: KeyError: 'column'"),
    "an exit code": ("import sys; sys.exit(7)", 7, "ScriptError: mine.py ended with exit code 7, and said nothing"),
    "killed": ("import os; os.kill(os.getpid(), 9)", 137, "ScriptError: mine.py was killed by SIGKILL, perhaps for"),
    "a failure file of its own": (
        "import os\nopen(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('nearer')\nraise ValueError",
        1,
        "nearer",
    ),
    "a secret": (
        "import os; raise ValueError(os.environ['API_TOKEN'])",
        1,
        "ScriptError: mine.py ended with exit code 1: ValueError: <API_TOKEN>",
    ),
}


@pytest.mark.parametrize(("text", "code", "told"), FAILURES.values(), ids=FAILURES)
def test_a_script_that_fails(base: Path, text: str, code: int, told: str):
    """Checks 28, 29, 31, 33: its code, its cause first, its own failure file kept."""
    write_script(base / "code", text)
    result = train(base, SAGEMAKER_PROGRAM="mine.py", API_TOKEN="canary4711canary")
    failure = (base / "output/failure").read_text()
    assert result.returncode == code, result.stderr
    assert failure.startswith(told)
    assert len(failure) <= 1024
    assert "canary" not in failure


def test_what_a_script_says_is_seen_whole_and_at_once(base: Path):
    text = "import sys, time\nfor n in range(9): print(n, 'x' * 9000, file=sys.stderr, flush=True)\nsys.exit(3)"
    write_script(base / "code", text)
    result = train(base, SAGEMAKER_PROGRAM="mine.py")
    assert result.stderr.count("x" * 9000) == 9
    assert len((base / "output/failure").read_text()) <= 1024


@pytest.mark.parametrize(
    ("program", "told"),
    [("other.py", "which holds mine.py"), ("../evil.py", "no .py or .sh file within"), ("mine.txt", "no .py or .sh")],
)
def test_a_program_that_is_not_there(base: Path, program: str, told: str):
    write_script(base, "", "evil.py")
    folder = write_script(base / "mine", WRITE)
    result = train(base, SAGEMAKER_PROGRAM=program, SAGEMAKER_SUBMIT_DIRECTORY=str(folder))
    assert result.returncode == 1
    assert told in (base / "output/failure").read_text()
    assert "Traceback" not in result.stderr


HANDLES = """
import os, signal, sys, time
def stop(*_):
    open(os.path.join(os.environ["SM_MODEL_DIR"], "best"), "w").write("so far")
    sys.exit({code})
signal.signal(signal.SIGTERM, stop)
print("fitting", flush=True)
while True:
    time.sleep(0.01)
"""
SLEEPS = 'import time\nprint("fitting", flush=True)\ntime.sleep(600)'
SHELL = f"{sys.executable} -c '{SLEEPS}' $SM_MODEL_DIR\necho not the last command\n"
STOPS = {
    "one that saves": ("mine.py", HANDLES.format(code=0), 0, ["best"]),
    "one that saves and fails": ("mine.py", HANDLES.format(code=4), 4, ["best"]),
    "one that does not listen": ("mine.py", SLEEPS, 143, []),
    "a shell's child": ("mine.sh", SHELL, 143, []),
}


@pytest.mark.parametrize(("name", "text", "code", "left"), STOPS.values(), ids=STOPS)
def test_a_stop_is_passed_on(base: Path, name: str, text: str, code: int, left: list[str]):
    """Checks 36 and 37."""
    write_script(base / "code", text, name)
    log = base / "train.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, PROGRAM / "train"],
            env=environ(base, SAGEMAKER_PROGRAM=name),
            stdout=out,
            stderr=out,
        )
    wait_until(lambda: "fitting\n" in log.read_text(), what="the script's start")
    try:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == code, log.read_text()
    finally:
        process.kill()
    assert [path.name for path in (base / "model").iterdir()] == left
    assert (base / "output/failure").exists() is (code == 4)
    processes = subprocess.run(["ps", "-wweo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    assert [line for line in processes.splitlines() if str(base) in line and not is_dying(line.split()[0])] == []


def test_a_script_that_does_not_stop_in_time_is_killed(base: Path, tmp_path: Path):
    deaf = 'import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint("fitting", flush=True)\n'
    write_script(base / "code", deaf + "time.sleep(600)")
    impatient = (
        "from byoc.training import run, stop\nstop.PATIENCE, stop.IMPATIENCE = 20, 19\nraise SystemExit(run(None))"
    )
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", impatient],
            env=environ(base, SAGEMAKER_PROGRAM="mine.py", PYTHONPATH=str(PROGRAM)),
            stdout=out,
            stderr=out,
        )
    wait_until(lambda: "fitting\n" in log.read_text(), what="the script's start")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 137, log.read_text()
    assert "did not stop in time" in log.read_text()


def write_wheel(file: Path, name: str, text: str) -> None:
    """Write a package as pip installs it, so that the test needs no network."""
    info = f"{name}-1.0.dist-info"
    members = {
        f"{name}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(file, "w") as wheel:
        record = ""
        for path, content in members.items():
            wheel.writestr(path, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(content)}\n"
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")


def test_requirements_are_installed_where_there_are_some(base: Path, tmp_path: Path):
    folder = write_script(
        base / "code", "import tiny_thing, os\nopen(os.environ['SM_MODEL_DIR'] + '/m', 'w').write(tiny_thing.TEXT)"
    )
    write_wheel(folder / "tiny_thing-1.0-py3-none-any.whl", "tiny_thing", "TEXT = 'from the wheel'\n")
    (folder / "requirements.txt").write_text("./tiny_thing-1.0-py3-none-any.whl\n")
    target = str(tmp_path / "packages")
    # Not into the environment that the tests run in.
    variables = {
        "PIP_TARGET": target,
        "PYTHONPATH": target,
        "PIP_NO_INDEX": "1",
        "PIP_CACHE_DIR": str(tmp_path / "pip"),
    }
    result = train(base, SAGEMAKER_PROGRAM="mine.py", **variables)
    assert result.returncode == 0, result.stderr
    assert (base / "model/m").read_text() == "from the wheel"


def test_requirements_that_cannot_be_installed_end_the_job(base: Path, tmp_path: Path):
    folder = write_script(base / "code", WRITE)
    (folder / "requirements.txt").write_text("no-such-package-4711\n")
    variables = {"PIP_TARGET": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CACHE_DIR": str(tmp_path / "pip")}
    result = train(base, SAGEMAKER_PROGRAM="mine.py", **variables)
    failure = (base / "output/failure").read_text()
    assert result.returncode == 1
    assert failure.startswith("ScriptError: requirements.txt ended with exit code 1")
    assert "no-such-package-4711" in failure
    assert not (base / "model/seen.json").exists()


DRIVER = """
set -euo pipefail
command -v python3 >&2; command -v bash >&2
python3 - <<'END'
import json, os
config = os.environ["BASE"] + "/input/config/"
resources = json.load(open(config + "resourceconfig.json"))
json.load(open(config + "hyperparameters.json")), json.load(open(config + "inputdataconfig.json"))
with open(os.environ["BASE"] + "/input/sm_training.env", "w") as file:
    file.write(f"export SM_CURRENT_INSTANCE_TYPE={resources['current_instance_type']}\\n")
    file.write(f"export SM_NETWORK_INTERFACE_NAME={resources['network_interface_name']}\\n")
    file.write(f"export SM_MODEL_DIR={os.environ['BASE']}/model JOB={os.environ['TRAINING_JOB_NAME']}\\n")
END
. "$BASE/input/sm_training.env"
cd "$BASE/input/data/code"
python3 mine.py
"""


def test_sdk_v3s_driver_finds_what_it_needs_and_its_channels_disturb_no_fit(base: Path):
    """CONTRACT 2.9: it goes round `train`; the same folders must not hinder the image's own fit either."""
    channels = {name: {"TrainingInputMode": "File"} for name in ("code", "sm_drivers", "train")}
    resources = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "ethwe"}
    resources |= {"current_instance_type": "ml.m5.large", "current_group_name": None, "instance_groups": None}
    write_job(base, {"max_iter": "5"}, inputdataconfig=channels, resourceconfig=resources)
    write_script(base / "input/data/code", WRITE)
    write_script(base / "input/data/sm_drivers", DRIVER, "sm_train.sh")
    command = f"chmod +x {base}/input/data/sm_drivers/sm_train.sh && bash {base}/input/data/sm_drivers/sm_train.sh"
    variables = environ(base, BASE=str(base), TRAINING_JOB_NAME="job-1")
    driver = subprocess.run(["/bin/bash", "-c", command], env=variables, capture_output=True, text=True, check=False)
    assert driver.returncode == 0, driver.stderr
    assert seen(base)["variables"]["SM_CURRENT_INSTANCE_TYPE"] == "ml.m5.large"
    datasets.iris().write(base / "input/data/train/iris.csv")
    result = train(base)
    assert result.returncode == 0, result.stderr
    assert (base / "model/model.skops").exists()
