"""PID 1: what signals do to a server, and what the deaths of its processes do; with CONTRACT's numbers of checks."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import pytest
import requests

from tests.program import Server, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STOP = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]
IGNORED = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH]


def test_signals_that_mean_nothing_here(scripted: Path, base: Path) -> None:
    """Check 43: a terminal's and other servers' signals change nothing; then SIGTERM ends all, and leaves no trace."""
    with serving(base, scripted, MODEL_SERVER_WORKERS="2") as server:
        wait_until(lambda: len(server.children()["worker"]) == 2, what="both workers")
        children = server.children()
        folder = server.runtime()
        assert (folder / "nginx.conf").exists()
        for signum in IGNORED:
            server.process.send_signal(signum)
        assert [server.post(f"echo,{number}").status_code for number in range(10)] == [200] * 10
        assert server.children() == children
        assert server.stop() == 0
        assert server.left_over(children) == []
        assert not folder.exists()


@pytest.mark.parametrize(("nginx", "turn"), [("true", 1), ("true", 2), ("true", 3), ("false", 1)])
def test_sigterm_under_load(scripted: Path, base: Path, nginx: str, turn: int) -> None:
    """Check 39: 40 requests are in flight; all are answered, nobody else is let in, exit 0."""
    sent: list[int] = []

    def ask(number: int) -> int:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)) as client:
            client.request("POST", "/invocations", f"sleep,0.{number % 3 + 1}", {"Content-Type": "text/csv"})
            sent.append(number)
            return client.getresponse().status

    with (
        serving(base, scripted, MODEL_SERVER_WORKERS="2", SAGEMAKER_USE_NGINX=nginx) as server,
        ThreadPoolExecutor(40) as clients,
    ):
        children = server.children()
        assert bool(children["nginx"]) == (nginx == "true")
        answers = [clients.submit(ask, number) for number in range(40)]
        wait_until(lambda: len(sent) == 40, what="40 requests")
        # Connections are accepted in the order they came: when this one is answered, all the others are in.
        assert requests.get(f"{server.url}/ping", timeout=10).ok
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server.port), what="a refused connection")
        assert not all(answer.done() for answer in answers), "nothing was in flight any more"
        assert [answer.result() for answer in answers] == [200] * 40
        # Whoever is not done after 25 s is cut, which is no exit code 0.
        assert server.process.wait(30) == 0
        assert server.left_over(children) == []


def is_refused(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("signals", [[each] for each in STOP] + [[STOP[0], STOP[0]], [STOP[0], STOP[1]]])
def test_stop_signals_in_every_order(scripted: Path, base: Path, signals: list[signal.Signals]) -> None:
    """Checks 38, 43: once or twice, a request in flight is still answered, and the exit code is 0."""
    with serving(base, scripted, MODEL_SERVER_WORKERS="1") as server, ThreadPoolExecutor(1) as clients:
        answer = clients.submit(server.post, "sleep,1.5")
        wait_until(server.busy, what="the request")
        for signum in signals:
            server.process.send_signal(signum)
            wait_until(lambda: is_refused(server.port), what="a refused connection")
        assert server.process.wait(20) == 0
        assert answer.result().text == "1.5\n"


def test_a_request_longer_than_the_notice(scripted: Path, base: Path) -> None:
    """Check 39: the platform's 30 seconds are kept even so; what is cut is told, and is no clean end."""
    with serving(base, scripted, MODEL_SERVER_WORKERS="1") as server, ThreadPoolExecutor(1) as clients:
        children = server.children()
        answer = clients.submit(server.post, "sleep,55")
        wait_until(server.busy, what="the request")
        began = time.monotonic()
        assert server.stop() == 1
        assert 20 < time.monotonic() - began < 30
        assert server.left_over(children) == []
        assert "requests were still running" in server.log.read_text()
        with contextlib.suppress(requests.RequestException):
            assert answer.result().status_code >= 500


@pytest.mark.parametrize("fork_safe", ["true", "false"])
def test_sigterm_while_loading(scripted: Path, launch: Callable[..., Server], fork_safe: str) -> None:
    """Checks 38, 46: no ping is good before the model is; a stop does not wait for it."""
    server = launch(scripted, MODEL_SERVER_WORKERS="1", FORK_SAFE=fork_safe, WHILE_LOADING="sleep,60")
    wait_until(lambda: server.children()["gunicorn"], what="gunicorn")
    wait_until(lambda: not is_refused(server.port), what="an open port")
    ping = requests.get(f"{server.url}/ping", timeout=2)
    assert (ping.status_code, ping.json()["error"]["message"]) == (503, "the model is loading")
    children = server.children()
    assert server.stop(seconds=25) == 0
    assert server.left_over(children) == []


@pytest.mark.parametrize("name", ["nginx", "gunicorn"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_the_death_of_a_master_ends_the_server(scripted: Path, base: Path, name: str, signum: signal.Signals) -> None:
    """Check 40: non-zero within 5 seconds, the reason as the last line, nothing left running."""

    def seconds_until_the_end() -> float:
        with serving(base, scripted, MODEL_SERVER_WORKERS="2") as server:
            children = server.children()
            began = time.monotonic()
            os.kill(children[name][0], signum)
            assert server.process.wait(20) == 1
            seconds = time.monotonic() - began
            assert server.last_line().startswith(f"stopped: {name} ")
            assert server.left_over(children) == []
            assert is_refused(server.port)
        return seconds

    # The first may meet a moment in which this machine does nothing.
    assert seconds_until_the_end() < 5 or seconds_until_the_end() < 5


@pytest.mark.parametrize("victims", ["one", "all"])
def test_killed_workers_are_replaced(scripted: Path, base: Path, victims: str) -> None:
    """Check 41: under load only what was in flight is lost; the health check comes back, and nothing fails after."""
    with (
        serving(base, scripted, MODEL_SERVER_WORKERS="2") as server,
        ThreadPoolExecutor(4) as clients,
    ):
        workers = wait_until(lambda: len(both := server.children()["worker"]) == 2 and both, what="both workers")
        numbers = count()
        answers = [clients.submit(server.post, f"sleep,0.02{next(numbers)}") for _ in range(200)]
        wait_until(lambda: sum(answer.done() for answer in answers) > 40)
        for pid in workers[:1] if victims == "one" else workers:
            os.kill(pid, signal.SIGKILL)
        failed = [answer.result() for answer in answers if answer.result().status_code != 200]
        assert len(failed) <= 4
        assert {answer.json()["error"]["code"] for answer in failed} <= {"not_ready"}
        wait_until(lambda: requests.get(f"{server.url}/ping", timeout=2).status_code == 200)
        replaced = server.children()["worker"]
        assert len(replaced) == 2
        assert set(replaced).isdisjoint(workers) or victims == "one"
        assert [server.post(f"echo,{number}").status_code for number in range(40)] == [200] * 40


def test_a_stopped_worker_is_replaced(scripted: Path, base: Path) -> None:
    """Check 41: a worker that gives no sign of life within the time-out."""
    with serving(base, scripted, MODEL_SERVER_WORKERS="2", MODEL_SERVER_TIMEOUT="2") as server:
        frozen = server.children()["worker"][0]
        os.kill(frozen, signal.SIGSTOP)
        wait_until(lambda: frozen not in (left := server.children()["worker"]) and len(left) == 2, 20, "another worker")
        wait_until(lambda: requests.get(f"{server.url}/ping", timeout=2).status_code == 200)
        assert [server.post(f"echo,{number}").status_code for number in range(20)] == [200] * 20


def test_a_model_that_kills_its_worker_at_each_request(scripted: Path, base: Path) -> None:
    """Check 70: a crash loop has a budget, after which the platform gets a fresh container."""
    with serving(base, scripted, MODEL_SERVER_WORKERS="1") as server:
        codes = []
        with contextlib.suppress(requests.RequestException):
            while server.process.poll() is None and len(codes) < 50:
                codes.append(server.post("kill,").status_code)
        assert server.process.wait(20) == 1
        # Two in a row may meet the same dying worker, and the notice board is looked at twice a second.
        assert set(codes) == {503}
        assert 5 <= len(codes) < 50
        assert re.fullmatch(r"stopped: workers died ([5-9]|[1-4]\d) times within 60 s", server.last_line())


@pytest.mark.parametrize("fork_safe", ["true", "false"])
def test_a_model_that_kills_its_worker_while_loading(
    scripted: Path, launch: Callable[..., Server], fork_safe: str
) -> None:
    """Check 46: it will do so again, so the server ends after a few tries, and was never healthy."""
    server = launch(scripted, MODEL_SERVER_WORKERS="1", FORK_SAFE=fork_safe, WHILE_LOADING="kill,")
    assert server.process.wait(40) == 1
    assert ("gunicorn was killed by SIGKILL" if fork_safe == "true" else "died while they loaded") in server.last_line()
    assert '"ready' not in server.log.read_text()


def test_a_model_that_loads_once_and_never_again(scripted: Path, base: Path) -> None:
    """Check 46: boots that fail later on are a crash loop as well."""
    loading = {"FORK_SAFE": "false", "WHILE_LOADING": "kill,poisoned"}
    with serving(base, scripted, MODEL_SERVER_WORKERS="1", **loading) as server:
        (base / "model" / "poisoned").touch()
        os.kill(server.children()["worker"][0], signal.SIGKILL)
        assert server.process.wait(40) == 1
        assert server.last_line().startswith("stopped: workers died ")


def test_a_worker_that_is_not_there_is_no_error_of_nginx(scripted: Path, base: Path) -> None:
    """While its model is loaded the others are asked, at every second request; a request that is lost is told."""
    with serving(base, scripted, MODEL_SERVER_WORKERS="2", FORK_SAFE="false") as server:
        doors = server.runtime().glob
        wait_until(lambda: len(list(doors("worker-*.sock"))) == 2, what="both workers")
        (base / "model" / "while_loading").write_text("sleep,600")
        assert server.post("kill,").status_code == 503
        wait_until(lambda: len(list(doors("worker-*.sock"))) == 1, what="the closed door")
        assert [server.post(f"echo,{number}").status_code for number in range(20)] == [200] * 20
        assert server.stop() == 0
    log = server.log.read_text()
    assert "upstream prematurely closed connection" in log
    assert "No such file or directory" not in log


def test_a_killed_supervisor_takes_its_children_along(scripted: Path, base: Path) -> None:
    """Outside a container nobody else would end them, and the port would stay taken."""
    with serving(base, scripted) as server:
        children = server.children()
        assert children["nginx"]
        assert children["gunicorn"]
        server.stop(signal.SIGKILL)
        wait_until(lambda: not server.left_over(children), what="the end of nginx and gunicorn")


def test_no_zombies_after_many_workers(scripted: Path, base: Path) -> None:
    """Check 42: a hundred workers come and go in order, by a variable of gunicorn's own, which is still honoured."""
    variables = {"MODEL_SERVER_WORKERS": "10", "GUNICORN_CMD_ARGS": "--max-requests 1"}
    with serving(base, scripted, **variables) as server, ThreadPoolExecutor(10) as clients:
        seen = set(server.children()["worker"])
        while len(seen) < 100:
            list(clients.map(server.post, ["echo,1"] * 10))
            seen |= set(server.children()["worker"])
        server.post("echo,1")
        wait_until(lambda: not zombies(server), what="an end of zombies")
        assert server.process.poll() is None
        wait_until(lambda: len(server.children()["worker"]) == 10, what="ten workers again")


def zombies(server: Server) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "stat=,ppid="], capture_output=True, text=True, check=True).stdout
    ours = {str(server.process.pid), str(server.children()["gunicorn"][0])}
    return [line for line in listing.splitlines() if line.startswith("Z") and line.split()[1] in ours]
