"""What `pip install .` installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from tests.program import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_is_in_the_package(tmp_path: Path):
    # Building writes beside what it builds.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("byoc_cli", "container"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "build_and_push.sh"):
        shutil.copy(ROOT / name, source)
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True, timeout=200)
    (wheel,) = tmp_path.glob("byoc-*.whl")
    static = ROOT / "byoc_cli" / "emulator" / "page" / "static"
    files = {f"byoc_cli/{path.relative_to(ROOT / 'byoc_cli')}" for path in static.rglob("*") if path.is_file()}
    assert len(files) > 10
    assert files <= set(zipfile.ZipFile(wheel).namelist())
