"""Many models on one endpoint: real nginx, the manager and a process for each model; with CONTRACT's numbers of checks."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests import program
from tests.program import Server, is_dying, serving, wait_until
from tests.readme import README, codes

if TYPE_CHECKING:
    from collections.abc import Iterator

# A request is given up after this many seconds; short, because one test waits for it.
TIMEOUT = 8
FLOWERS = "5.1,3.5,1.4,0.2\n7.0,3.2,4.7,1.4\n6.3,3.3,6.0,2.5\n"


class Endpoint:
    """A server of many models.

    Attributes:
        server: the running `serve`.
        models: the folder of the models' files.

    """

    def __init__(self, server: Server, models: Path) -> None:
        self.server = server
        self.models = models

    def write(self, name: str, while_loading: str = "echo,") -> str:
        """Lay out a scripted model's files; return the url that names them."""
        folder = self.models / name / "model"
        folder.mkdir(parents=True)
        (folder / "while_loading").write_text(while_loading)
        return f"/opt/ml/models/{name}/model"

    def copy(self, name: str, model: Path) -> str:
        """Copy a trained model; return the url that names it."""
        shutil.copytree(model, self.models / name / "model")
        return f"/opt/ml/models/{name}/model"

    def ask(self, method: str, path: str = "", **options: Any) -> requests.Response:
        return requests.request(method, f"{self.server.url}/models{path}", timeout=60, **options)

    def load(self, name: str, url: str) -> requests.Response:
        return self.ask("POST", json={"model_name": name, "url": url})

    def invoke(self, name: str, body: str, **headers: str) -> requests.Response:
        return self.ask("POST", f"/{name}/invoke", data=body, headers={"Content-Type": "text/csv", **headers})

    def names(self) -> list[str]:
        return [model["modelName"] for model in self.ask("GET").json()["models"]]

    def manager(self) -> int:
        """Return the manager's pid."""
        rows = listing("pid=,ppid=,args=")
        (pid,) = [int(row[0]) for row in rows if row[1] == str(self.server.process.pid) and "serving.models" in row[2]]
        return pid

    def processes(self) -> list[int]:
        """Return the pids of the manager and all below it, the models' among them."""
        group = str(self.manager())
        return [int(row[1]) for row in listing("pgid=,pid=,stat=") if row[0] == group and row[2][0] != "Z"]


def listing(fields: str) -> list[list[str]]:
    result = subprocess.run(["ps", "-eo", fields], capture_output=True, text=True, check=True)
    return [line.split(None, fields.count(",")) for line in result.stdout.splitlines()]


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture(scope="module")
def flowers(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An endpoint of the sample's models of iris."""
    base = program.write_job(tmp_path_factory.mktemp("flowers"))
    with serving(base, SAGEMAKER_MULTI_MODEL="True") as server:
        endpoint = Endpoint(server, base / "models")
        endpoint.copy("broken", trained / "model")
        file = endpoint.models / "broken/model/model.onnx"
        file.write_bytes(file.read_bytes()[:-1000])
        yield endpoint


@pytest.fixture(scope="module")
def endpoint(scripted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An endpoint of models that do as told; tests use names of their own."""
    base = program.write_job(tmp_path_factory.mktemp("scripted"))
    variables = {"SAGEMAKER_MULTI_MODEL": "true", "MODEL_SERVER_TIMEOUT": str(TIMEOUT)}
    with serving(base, scripted, **variables) as server:
        yield Endpoint(server, base / "models")


def test_the_sample_serves_many_models(flowers: Endpoint, trained: Path) -> None:
    """Checks 86, 87, 89, 92: none at first; each answers the moment it is loaded; a broken one harms no other."""
    assert flowers.ask("GET").json() == {"models": []}
    for name in ("setosa-1", "versicolor.2"):
        url = flowers.copy(name, trained / "model")
        described = {"modelName": name, "modelUrl": url}
        answer = flowers.load(name, url)
        assert (answer.status_code, answer.json()) == (200, described)
        answers = {flowers.invoke(name, FLOWERS).text for _ in range(50)}
        assert answers == {"setosa\nversicolor\nvirginica\n"}
        assert flowers.ask("GET", f"/{name}").json() == described

    broken = flowers.load("broken", "/opt/ml/models/broken/model")
    assert code(broken) == (400, "bad_model")
    assert "model.onnx cannot be loaded" in broken.json()["error"]["message"]
    assert flowers.names() == ["setosa-1", "versicolor.2"]
    assert code(flowers.ask("GET", "/broken")) == (404, "model_not_found")
    bad_row = flowers.invoke("setosa-1", "5.1,big,1.4,0.2", **{"X-Amzn-SageMaker-Target-Model": "../../etc/passwd"})
    assert (code(bad_row), bad_row.json()["error"]["row"]) == ((400, "bad_request"), 1)
    lines = [line for line in flowers.server.records() if line.get("model") == "setosa-1" and "rows" in line]
    assert len(lines) == 50


def test_the_calls_of_the_readme(flowers: Endpoint, trained: Path) -> None:
    """In the order of its table; what it shows of an answer is there."""
    url = flowers.copy("a", trained / "model")
    for call, answer in README.table("call"):
        method, path = codes(call)[0].replace("NAME", "a").split(" /models")
        body = codes(answer)[0] if (method, path) == ("POST", "") else FLOWERS if path.endswith("invoke") else None
        told = flowers.ask(method, path, data=body, headers={"Content-Type": "text/csv"})
        assert told.status_code == 200, told.text
        if (method, path) == ("GET", ""):
            assert json.loads(codes(answer)[0])["models"][0] in told.json()["models"]
        elif path.endswith("invoke"):
            assert told.text.startswith("setosa\n")
        else:
            assert told.json() == {"modelName": "a", "modelUrl": url}
    assert "a" not in flowers.names()


def test_unloading_gives_everything_back(endpoint: Endpoint) -> None:
    """Check 91: twenty cycles leave no process, socket, file descriptor or memory behind."""
    url = endpoint.write("cycled")
    variables = Path(f"/proc/{endpoint.manager()}/environ").read_text().split("\0")
    (folder,) = [Path(each.partition("=")[2]) for each in variables if each.startswith("BYOC_RUNTIME_DIR=")]

    def cycle() -> None:
        assert endpoint.load("cycled", url).status_code == 200
        assert endpoint.invoke("cycled", "echo,1").text == "1\n"
        assert endpoint.ask("DELETE", "/cycled").status_code == 200

    cycle()
    before = endpoint.processes()
    files, memory = opened(before), resident(before)
    for _ in range(20):
        cycle()
        assert endpoint.processes() == before
    # The manager closes a connection after its answer.
    wait_until(lambda: opened(before) == files, what="closed files")
    assert resident(before) < memory * 1.1
    assert "cycled.sock" not in {path.name for path in (folder / "models").iterdir()}


def opened(pids: list[int]) -> list[int]:
    return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids]


def resident(pids: list[int]) -> int:
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)


def test_names_that_are_taken_and_names_that_are_unknown(endpoint: Endpoint) -> None:
    """Check 88."""
    url = endpoint.write("taken")
    assert endpoint.load("taken", url).status_code == 200
    assert code(endpoint.load("taken", url)) == (409, "model_exists")
    assert endpoint.ask("DELETE", "/taken").status_code == 200
    for answer in (
        endpoint.ask("GET", "/taken"),
        endpoint.ask("DELETE", "/taken"),
        endpoint.invoke("taken", "echo,1"),
    ):
        assert code(answer) == (404, "model_not_found")
    assert endpoint.load("taken", url).status_code == 200


def test_a_model_that_is_being_loaded(endpoint: Endpoint) -> None:
    """It is not there yet for anyone, and its name is taken."""
    url = endpoint.write("slow", "sleep,6")
    with ThreadPoolExecutor(1) as client:
        first = client.submit(endpoint.load, "slow", url)
        wait_until(lambda: code(endpoint.ask("DELETE", "/slow")) == (409, "model_exists"), what="the loading")
        assert code(endpoint.load("slow", url)) == (409, "model_exists")
        assert code(endpoint.invoke("slow", "echo,1")) == (404, "model_not_found")
        assert "slow" not in endpoint.names()
        assert first.result().status_code == 200
    assert endpoint.invoke("slow", "echo,1").text == "1\n"


def test_pages(endpoint: Endpoint) -> None:
    """Check 89: one at a time, in the order of their names, with the one that was just told gone."""
    for name in ("p-b", "p-a", "p-c"):
        assert endpoint.load(name, endpoint.write(name)).status_code == 200
    seen, token = [], "p-"
    while token is not None:
        page = endpoint.ask("GET", params={"limit": "1", "next_page_token": token}).json()
        seen += [model["modelName"] for model in page["models"]]
        if seen[-1] == "p-a":
            endpoint.ask("DELETE", "/p-a")
        token = page.get("nextPageToken")
    assert seen[:3] == ["p-a", "p-b", "p-c"]
    assert len(seen) == len(set(seen))
    for limit in ("0", "-1", "x", "", "99999999999"):
        assert code(endpoint.ask("GET", params={"limit": limit})) == (400, "bad_request")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '"x"',
        "[" * 50_000,
        '{"url": "/opt/ml/models/place/model"}',
        '{"model_name": "new"}',
        '{"model_name": 7, "url": "/opt/ml/models/place/model"}',
        '{"model_name": "../new", "url": "/opt/ml/models/place/model"}',
        '{"model_name": "a%2fb", "url": "/opt/ml/models/place/model"}',
        '{"model_name": "", "url": "/opt/ml/models/place/model"}',
        '{"model_name": ".new", "url": "/opt/ml/models/place/model"}',
        json.dumps({"model_name": "n" * 65, "url": "/opt/ml/models/place/model"}),
        *(
            json.dumps({"model_name": "new", "url": url})
            for url in (
                7,
                "",
                "/",
                "/etc",
                "/opt/ml/models",
                "/opt/ml/model",
                "/opt/ml/models/../model",
                "/opt/ml/models/nothing",
                "/opt/ml/models/place/model/while_loading",
                "/opt/ml/models/place/out",
                "/opt/ml/models/place/circle",
                "/opt/ml/models/linked/model",
                "/opt/ml/models/x\0y",
                "/opt/ml/models/" + "x" * 5000,
                "file:///opt/ml/models/place/model",
            )
        ),
    ],
)
def test_a_request_to_load_that_is_refused(endpoint: Endpoint, body: str) -> None:
    """Check 93: the caller is told at once; nothing is loaded."""
    if not (endpoint.models / "place").exists():
        endpoint.write("place")
        (endpoint.models / "place/out").symlink_to("/etc")
        (endpoint.models / "place/circle").symlink_to("circle")
        endpoint.write("linked")
        (endpoint.models / "linked/model/weights").symlink_to("/etc/passwd")
    assert code(endpoint.ask("POST", data=body)) == (400, "bad_request")
    assert "new" not in endpoint.names()


@pytest.mark.parametrize(
    "path",
    [
        "/models/..%2f..%2fetc%2fpasswd/invoke",
        "/models/%2e%2e/invoke",
        "/models/../../manager/invoke",
        "/models/a%2f..%2fb/invoke",
        "/models/a%00/invoke",
        "/models/..%5cx/invoke",
        "/models//invoke",
        "/models/" + "n" * 65 + "/invoke",
        "/models/.hidden/invoke",
        "/models/..%2f..%2fmanager",
        "/models/",
        "/invocations",
        "/execution-parameters",
        "/",
    ],
)
def test_a_path_that_leads_nowhere(endpoint: Endpoint, path: str) -> None:
    """Check 93, sent as it is written: never a file, never another socket, always JSON."""
    for method in ("POST", "GET"):
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.server.port, timeout=20)
        connection.request(method, path, "echo,1", {"Content-Type": "text/csv"})
        answer = connection.getresponse()
        told = json.loads(answer.read())["error"]
        assert answer.status in (400, 404, 405), told
        if path == "/invocations":
            assert "/models/NAME/invoke" in told["message"]
        connection.close()


def test_other_methods(endpoint: Endpoint) -> None:
    for method, path, allowed in (("PUT", "", "GET, POST"), ("PATCH", "/x", "GET, DELETE"), ("FLY", "", "GET, POST")):
        answer = endpoint.ask(method, path)
        assert code(answer) == (405, "method_not_allowed")
        assert answer.headers.get("Allow") == allowed
    assert endpoint.ask("POST", data=b"x" * 100_000).status_code == 413


@pytest.mark.parametrize(
    ("name", "while_loading", "status"),
    [
        ("starved", "starve,", (507, "insufficient_memory")),
        ("killed", "kill,", (507, "insufficient_memory")),
        ("failed", "raise,the reason", (400, "bad_model")),
        ("left", "exit,3", (400, "bad_model")),
    ],
)
def test_a_model_that_cannot_be_loaded(endpoint: Endpoint, name: str, while_loading: str, status: object) -> None:
    """Checks 90, 92: the reason is told, and nothing stays."""
    url = endpoint.write(name, while_loading)
    before = endpoint.processes()
    answer = endpoint.load(name, url)
    assert code(answer) == status
    assert "the reason" in answer.text or name != "failed"
    assert name not in endpoint.names()
    assert endpoint.processes() == before
    (endpoint.models / name / "model/while_loading").write_text("echo,")
    assert endpoint.load(name, url).status_code == 200


def test_a_model_larger_than_memory_is_not_read(endpoint: Endpoint) -> None:
    """Check 90: its files tell."""
    url = endpoint.write("large")
    with (endpoint.models / "large/model/weights").open("wb") as file:
        file.truncate(1 << 42)
    answer = endpoint.load("large", url)
    assert code(answer) == (507, "insufficient_memory")
    assert "4194368 MB are needed" in answer.text


def test_what_goes_wrong_in_a_model_stays_there(endpoint: Endpoint) -> None:
    """Errors as of one model; a process that is killed is told as what it was, and is started anew."""
    for name in ("well", "ill"):
        assert endpoint.load(name, endpoint.write(name)).status_code == 200
    assert code(endpoint.invoke("ill", "raise,4711")) == (500, "prediction_failed")
    assert code(endpoint.invoke("ill", "starve,")) == (507, "insufficient_memory")
    assert code(endpoint.invoke("ill", "kill,")) == (507, "insufficient_memory")
    assert endpoint.invoke("well", "echo,1").text == "1\n"
    wait_until(lambda: endpoint.invoke("ill", "echo,2").text == "2\n", 10, "a new process")
    assert endpoint.ask("GET", "/ill").status_code == 200


def test_predictions_that_never_end(endpoint: Endpoint) -> None:
    """The caller is told in time and the process replaced; one that cannot even be asked to leave is killed."""
    for name in ("stuck", "deaf"):
        assert endpoint.load(name, endpoint.write(name)).status_code == 200
    before = set(endpoint.processes())
    with ThreadPoolExecutor(2) as clients:
        clients.submit(endpoint.invoke, "deaf", "hold,100")
        stuck = clients.submit(endpoint.invoke, "stuck", "sleep,100")
        wait_until(lambda: is_asked("deaf"), what="the prediction")
        assert endpoint.ask("DELETE", "/deaf").status_code == 200
        assert code(stuck.result()) == (504, "prediction_timeout")
    assert requests.get(f"{endpoint.server.url}/ping", timeout=2).status_code == 200
    wait_until(lambda: endpoint.invoke("stuck", "echo,1").text == "1\n", what="a new process")
    assert len(set(endpoint.processes()) - before) == 1


def test_unloading_waits_for_what_is_under_way(endpoint: Endpoint) -> None:
    """Check 91: the answer comes, then the process ends, then DELETE answers."""
    url = endpoint.write("leaving")
    assert endpoint.load("leaving", url).status_code == 200
    before = endpoint.processes()
    with ThreadPoolExecutor(3) as clients:
        prediction = clients.submit(endpoint.invoke, "leaving", "sleep,4")
        wait_until(lambda: is_asked("leaving"), what="the prediction")
        deletion = clients.submit(endpoint.ask, "DELETE", "/leaving")
        wait_until(lambda: "leaving" not in endpoint.names(), what="the deletion")
        again = clients.submit(endpoint.load, "leaving", url)
        assert not deletion.done()
        assert prediction.result().text == "4\n"
        assert deletion.result().status_code == 200
        assert again.result().status_code == 200
    assert endpoint.invoke("leaving", "echo,1").status_code == 200
    assert len(endpoint.processes()) == len(before)


def is_asked(model: str) -> bool:
    """Tell whether a request has reached a model: a connection on its socket, besides the one that listens."""
    return sum(line.endswith(f"/{model}.sock") for line in Path("/proc/net/unix").read_text().splitlines()) > 1


def test_models_that_come_and_go_at_once(endpoint: Endpoint) -> None:
    """Check 94, for some seconds: every answer is one of those that may be, and the health check is not kept waiting."""
    urls = {name: endpoint.write(name) for name in (f"churn-{number}" for number in range(4))}
    stop = threading.Event()
    pings: list[tuple[int, float]] = []
    seen: dict[str, set[int]] = {"load": set(), "invoke": set(), "delete": set()}

    def ping() -> None:
        while not stop.is_set():
            began = time.monotonic()
            pings.append((requests.get(f"{endpoint.server.url}/ping", timeout=5).status_code, time.monotonic() - began))
            stop.wait(0.1)

    def churn(name: str) -> None:
        while not stop.is_set():
            seen["load"].add(endpoint.load(name, urls[name]).status_code)
            answer = endpoint.invoke(name, f"echo,{name}")
            seen["invoke"].add(answer.status_code)
            assert answer.status_code != 200 or answer.text == f"{name}\n"
            seen["delete"].add(endpoint.ask("DELETE", f"/{name}").status_code)

    with ThreadPoolExecutor(9) as clients:
        # Two clients a name: they meet each other's half-done work.
        running = [clients.submit(ping), *(clients.submit(churn, name) for name in [*urls, *urls])]
        stop.wait(8)
        stop.set()
        for client in running:
            client.result()
    assert seen["load"] <= {200, 409}
    assert seen["invoke"] <= {200, 404, 503}
    assert seen["delete"] <= {200, 404, 409}
    assert all(200 in statuses for statuses in seen.values())
    # One of them may meet a moment in which this machine does nothing.
    assert [status for status, _ in pings if status != 200] in ([], [504])
    assert sorted(seconds for _, seconds in pings)[-2] < 2
    for name in urls:
        endpoint.ask("DELETE", f"/{name}")
    assert endpoint.load("churn-0", urls["churn-0"]).status_code == 200


def test_the_end(scripted: Path, base: Path) -> None:
    """Checks 39, 40: what is under way is answered, and no process is left."""
    with serving(base, scripted, SAGEMAKER_MULTI_MODEL="true") as server:
        endpoint = Endpoint(server, base / "models")
        for name in ("one", "two"):
            assert endpoint.load(name, endpoint.write(name)).status_code == 200
        assert endpoint.invoke("three", "echo,1").status_code == 404
        group = str(endpoint.manager())
        with ThreadPoolExecutor(1) as client:
            prediction = client.submit(endpoint.invoke, "one", "sleep,1")
            wait_until(lambda: is_asked("one"), what="the prediction")
            assert server.stop() == 0
            assert prediction.result().text == "1\n"
        assert [row for row in listing("pgid=,pid=,args=") if row[0] == group and not is_dying(row[1])] == []
    assert "[crit]" not in server.log.read_text()


def test_the_managers_death_is_the_containers(scripted: Path, base: Path) -> None:
    """Check 41: and no model outlives it."""
    with serving(base, scripted, SAGEMAKER_MULTI_MODEL="true") as server:
        endpoint = Endpoint(server, base / "models")
        assert endpoint.load("one", endpoint.write("one")).status_code == 200
        group = endpoint.manager()
        os.kill(group, signal.SIGKILL)
        assert server.process.wait(10) == 1
        assert server.last_line() == "stopped: manager was killed by SIGKILL (out of memory?)"
        assert [row for row in listing("pgid=,pid=,args=") if row[0] == str(group) and not is_dying(row[1])] == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nowhere", "predictor.py cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit", "predictor.py cannot be imported: SystemExit"),
        ("import os; os._exit(3)", "the process that imported predictor.py ended"),
    ],
)
def test_a_predictor_that_cannot_be_used(base: Path, tmp_path: Path, launch: Any, code: str, told: str) -> None:
    """It is told at the start, before any model comes."""
    predictor = tmp_path / "predictor.py"
    predictor.write_text(code + "\n")
    folder = program.write_program(tmp_path / "program", predictor)
    server = launch(folder, SAGEMAKER_MULTI_MODEL="true")
    assert server.process.wait(60) == 1
    assert told in server.last_line()
