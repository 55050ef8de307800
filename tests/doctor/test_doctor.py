"""`byoc doctor` on images that are good, and on images that are bad on purpose."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from tests import engine
from tests.doctor.conftest import command
from tests.program import ROOT, wait_until
from tests.readme import README, expanded, pattern, shown

pytestmark = pytest.mark.docker

# What is wrong, the check that must see it, and the words by which it does; M checks end the run with 1, S with 0.
FAULTS = {
    "no ping": (45, r"no 200 from /ping within 10 s: /ping answers 404"),
    "wrong port": (45, r"no 200 from /ping within 10 s: GET /ping got no answer"),
    "pings without a model": (46, r"/ping answers 200 without a model"),
    "blocks on large bodies": (48, r"the slowest took [2-9]\.\d s|got no answer: TimeoutError"),
    "200 on garbage": (68, r"text for numbers: answered 200: setosa"),
    "traceback in the answer": (71, r'the answer holds "Traceback"'),
    "HTML": (72, r"GET /no/such/path is answered with text/html"),
    "exits 0 on failure": (28, r"exit code 0 although nothing could be trained"),
    "no failure file": (28, r"exit code 1, but no text in /opt/ml/output/failure"),
    "partial model": (34, r"left: means\.json"),
    "needs a hyperparameter": (3, r"exit code 1: KeyError: 'epochs'"),
    "links in the model": (21, r"neither file nor folder: latest\.json"),
    "ignores SIGTERM": (38, r"it still ran 10 s after SIGTERM"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_image_fails_the_right_check_for_the_right_reason(catches, fault):
    catches({fault: FAULTS[fault]}, "--start-timeout", "10")


def test_the_same_image_without_a_fault_passes_them_all(bad_image, examine):
    numbers = ",".join(sorted({str(number) for number, _ in FAULTS.values()}))
    examined = examine(bad_image(), "--only", numbers)
    assert {number: result["status"] for number, result in examined.results.items()} == dict.fromkeys(
        (number for number, _ in sorted(FAULTS.values())), "passed"
    ), examined.output
    assert examined.code == 0


def test_a_shell_as_pid_1_is_seen_twice(bad_image, examine):
    image = bad_image(ending="ENTRYPOINT sleep 0; train; sleep 60")
    results = examine(image, "--only", "2,38").results
    assert 'ENTRYPOINT is ["/bin/sh", "-c"' in results[2]["seen"]
    assert results[38]["status"] == "failed"


def test_what_an_image_does_not_claim_is_not_offered(bad_image, examine):
    examined = examine(bad_image(), "--only", "40,52,53,76,99")
    assert {result["status"] for result in examined.results.values()} == {"not offered"}, examined.output
    assert examined.results[52]["seen"] == "application/json is answered with 415"
    assert examined.code == 0


@pytest.mark.timeout(900)
def test_our_image_passes_every_check(whole):
    assert [result for result in whole.results.values() if result["status"] != "passed"] == []
    assert sorted(whole.results) == list(range(1, 109))
    assert whole.code == 0


@pytest.mark.timeout(900)
def test_a_mode_works_where_its_checks_pass(whole):
    for mode, works, numbers, _tests in README.table("mode"):
        passed = {whole.results[number]["status"] == "passed" for number in expanded(numbers)}
        assert works != "yes" or passed == {True}, mode


def test_junit_counts_what_was_examined_and_nothing_is_left(base, examine, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    examine(base, "--only", "2,66", "--junit", str(tmp_path / "junit.xml"))
    assert 'tests="2"' in (tmp_path / "junit.xml").read_text()
    assert list(tmp_path.glob("byoc-doctor-*")) == []
    assert leftovers(base) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_it_is_interrupted(bad_image, number, tmp_path):
    image = bad_image("ignores SIGTERM")
    env = {**os.environ, "DOCKER": engine.client(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command(image, "--only", "3,36,38"), cwd=ROOT, env=env, stderr=subprocess.PIPE) as process:
        wait_until(lambda: leftovers(image), 30, "a container of the doctor's")
        process.send_signal(number)
        assert process.wait(60) != 0
    assert leftovers(image) == []
    assert list(tmp_path.glob("byoc-doctor-*")) == []


def leftovers(image: str) -> list[str]:
    """Return the doctor's containers of an image."""
    options = ("ps", "-a", "-q", "--filter", "label=byoc.doctor", "--filter", f"ancestor={image}")
    return engine.docker(*options).stdout.split()


def test_an_image_that_is_not_there_is_one_line():
    done = subprocess.run(
        command("no-such-image-anywhere"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == "Error: there is no image no-such-image-anywhere here; build it, or pull it, and try again\n"


def test_the_readme_shows_a_real_table(bad_image, examine):
    block = README.block("$ byoc doctor")
    options = block.splitlines()[0].split()[4:]
    examined = examine(bad_image("traceback in the answer"), *options)
    assert re.fullmatch(pattern(shown(block)), examined.output.lstrip()), examined.output


@pytest.fixture
def classic(base):
    """The classic sample's image, with the packages of ours."""
    name = engine.unique()
    build = engine.build(name, ROOT / "benchmarks/classic", {"PACKAGES": base})
    assert build.returncode == 0, build.stderr
    yield name
    engine.docker("rmi", "--force", name, check=False)


def test_the_readme_tells_what_is_wrong_with_the_classic_sample(classic, examine):
    table = {int(number): (word, seen) for number, word, seen in README.table("check")}
    # What it does well, among that.
    good = (3, 41, 51, 64)
    examined = examine(classic, "--only", ",".join(map(str, (*table, *good))))
    assert sorted(examined.results) == sorted([*table, *good])
    for number, result in examined.results.items():
        assert (result["status"] == "failed") == (number in table), result
        if number in table:
            word, seen = table[number]
            assert word == {"M": "ERROR", "S": "warning"}[result["level"]]
            assert re.fullmatch(pattern([seen]), f"{result['seen']}\n"), result
    assert examined.code == 1
