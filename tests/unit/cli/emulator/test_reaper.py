from __future__ import annotations

import subprocess
import sys

from byoc_cli.emulator.reaper import Reaper, kill
from tests.program import is_running, wait_until

# A program whose worker is in a session of its own, as script mode's is.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def begin() -> tuple[subprocess.Popen[bytes], int]:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_kills_whatever_a_program_started():
    process, child = begin()
    with process:
        kill(process.pid)
        assert process.wait(10) == -9
        wait_until(lambda: not is_running(child), 10)
    kill(process.pid)


def test_the_watched_end_with_the_emulator():
    process, child = begin()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with process:
        reaper = Reaper("", "byoc.emulator=test")
        reaper.watch(process.pid)
        reaper.watch(ended.pid)
        reaper.close()
        assert process.wait(10) == -9
        wait_until(lambda: not is_running(child), 10)
