"""The emulator's page in a real browser, over real jobs and endpoints of container/program."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests import browser, datasets
from tests.emulator import ROLE, emulating
from tests.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser import Tab
    from tests.emulator import Running

EPOCHS = 12
# Text that must stay text, wherever it comes up.
MARKUP = "<img src=x onerror=alert(1)>"
SCRIPT = f"""
for epoch in range({EPOCHS}):
    print(f"train:loss={{1 / (1 + epoch):.4f}}; validation:loss={{1.5 / (1 + epoch):.4f}};", flush=True)
print("{MARKUP}")
raise SystemExit("{MARKUP} is why")
"""


@dataclass(frozen=True)
class Shown:
    """What the page shows."""

    emulator: Running

    def api(self, path: str, **arguments: Any) -> requests.Response:
        return requests.get(f"{self.emulator.address}/_byoc/api/{path}", params=arguments, timeout=30)


@pytest.fixture(scope="module")
def shown(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """An emulator with an endpoint of iris, a training job that told metrics and failed, and a transform job."""
    source = tmp_path_factory.mktemp("source")
    (source / "loop.py").write_text(SCRIPT)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(trained / "model", arcname=".")
    with emulating(tmp_path_factory.mktemp("page"), native=True) as running:
        sagemaker = running.sagemaker
        uri = running.put("iris.tar.gz", archive.getvalue())
        sagemaker.create_model(
            ModelName="iris", PrimaryContainer={"Image": "x", "ModelDataUrl": uri}, ExecutionRoleArn=ROLE
        )
        variant = {"VariantName": "all", "ModelName": "iris", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(EndpointConfigName="iris", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName="flowers", EndpointConfigName="iris")
        metrics = [{"Name": name, "Regex": f"{name}=([0-9.]+);"} for name in ("train:loss", "validation:loss")]
        running.train(
            "told",
            "x",
            AlgorithmSpecification={"MetricDefinitions": metrics},
            HyperParameters={
                "sagemaker_program": "loop.py",
                "sagemaker_submit_directory": str(source),
                "text": MARKUP,
            },
        )
        running.put("in/a.csv", "5.1,3.5,1.4,0.2\n")
        sagemaker.create_transform_job(
            TransformJobName="batch",
            ModelName="iris",
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://a-bucket/in/"}},
                "ContentType": "text/csv",
            },
            TransformOutput={"S3OutputPath": "s3://a-bucket/out"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )
        sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
            TransformJobName="batch", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName="flowers", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        yield Shown(running)


@pytest.fixture
def tab(shown: Shown, tmp_path: Path) -> Iterator[Tab]:
    with browser.browsing(tmp_path) as opened:
        yield opened
        assert opened.errors == []


def open_page(tab: Tab, shown: Shown, path: str) -> None:
    tab.open(f"{shown.emulator.address}/{path}")
    tab.wait("document.querySelector('#link').textContent === 'live'")


def test_all_there_is_is_listed_and_led_to_by_the_keyboard(tab, shown):
    open_page(tab, shown, "")
    listed = tab.wait(
        "document.querySelector('nav').innerText.includes('batch') && document.querySelector('nav').innerText"
    )
    for words in ("told\n✕ Failed", "flowers\n✓ In service", "batch\n✓ Completed"):
        assert words in listed
    tab.press("Tab")
    assert tab.value("document.activeElement.textContent") == "Skip to the content"
    tab.tab_to("it.textContent.startsWith('batch')")
    tab.press("Enter")
    tab.wait("document.querySelector('h1').textContent === 'batch'")
    assert tab.value("document.activeElement.id") == "main"
    text = tab.wait(
        "document.querySelector('main').innerText.includes('s3://a-bucket/in/') && document.querySelector('main').innerText"
    )
    assert "a-bucket/out" in text
    assert tab.value("document.querySelector('nav a[aria-current=page]').textContent").startswith("batch")


def test_metrics_are_drawn(tab, shown):
    open_page(tab, shown, "#/training-jobs/told")
    tiles = tab.wait("document.querySelectorAll('.tile').length === 2 && document.querySelector('.tiles').innerText")
    assert "train:loss\n0.0833\n0.0833 to 1, 12 points" in tiles
    assert "validation:loss\n0.125" in tiles
    told = tab.wait("document.querySelector('.plot').getAttribute('aria-label')")
    assert told == "train:loss: from 1 to 0.0833 in 12 points; validation:loss: from 1.5 to 0.125 in 12 points"
    # Both curves are on the canvas in their colours, which differ.
    drawn = """(() => {
        const canvas = document.querySelector('.plot canvas'), tones = ['--series-0', '--series-1'];
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return tones.map((tone) => {
            const text = getComputedStyle(document.documentElement).getPropertyValue(tone).trim();
            const [r, g, b] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
            let count = 0;
            for (let at = 0; at < data.length; at += 4)
                if (Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 30 && data[at + 3] > 200) count++;
            return count;
        });
    })()"""
    assert tab.wait(f"({drawn}).every((count) => count > 100)")


def test_text_of_jobs_stays_text(tab, shown):
    open_page(tab, shown, "#/training-jobs/told")
    tab.wait(f"document.querySelector('.failure')?.innerText.includes({json.dumps(MARKUP)})")
    tab.wait(f"document.querySelector('.log').innerText.includes({json.dumps(MARKUP)})")
    tab.wait(f"document.querySelector('table').innerText.includes({json.dumps(MARKUP)})")
    assert tab.value("document.querySelectorAll('main img').length") == 0


def test_an_endpoint_is_tried_by_the_keyboard_alone(tab, shown):
    open_page(tab, shown, "#/endpoints/flowers")
    tab.wait("document.querySelectorAll('.field input').length === 4")
    row = next(row for row in datasets.iris().rows if row[0] == "virginica")
    for number, value in enumerate(row[1:]):
        tab.tab_to(f"it.id === 'field-{number}'")
        assert tab.value("document.activeElement.labels[0].textContent") == f"column_{number + 1} Float64"
        # Tab selects what a field holds, as it does in any browser.
        tab.type(value)
        assert tab.value("document.activeElement.value") == value
    tab.press("Enter")
    answer = tab.wait("document.querySelector('#answer table') && document.querySelector('#answer').innerText")
    assert answer.startswith("200 OK in ")
    assert "virginica" in answer
    assert float(tab.value("document.querySelector('.latency').textContent").removesuffix(" ms")) > 0
    assert tab.value("document.querySelector('#answer').getAttribute('aria-live')") == "polite"
    assert tab.value("document.querySelectorAll('#answer meter').length") == 3
    # The same as a body of another type, and a mistake in it.
    tab.press("Tab", shift=True)
    tab.tab_to("it.name === 'mode'")
    tab.press("ArrowRight")
    tab.tab_to("it.tagName === 'TEXTAREA'")
    tab.value("document.activeElement.select()")
    tab.type("a,b,c,d\n")
    tab.tab_to("it.type === 'submit'")
    tab.press("Enter")
    told = tab.wait("document.querySelector('#answer .failure') && document.querySelector('#answer').innerText")
    assert told.startswith("424 ModelError in ")
    assert "column_1" in told
    logged = tab.wait(
        "document.querySelector('.log').innerText.includes('status=400') && document.querySelector('.log').innerText"
    )
    assert "POST /invocations" in logged


def test_a_phone_shows_one_thing_at_a_time(tab, shown):
    tab.do("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    open_page(tab, shown, "#/endpoints/flowers")
    tab.wait("document.querySelectorAll('.field input').length === 4")
    assert tab.value("document.documentElement.scrollWidth") <= 360
    assert tab.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    tab.tab_to("it.textContent === '← All'")
    tab.press("Enter")
    tab.wait("getComputedStyle(document.querySelector('nav')).display !== 'none'")


def test_the_dark_has_colours_of_its_own(tab, shown):
    backs = []
    for scheme in ("light", "dark"):
        tab.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        open_page(tab, shown, "")
        backs.append(tab.value("getComputedStyle(document.querySelector('.card')).backgroundColor"))
    assert backs == ["rgb(255, 255, 255)", "rgb(24, 28, 38)"]


def test_a_failure_is_news_that_is_read_out(tab, shown):
    open_page(tab, shown, "")
    assert tab.value("document.querySelector('#news').getAttribute('aria-live')") == "polite"
    tab.wait("document.querySelectorAll('#list-training-jobs a').length > 0")
    request = shown.emulator.job(
        "news", "x", HyperParameters={"sagemaker_program": "none.py", "sagemaker_submit_directory": "/none"}
    )
    shown.emulator.sagemaker.create_training_job(**request)
    tab.wait("document.querySelector('#news').textContent === 'training job news: Failed'")


def test_only_this_machine_and_no_other_sites_scripts(shown):
    address = shown.emulator.address
    answer = requests.get(address, timeout=30)
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for host in ("evil.example", "127.0.0.1.evil.example"):
        for path in ("/", "/_byoc/app.js", "/_byoc/api/overview"):
            assert requests.get(address + path, headers={"Host": host}, timeout=30).status_code == 403
    for host in ("localhost:80", "127.0.0.1", "[::1]:8080"):
        assert requests.get(address, headers={"Host": host}, timeout=30).status_code == 200
    assert requests.post(f"{address}/_byoc/api/overview", timeout=30).status_code == 405
    for path in (
        "nothing",
        "%2e%2e/views.py",
        "../views.py",
        "api/nothing",
        "api/training-jobs/none",
        "api/log?stream=../emulator",
    ):
        assert requests.get(f"{address}/_byoc/{path}", timeout=30).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["", "_byoc/style.css", "_byoc/app.js", "_byoc/icon.svg", "_byoc/uplot/uPlot.iife.min.js", "_byoc/uplot/LICENSE"],
)
def test_the_page_needs_nothing_from_elsewhere(shown, path):
    answer = requests.get(f"{shown.emulator.address}/{path}", timeout=30)
    assert answer.status_code == 200
    if not path.endswith(("LICENSE", ".min.js")):
        assert "https://" not in answer.text
        assert "style=" not in answer.text
        assert "onclick" not in answer.text


def test_logs_and_metrics_are_told_from_where_one_left_off(shown):
    (stream,) = shown.api("logs", prefix="TrainingJobs/told").json()["streams"]
    first = shown.api("log", stream=stream).json()
    assert MARKUP in [line["text"] for line in first["lines"]]
    assert any(line["level"] == "error" for line in first["lines"])
    assert shown.api("log", stream=stream, **{"from": first["next"]}).json() == {"lines": [], "next": first["next"]}
    points = shown.api("metrics/told").json()
    assert len(points["points"]) == 2 * EPOCHS
    assert shown.api("metrics/told", **{"from": points["next"]}).json()["points"] == []
    # A line that is still being written is not told.
    file = shown.emulator.state / "metrics" / "told.jsonl"
    with file.open("a") as opened:
        opened.write('{"name": "late", "value": 1, ')
        opened.flush()
        assert shown.api("metrics/told", **{"from": points["next"]}).json() == {"points": [], "next": points["next"]}
        opened.write('"time": 2}\n')
    late = shown.api("metrics/told", **{"from": points["next"]}).json()
    assert late["points"] == [{"name": "late", "value": 1, "time": 2}]


def test_a_name_that_begins_as_another_has_its_own_logs(shown):
    root = shown.emulator.state / "logs" / "TrainingJobs"
    others = [root / name / "algo-1-1.log" for name in ("told2", "told-2", "tol")]
    for file in others:
        file.parent.mkdir()
        file.write_text("of another\n")
    streams = shown.api("logs", prefix="TrainingJobs/told").json()["streams"]
    assert len(streams) == 1
    assert streams[0].startswith("TrainingJobs/told/algo-1-")
    for file in others:
        file.unlink()
        file.parent.rmdir()


def test_the_form_is_made_from_what_the_model_tells(shown):
    told = shown.api("endpoints/flowers/form").json()
    assert [(each["name"], each["type"]) for each in told["fields"]] == [
        (f"column_{n}", "Float64") for n in range(1, 5)
    ]
    assert all(4.0 < float(each["example"]) < 8 for each in told["fields"][:1])
    assert (told["variants"], told["is_multi"], told["is_async"]) == (["all"], False, False)


def test_a_transform_job_that_runs_tells_how_far_it_is(shown):
    assert shown.api("transform-jobs/batch").json()["progress"] == {}
    shown.emulator.put("many/a.csv", "5.1,3.5,1.4,0.2\n" * 3000)
    request = {
        "TransformJobName": "many",
        "ModelName": "iris",
        "BatchStrategy": "SingleRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://a-bucket/many/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://a-bucket/many-out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    shown.emulator.sagemaker.create_transform_job(**request)
    told = wait_until(
        lambda: (each := shown.api("transform-jobs/many").json()["progress"]).get("requests") and each, 60
    )
    assert (told["objects"], told["finished"]) == (1, 0)
    shown.emulator.sagemaker.stop_transform_job(TransformJobName="many")
