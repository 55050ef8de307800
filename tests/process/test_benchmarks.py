"""The benchmarks' own promises, on real servers: answers are checked, every client has its own, nothing is left over."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks import models, processes
from benchmarks.runner import Plan, Runner
from benchmarks.servers import ServerError, serving
from benchmarks.systems import OWN, PATH, Launch, System, environ
from benchmarks.works import Work
from tests.program import is_dying

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEMS = {system.name: system for system in OWN}
pytestmark = pytest.mark.skipif(
    not (shutil.which("wrk", path=PATH) or os.environ.get("CI")), reason="wrk is not installed: apt-get install wrk"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> models.Model:
    """The benchmarks' own tree on iris."""
    return models.fit("iris", tmp_path_factory.mktemp("benchmarks"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that nginx's workers, maybe another user's, can reach: not pytest's own."""
    with tempfile.TemporaryDirectory(prefix="byoc-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_round_of_a_small_work(folder, model, monkeypatch):
    """The classic sample and the echo run in CI's guard."""
    monkeypatch.setattr(models, "fit", lambda *_: model)
    broken = System("broken", "", lambda _: Launch([["sh", "-c", "echo no such luck; exit 3"]], environ()))
    work = Work("iris-c4", "", "iris", 1, 4, beside="ping")
    figures = Runner(Plan([work], [broken, SYSTEMS["ours"]], 1, 1), folder, lambda _: None).run()
    assert figures.troubles == {"broken": "broken did not start: no such luck"}
    assert sum(figures.failures.values()) == 0
    for measure in ("rate", "tail", "ping"):
        assert figures.values["iris-c4", measure, "ours"][0] > 0
    for measure in ("start", "memory"):
        assert figures.values["iris", measure, "ours"][0] > 0
    assert not list(folder.iterdir())


def test_wrong_answers_and_refusals_are_seen(folder, model):
    with serving(SYSTEMS["ours"], model, folder / "server") as server:
        clients = model.requests(3, 1)
        assert len({request.body for requests in clients for request in requests}) == 3 * models.REQUESTS_PER_CLIENT
        bodies = server.prepare(clients, folder / "bodies")
        assert server.load(3, bodies, 1)[0].failures == 0
        strange = replace(SYSTEMS["ours"], name="strange", is_right=lambda *_: False)
        with pytest.raises(ServerError, match="strange answered 200"):
            replace(server, system=strange).prepare(clients, folder / "strange")
        # As if one client were answered what is another's.
        (bodies / "0.0.answer").write_text("another's\n")
        (bodies / "1.0.body").write_text("not,a,row\n")
        load, _ = server.load(3, bodies, 1)
        assert load.wrong
        assert load.refused
        assert load.good
        family = processes.descendants(server.pids)
        assert len(family) > 3
    assert not [pid for pid, began in family.items() if processes.start_time(pid) == began and not is_dying(pid)]
