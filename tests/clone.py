"""A clone of the repository that a test may spoil, and its scripts, run from another folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The classes of local_test/payloads/iris.*, row by row.
CLASSES = ["versicolor", "setosa", "virginica", "versicolor", "virginica", "setosa", "virginica", "setosa"]
DEMO = [sys.executable, "-c", "from byoc_cli.main import main; main()", "demo"]


def make_clone(root: Path) -> Path:
    """Copies what the laptop runs, links the rest; nothing is trained yet."""
    ours = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "local_test", root / "local_test", ignore=ours)
    for folder in ("model", "output"):
        shutil.rmtree(root / "local_test" / "test_dir" / folder)
        (root / "local_test" / "test_dir" / folder).mkdir()
        (root / "local_test" / "test_dir" / folder / ".gitkeep").touch()
    shutil.copytree(ROOT / "byoc_cli", root / "byoc_cli", ignore=ours)
    (root / "container").symlink_to(ROOT / "container")
    (root / ".venv").symlink_to(sys.prefix)
    return root


def script(clone: Path, name: str, *arguments: str, env: dict[str, str] | None = None, text: str = "", **process):
    """Runs a script of local_test/ to its end, from the root folder."""
    return subprocess.run(
        [clone / "local_test" / name, *arguments],
        cwd="/",
        env={**os.environ, **(env or {})},
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **process,
    )


def start_demo(clone: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts `byoc demo` on the clone."""
    environ = {**os.environ, "PYTHONPATH": str(clone), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([*DEMO, *arguments], cwd=clone, env=environ, stdout=-1, stderr=-1, text=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for_ping(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server ended with exit code {process.returncode}")


def programs_of(clone: Path) -> list[str]:
    """The command lines of all processes that work for this clone."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(clone).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
