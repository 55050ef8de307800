"""`byoc docker run-local`: how the container is started, and what is refused before."""

import csv
import socket
import threading

import pytest
from click.testing import CliRunner

from byoc_cli.docker import docker
from byoc_cli.docker.client import Client
from byoc_cli.docker.run_local import container_options, unpacked, welcome
from byoc_cli.docker.screen import Screen
from byoc_cli.docker.server import Server

RECORD = '{"time": "2026-01-01T00:00:00.000Z", "level": "ERROR", "message": "stopped: no model"}'


def test_the_options_of_the_container(tmp_path):
    folder = tmp_path / 'a, "b": c'
    options = container_options(folder, 9090, ["A=1,2 3", "B"], gpu=True)
    assert options[:2] == ["--publish", "127.0.0.1:9090:8080"]
    mount = next(csv.reader([options[options.index("--mount") + 1]]))
    assert mount == ["type=bind", f"source={folder}", "target=/opt/ml/model", "readonly"]
    assert options[-6:] == ["--gpus", "all", "--env", "A=1,2 3", "--env", "B"]


def test_without_a_model_or_a_gpu():
    assert container_options(None, 8080, [], gpu=False) == ["--publish", "127.0.0.1:8080:8080"]


def test_the_port_that_the_server_is_told_is_the_one_published():
    assert container_options(None, 80, ["SAGEMAKER_BIND_TO_PORT=7000"], gpu=False)[1] == "127.0.0.1:80:7000"


def test_a_folder_is_lent_as_it_is(tmp_path):
    with unpacked(tmp_path) as folder:
        assert folder == tmp_path
    with unpacked(None) as folder:
        assert folder is None


@pytest.mark.parametrize(("port", "words"), [(8080, "invoke-local -b"), (9090, "invoke-local --port 9090 -b")])
def test_what_to_type_next(port, words):
    assert f"byoc docker {words} '" in welcome(1.0, port)
    assert f"http://localhost:{port}/invocations" in welcome(1.0, port)


CLIENT = (
    '[ "$1 $2" = "image inspect" ] && [ "$3" = nosuch ] && exit 1; [ "$1 $2" = "image inspect" ] && echo "[{}]"; exit 0'
)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-i", "nosuch"], "there is no image nosuch here; build it: byoc docker build -i nosuch -e FILE.py"),
        (["-i", "a", "-m", "/no/such/model"], "'/no/such/model' does not exist"),
        (["-i", "a", "--env", "1A=b"], "'1A=b' is no variable"),
        (["-i", "a", "--env", "-x"], "'-x' is no variable"),
        (["-i", "a", "--port", "0"], "0 is not in the range"),
    ],
)
def test_a_mistake_is_one_line(programs, calls, arguments, problem):
    programs("docker", CLIENT)
    done = CliRunner().invoke(docker, ["run-local", *arguments])
    assert done.exit_code != 0
    assert problem in done.output.splitlines()[-1]
    assert not [call for call in calls() if call.startswith("docker run")]


def test_a_port_that_is_taken_is_answered_by_one_that_is_free(programs, calls):
    programs("docker", CLIENT)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(docker, ["run-local", "-i", "a", "--port", str(port)])
    assert done.exit_code == 1
    message, _, other = done.output.strip().rpartition(" ")
    assert f"port {port} is taken" in message
    assert message.endswith("--port")
    with socket.create_server(("127.0.0.1", int(other))):
        assert int(other) != port
    assert not [call for call in calls() if call.startswith("docker run")]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (f"echo hello; echo '{RECORD}'; echo goodbye; exit 3", 3, "ended with exit code 3: no model"),
        ("echo hello; exit 1", 1, "ended with exit code 1: hello"),
        ("exit 137", 137, "ended with exit code 137 (killed: perhaps out of memory): no log yet"),
    ],
)
def test_a_container_that_ends_says_why(programs, calls, capsys, body, code, words):
    client = programs("docker", f'[ "$1" = run ] || exit 0\n{body}')
    server = Server(Client(str(client)), "churn", ["--publish", "x"])
    with server.running(Screen()):
        server._process.wait()
    assert server.exit_code == code
    assert words in server.last_words()
    run, *rest = calls()
    assert run == f"docker run --rm --pull never --name {server.name} --publish x churn serve"
    assert rest == [f"docker rm --force --volumes {server.name}"]


def test_a_container_is_stopped_as_sagemaker_does_even_one_about_to_appear(programs, calls, tmp_path):
    body = f"""
case $1 in
    run) while ! [ -e {tmp_path}/stopped ]; do sleep 0.05; done; exit 0;;
    stop) if [ -e {tmp_path}/asked ]; then touch {tmp_path}/stopped; fi; touch {tmp_path}/asked;;
esac"""
    server = Server(Client(str(programs("docker", body))), "churn", [])
    with server.running(Screen()):
        assert server.runs
    assert server.exit_code == 0
    stops = [call for call in calls() if call.startswith("docker stop")]
    assert len(stops) >= 2  # a slow machine takes more
    assert set(stops) == {f"docker stop --time 30 {server.name}"}


def test_the_screen_keeps_lines_whole(capsys):
    screen = Screen()
    threads = [threading.Thread(target=lambda: [screen.line("x" * 50) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capsys.readouterr().out.splitlines() == ["x" * 50] * 80


def test_on_a_terminal_the_state_is_always_the_last_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    screen = Screen()
    screen.state("waiting")
    screen.line("a line")
    screen.state("")
    screen.line("ready")
    first, second, last = capsys.readouterr().out.replace("\r\033[K", "\n").split("\n", 3)[:3]
    assert first.endswith("s] waiting")
    assert second == "a line"
    assert last.endswith("s] waiting")


def test_elsewhere_the_state_is_a_line_now_and_then(monkeypatch, capsys):
    screen = Screen()
    screen.state("too early")
    screen.news -= 10
    screen.state("waiting")
    screen.state("too soon")
    assert [line.partition("] ")[2] for line in capsys.readouterr().out.splitlines()] == ["waiting"]
