"""Runs checks by pytest, which collects them, times them and writes JUnit's XML."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from byoc_cli.doctor.check import Check, Failed
from byoc_cli.doctor.report import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Sequence

    from byoc_cli.doctor.subject import Subject

CHECKS = Path(__file__).parent / "checks"


class Plugin:
    """What makes pytest the doctor's engine: choosing checks, giving them the subject, taking what they saw.

    Args:
        numbers: the checks to run.
        subject: the image under test; None only collects.
        tell: called with each check's place (from 1), their count, the check and its result, None before it has one.
    """

    def __init__(
        self,
        numbers: Collection[int],
        subject: Subject | None = None,
        tell: Callable[[int, int, Check, Result | None], None] = lambda *_: None,
    ) -> None:
        self.numbers = numbers
        self.given = subject
        self.tell = tell
        self.checks: list[Check] = []
        self.results: list[Result] = []

    @pytest.fixture
    def subject(self) -> Subject | None:
        """Return the image under test."""
        return self.given

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what was chosen, in the order of the numbers."""
        items[:] = sorted((item for item in items if check_of(item).number in self.numbers), key=number_of)
        self.checks = [check_of(item) for item in items]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Tell that the check begins."""
        check = check_of(item)
        self.tell(self.checks.index(check) + 1, len(self.checks), check, None)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Call the check and keep what it returned."""
        pyfuncitem.user_properties.append(("seen", pyfuncitem.obj(self.given)))
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Make a result of the call; JUnit's file says what the table says."""
        report = yield
        if call.when != "call" and call.excinfo is None:
            return report
        check = check_of(item)
        status, seen = finding(item, call)
        if status == "failed":
            report.longrepr = f"seen: {seen}; expected: {check.expected}; to change: {check.advice}"
        result = Result(check, status, seen, call.duration)
        self.results.append(result)
        self.tell(self.checks.index(check) + 1, len(self.checks), check, result)
        return report


def check_of(item: pytest.Item) -> Check:
    """Return the check that a function was made."""
    check = item.obj.check  # type: ignore[attr-defined]
    assert isinstance(check, Check)
    return check


def number_of(item: pytest.Item) -> int:
    """Return the check's number."""
    return check_of(item).number


def finding(item: pytest.Item, call: pytest.CallInfo[Any]) -> tuple[str, str]:
    """Return the status and what was seen."""
    if call.excinfo is None:
        return "passed", str(dict(item.user_properties)["seen"])
    error = call.excinfo.value
    if isinstance(error, pytest.skip.Exception):
        return "not offered", str(error.msg)
    if isinstance(error, Failed):
        return "failed", str(error)
    return "failed", f"the doctor could not look: {type(error).__name__}: {error}"


def collect() -> list[Check]:
    """Return every check there is."""
    plugin = Plugin(range(1, 109))
    _pytest(["--collect-only"], plugin)
    return plugin.checks


def run(plugin: Plugin, junit: Path | None) -> None:
    """Run the plugin's checks.

    Raises:
        KeyboardInterrupt: so was it ended.
        click.ClickException: pytest itself failed: no check may seem to have passed that did not run.
    """
    code = _pytest([f"--junit-xml={junit.resolve()}"] if junit else [], plugin)
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code in {pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR}:
        raise click.ClickException("pytest could not run the checks; what it wrote above says why")


def _pytest(arguments: Sequence[str], plugin: Plugin) -> int:
    # The settings of who calls us are for other tests.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    return pytest.main([f"--config-file={CHECKS / 'pytest.ini'}", *arguments, str(CHECKS)], plugins=[plugin])
