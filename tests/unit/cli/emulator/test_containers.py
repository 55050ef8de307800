from __future__ import annotations

import signal

import pytest

from byoc_cli.emulator.containers import EngineError, Plan, last_line
from byoc_cli.emulator.native_engine import NativeEngine
from tests import datasets, program


@pytest.fixture
def engine():
    made = NativeEngine("byoc.emulator=test")
    yield made
    made.close()


def plan(base, *command, **more) -> Plan:
    return Plan("byoc", command, base, base / "logs/log", **more)


def test_a_program_is_run_in_its_folder(engine, tmp_path):
    base = program.write_job(tmp_path / "ml", {"max_iter": "5"})
    datasets.iris().write(base / "input/data/training/iris.csv")
    container = engine.start(plan(base, "train", environment={"SAGEMAKER_BASE_DIR": "/nowhere"}))
    assert container.wait(120) == 0, (base / "logs/log").read_text()
    assert (base / "model/schema.json").exists()
    assert not container.runs
    assert "trained in" in last_line(base / "logs/log")


def test_a_program_is_told_to_stop_and_killed_when_it_will_not(engine, tmp_path):
    script = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)\n"
    base = program.write_job(
        tmp_path / "ml", {"sagemaker_program": "a.py", "sagemaker_submit_directory": str(tmp_path)}
    )
    (tmp_path / "a.py").write_text(script)
    container = engine.start(plan(base, "train"))
    program.wait_until(lambda: "deaf" in (base / "logs/log").read_text(), 60)
    assert container.wait(0) is None
    assert container.stop(0.1) == -signal.SIGKILL
    assert not container.runs


@pytest.mark.parametrize(("command", "more"), [((), {}), (("bash",), {}), (("train",), {"entry_point": ["/bin/sh"]})])
def test_only_the_program_can_be_run(engine, tmp_path, command, more):
    with pytest.raises(EngineError, match="only `train` and `serve`"):
        engine.start(plan(tmp_path, *command, **more))


def test_what_needs_an_engine_is_refused(engine, tmp_path):
    with pytest.raises(EngineError, match="several hosts need a Docker engine"):
        engine.make_network()
    assert engine.mount(tmp_path, "/opt/ml/checkpoints") == ()
    with pytest.raises(EngineError, match="/elsewhere cannot be had"):
        engine.mount(tmp_path, "/elsewhere")


def test_the_last_line_is_what_a_program_said_last(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == "no output"
    log.write_text("one\n two \n\n  \n")
    assert last_line(log) == "two"
    log.write_text("x" * 1000)
    assert len(last_line(log)) == 500
