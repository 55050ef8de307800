"""The pieces of `byoc demo` that need no training."""

import signal
import socket
import sys
import tempfile
import time

import click
import pytest

from byoc_cli import demo
from byoc_cli.demo import Steps, choose_port, running, show, wait_until_ready
from tests.program import is_running

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_each_row_stands_beside_its_prediction(capsys):
    show(["a,b", "1,2", "3,4"], '{"predictions": [{"score": 1.5}, {"score": 2}]}')
    assert capsys.readouterr().out.splitlines() == [
        "",
        "  payload   score",
        "  1,2       1.5000",
        "  3,4       2",
        "",
        '{"predictions": [{"score": 1.5}, {"score": 2}]}',
        "",
    ]


def test_more_predictions_than_rows_are_an_error():
    with pytest.raises(click.ClickException, match="2 predictions for 1 rows"):
        show(["1,2"], '{"predictions": [{"score": 1}, {"score": 2}]}')


def test_a_free_port_where_the_usual_one_is_taken(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(demo, "DEFAULT_PORT", taken.getsockname()[1])
        port = choose_port(Steps())
    assert port != demo.DEFAULT_PORT
    assert f"{demo.DEFAULT_PORT} is taken: serving on {port}" in capsys.readouterr().out
    assert choose_port(Steps()) == demo.DEFAULT_PORT


def test_a_program_that_ignores_sigterm_ends_with_all_its_children():
    with tempfile.TemporaryFile("w+") as log:
        with running([sys.executable, "-c", STUBBORN], grace=0.2, log=log) as process:
            while log.seek(0) or not (line := log.readline()):
                assert process.poll() is None
        assert process.returncode == -signal.SIGKILL
    while is_running(int(line)):  # pytest's own time limit ends this
        time.sleep(0.01)


def test_a_server_that_ends_early_is_reported_with_its_last_words():
    command = ["sh", "-c", "echo no model >&2; exit 7"]
    with (
        tempfile.TemporaryFile("w+") as log,
        running(command, grace=1, log=log) as server,
        pytest.raises(click.ClickException, match="the server ended with exit code 7:\n  no model"),
    ):
        wait_until_ready(server, 1, log, Steps())
