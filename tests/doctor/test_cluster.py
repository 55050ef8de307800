"""`byoc doctor` on an image with the extra `cluster`: its job on three hosts is one that Dask spreads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import engine
from tests.program import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.doctor.conftest import Examined

pytestmark = pytest.mark.docker

# The checks of hosts would pass without Dask as well, so `fit` itself refuses to run without it.
FIRST = "    # Slow imports belong here"
REFUSAL = """\
    from joblib.parallel import get_active_backend
    backend = get_active_backend()[0]
    if len(job.environment.hosts) > 1 and "dask" not in type(backend).__module__:
        raise RuntimeError(f"joblib's work goes to {backend}")
"""


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Returns a function that gives an image the `train` that refuses."""
    names = []

    def build(image: str) -> str:
        names.append(engine.unique())
        train = (PROGRAM / "train").read_text()
        assert train.count(FIRST) == 1
        (tmp_path / "train").write_text(train.replace(FIRST, REFUSAL + FIRST))
        (tmp_path / "train").chmod(0o755)
        (tmp_path / "Dockerfile").write_text(f"FROM {image}\nCOPY train /opt/program/train\n")
        built = engine.build(names[-1], tmp_path)
        assert built.returncode == 0, built.stderr
        return names[-1]

    yield build
    engine.docker("rmi", "--force", *names, check=False)


def test_the_checks_of_hosts_pass_with_dask(
    wide: str, strict: Callable[[str], str], examine: Callable[..., Examined]
) -> None:
    examined = examine(strict(wide), "--only", "16,17,18,19,20")
    seen = {number: (result["status"], result["seen"]) for number, result in examined.results.items()}
    assert [status for status, _ in seen.values()] == ["passed"] * 5, examined.output
    assert seen[18][1] == "algo-1 has rank 0, algo-10 has rank 1, algo-2 has rank 2"
    assert seen[20][1] == "algo-1/report.html"


def test_without_dask_that_job_would_fail(
    image: str, strict: Callable[[str], str], examine: Callable[..., Examined]
) -> None:
    result = examine(strict(image), "--only", "17").results[17]
    assert result["status"] == "failed"
    assert "joblib's work goes to" in result["seen"]
