"""What `pip install .` installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from tests import clone
from tests.program import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_is_in_the_package(tmp_path: Path):
    source = clone.make(tmp_path / "source")
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True, timeout=200)
    (wheel,) = tmp_path.glob("byoc-*.whl")
    static = ROOT / "byoc_cli" / "emulator" / "page" / "static"
    files = {f"byoc_cli/{path.relative_to(ROOT / 'byoc_cli')}" for path in static.rglob("*") if path.is_file()}
    assert len(files) > 10
    assert files <= set(zipfile.ZipFile(wheel).namelist())
