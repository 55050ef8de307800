from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from byoc_cli.emulator import state


def test_it_is_running_for_as_long_as_it_holds_the_folder(tmp_path):
    with state.held(tmp_path):
        assert state.read(tmp_path) is None
        state.write(tmp_path, "http://127.0.0.1:1", "eu-west-1")
        told = {"pid": os.getpid(), "address": "http://127.0.0.1:1", "region": "eu-west-1"}
        assert state.read(tmp_path) == state.running_one(tmp_path) == told
    assert state.read(tmp_path) is None
    with pytest.raises(click.ClickException, match="no emulator is running; start one"):
        state.running_one(tmp_path)


def test_only_one_holds_it(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "LOCK_SECONDS", 0)
    with (
        state.held(tmp_path),
        pytest.raises(click.ClickException, match="an emulator is running"),
        state.held(tmp_path),
    ):
        pass


def test_one_that_was_killed_holds_it_no_more(tmp_path):
    code = "import sys, time; from pathlib import Path; from byoc_cli.emulator import state\n"
    code += "with state.held(Path(sys.argv[1])): state.write(Path(sys.argv[1]), 'a', 'b'); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert state.read(tmp_path) is not None
        process.kill()
    assert state.read(tmp_path) is None


def test_what_cannot_be_read_is_none(tmp_path):
    assert state.read(tmp_path / "none") is None
    with state.held(tmp_path):
        (tmp_path / state.FILE).write_text("{")
        assert state.read(tmp_path) is None


def test_forgetting_removes_all_but_the_lock(tmp_path):
    (tmp_path / "s3/bucket").mkdir(parents=True)
    (tmp_path / "s3/bucket/a").write_text("")
    (tmp_path / "emulator.log").write_text("")
    (tmp_path / state.LOCK).write_text("")
    state.forget(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [state.LOCK]
    state.forget(tmp_path / "none")
