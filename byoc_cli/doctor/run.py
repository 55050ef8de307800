"""Runs checks by pytest, which collects them and writes JUnit's XML; several run at a time, in threads."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from byoc_cli.doctor.check import Check, Failed
from byoc_cli.doctor.progress import Progress
from byoc_cli.doctor.report import Result

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Sequence
    from concurrent.futures import Future

    from byoc_cli.doctor.subject import Subject

CHECKS = Path(__file__).parent / "checks"
ENDED = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}


class Plugin:
    """What makes pytest the doctor's engine: choosing checks, giving them the subject, taking what they saw.

    pytest itself goes from check to check and knows nothing of threads: where it would call one, it waits for the
    result of the thread that does.

    Args:
        numbers: the checks to run.
        subject: the image under test; None only collects.
        jobs: how many checks may run at a time.
    """

    def __init__(self, numbers: Collection[int], subject: Subject | None = None, jobs: int = 1) -> None:
        self.numbers = numbers
        self.given = subject
        self.pool = ThreadPoolExecutor(jobs)
        self.progress = Progress()
        self.checks: list[Check] = []
        self.begun: dict[pytest.Item, Future[Result]] = {}
        self.found: dict[pytest.Item, Result] = {}
        self.broken: list[str] = []

    @property
    def results(self) -> list[Result]:
        """The results so far, in the order of the numbers."""
        return sorted(self.found.values(), key=lambda result: result.check.number)

    @pytest.fixture
    def subject(self) -> Subject | None:
        """Return the image under test."""
        return self.given

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a file of checks cannot be read."""
        if report.failed:
            self.broken.append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what was chosen, by number; what may be looked at again comes late, what runs alone last."""
        chosen = {item: check_of(item) for item in items if check_of(item).number in self.numbers}
        items[:] = sorted(chosen, key=lambda item: (chosen[item].alone, chosen[item].timed, chosen[item].number))
        self.checks = sorted(chosen.values(), key=lambda check: check.number)
        self.progress.expect(self.checks)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Begin all checks that may run beside others."""
        if session.config.option.collectonly:
            return (yield)
        with self.pool:
            self.begun = {item: self.begin(item) for item in session.items if not check_of(item).alone}
            try:
                return (yield)
            except BaseException:
                # A second Ctrl-C must not end the cleaning.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                self.pool.shutdown(wait=False, cancel_futures=True)
                if self.given:
                    self.given.engine.close()
                raise

    def begin(self, item: pytest.Item) -> Future[Result]:
        """Let a thread run a check as soon as one is free."""
        return self.pool.submit(self.look, item)

    def look(self, item: pytest.Item) -> Result:
        """Run a check."""
        check = check_of(item)
        self.progress.begin(check)
        call = pytest.CallInfo.from_call(partial(item.obj, self.given), "call")  # type: ignore[attr-defined]
        result = Result(check, *finding(call), call.duration)
        self.progress.end(result)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Wait for the check's result; one that runs alone begins only now, when no other is left."""
        result = (self.begun.get(pyfuncitem) or self.begin(pyfuncitem)).result()
        if result.status == "failed" and result.check.timed:
            result = result.then(self.begin(pyfuncitem).result())
        self.found[pyfuncitem] = result
        if result.status == "not offered":
            pytest.skip(result.seen)
        if result.status == "failed":
            check = result.check
            text = f"seen: {result.seen}; expected: {check.expected}; to change: {check.advice}"
            pytest.fail(text, pytrace=False)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give JUnit's file the time that the check took, not that which pytest waited."""
        report = yield
        if call.when == "call" and item in self.found:
            report.duration = self.found[item].seconds
        return report


def check_of(item: pytest.Item) -> Check:
    """Return the check that a function was made."""
    check = item.obj.check  # type: ignore[attr-defined]
    assert isinstance(check, Check)
    return check


def finding(call: pytest.CallInfo[Any]) -> tuple[str, str]:
    """Return the status and what was seen."""
    if call.excinfo is None:
        return "passed", str(call.result)
    error = call.excinfo.value
    if isinstance(error, pytest.skip.Exception):
        return "not offered", str(error.msg)
    if isinstance(error, Failed):
        return "failed", str(error)
    return "failed", f"the doctor could not look: {type(error).__name__}: {error}"


def collect() -> list[Check]:
    """Return every check there is.

    Raises:
        click.ClickException: pytest failed.
    """
    plugin = Plugin(range(1, 109))
    _pytest(["--collect-only"], plugin)
    return plugin.checks


def run(plugin: Plugin, junit: Path | None) -> None:
    """Run the plugin's checks.

    Raises:
        KeyboardInterrupt: so was it ended.
        click.ClickException: pytest itself failed: no check may seem to have passed that did not run.
    """
    _pytest([f"--junit-xml={junit.resolve()}"] if junit else [], plugin)


def _pytest(arguments: Sequence[str], plugin: Plugin) -> None:
    # The settings of who calls us are for other tests.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    code = pytest.main([f"--config-file={CHECKS / 'pytest.ini'}", *arguments, str(CHECKS)], plugins=[plugin])
    if plugin.broken:
        raise click.ClickException("the checks cannot be read\n" + "\n".join(plugin.broken))
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in ENDED:
        raise click.ClickException("pytest could not run the checks; what it wrote above says why")
