"""The platform's notice: real signals to a real process, which polls or does not (CONTRACT checks 36 to 38)."""

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.program import PROGRAM

pytestmark = pytest.mark.timeout(60)

# What runs between the lines "ready" and "end". The notice's own clock ends no job before a test gives up, but for
# those below that are there to be ended by it.
SCRIPT = """
import sys, time
from byoc.training import stop
stop.IMPATIENCE, stop.PATIENCE = 30.0, 60.0
notice = stop.StopNotice()
notice.install()
def say(word):
    print(word, flush=True)
{begin}
try:
    {body}
except stop.Stopped as stopped:
    say(f"stopped by {{stopped}}")
    sys.exit(128 + stopped.signum)
"""
ASKS = """
    assert not notice.requested
    say("ready")
    while not notice.requested:
        time.sleep(0.01)
    notice.finish()
    say("saved")
"""
NEVER_ASKS = """
    say("ready")
    while True:
        time.sleep(0.01)
"""
ASKS_ONCE = """
    stop.IMPATIENCE, stop.PATIENCE = 0.4, 1.0
    assert not notice.requested
    say("ready")
    while True:
        time.sleep(0.01)
"""
FINISHING = """
    notice.finish()
    say("ready")
    for line in sys.stdin:
        pass
    say("saved")
"""
# One call of compiled code that gives Python no chance to run a handler, as a long fit is.
COMPILED = """
    import hashlib, threading
    stop.IMPATIENCE = 0.4
    threading.Timer(0.3, say, ["ready"]).start()  # by then the call below runs
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""
# What compiled modules do with an exception that comes while they are imported, as NumPy's do.
IMPORTING = """
    import pathlib, tempfile
    folder = tempfile.mkdtemp()
    sys.path.insert(0, folder)
    pathlib.Path(folder, "deaf.py").write_text('''
import time, __main__
try:
    __main__.say("ready")
    time.sleep(0.5)
except BaseException:
    pass
''')
    import deaf
    say("imported")
    while True:
        time.sleep(0.01)
"""
ASKS_AFTER_IMPORTING = (
    IMPORTING.partition("    while True")[0]
    + """
    while not notice.requested:
        pass
    time.sleep(1)
    notice.finish()
    say("saved")
"""
)
IN_A_LONG_STEP = """
    assert not notice.requested
    say("ready")
    while not notice.requested:
        time.sleep(0.01)
    say("heard")
    while True:
        time.sleep(0.01)
"""


@contextmanager
def running(body, begin="notice.begin(lambda: say('undone'))"):
    command = [sys.executable, "-c", SCRIPT.format(body=body.strip(), begin=begin)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(PROGRAM), "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


CASES = {
    "SIGTERM to one that asks": (ASKS, signal.SIGTERM, 0, "saved\n"),
    "SIGINT to one that asks": (ASKS, signal.SIGINT, 0, "saved\n"),
    "SIGTERM to one that never asks": (NEVER_ASKS, signal.SIGTERM, 143, "stopped by SIGTERM\n"),
    "SIGINT to one that never asks": (NEVER_ASKS, signal.SIGINT, 130, "stopped by SIGINT\n"),
    "SIGTERM in compiled code": (COMPILED, signal.SIGTERM, 143, "undone\n"),
    "SIGTERM to one that asked once and is stuck": (ASKS_ONCE, signal.SIGTERM, 143, "undone\n"),
    "SIGTERM while a module is imported": (IMPORTING, signal.SIGTERM, 143, "imported\nstopped by SIGTERM\n"),
    "SIGTERM while one that asks imports": (ASKS_AFTER_IMPORTING, signal.SIGTERM, 0, "imported\nsaved\n"),
}


@pytest.mark.parametrize(("body", "signum", "code", "told"), CASES.values(), ids=CASES)
def test_a_signal_ends_the_job(body, signum, code, told):
    with running(body) as process:
        process.send_signal(signum)
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, told), errors


@pytest.mark.parametrize("body", [NEVER_ASKS, ASKS, IMPORTING])
def test_before_there_is_anything_to_stop_a_signal_ends_the_process_at_once(body):
    with running(body, begin="") as process:
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, out, errors) == (143, "", "stopped by SIGTERM before the training began\n")


def test_a_second_signal_does_not_wait_for_the_step():
    """CONTRACT check 37."""
    with running(IN_A_LONG_STEP) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "heard\n"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (143, "stopped by SIGTERM\n")


def test_no_signal_interrupts_putting_the_model_in_place():
    with running(FINISHING) as process:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "saved\n"), errors
