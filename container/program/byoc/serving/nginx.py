"""nginx: found, its template filled in and checked; and its error log."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from byoc.errors import UserError
from byoc.serving import runtime
from byoc.serving.settings import MEBIBYTE

if TYPE_CHECKING:
    from byoc.serving.settings import Settings

TEMPLATE = Path(__file__).parents[2] / "nginx.conf"
# Debian puts nginx where an ordinary user's PATH does not lead.
SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
# CAP_CHOWN, CAP_SETGID and CAP_SETUID, which nginx's master needs to run its worker as nobody.
STEP_DOWN = 1 << 0 | 1 << 6 | 1 << 7


def find() -> str | None:
    """Return nginx's path, None where it is not installed."""
    return shutil.which("nginx", path=SEARCH)


def configure(settings: Settings, folder: Path) -> Path:
    """Fill the template in, write it into the folder, and have nginx check it.

    Raises:
        UserError: the template has a word that we do not know, or nginx refuses it; with nginx's reason.

    """
    file = folder / "nginx.conf"
    file.write_text(fill_in(TEMPLATE.read_text(encoding="utf-8"), settings, folder), encoding="utf-8")
    command = [find() or "nginx", "-t", "-q", "-p", str(folder), "-e", "stderr", "-c", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise UserError(f"nginx refuses {TEMPLATE}: {result.stderr.strip()}")
    return file


def fill_in(template: str, settings: Settings, folder: Path) -> str:
    """Return the template with its words in double braces replaced.

    Raises:
        UserError: a word is unknown.

    """
    doors = [runtime.door(folder, worker) for worker in range(settings.workers)]
    words = {
        "user": _user(folder),
        "workers": "\n        ".join(
            f"server unix:{door} max_fails=0;"
            for door in ([runtime.manager(folder)] if settings.multi_model else doors)
        ),
        "runtime": str(folder),
        "port": str(settings.port),
        "max_payload": str(settings.max_payload),
        "max_payload_mb": f"{settings.max_payload / MEBIBYTE:g}",
        "timeout": str(settings.nginx_timeout),
        "startup_timeout": str(settings.nginx_startup_timeout),
    }
    unknown = set(re.findall(r"\{\{(\w+)\}\}", template)) - words.keys()
    if unknown:
        raise UserError(f"{TEMPLATE} has unknown words {sorted(unknown)}; known are {sorted(words)}")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: words[match[1]], template)


def command(file: Path) -> list[str]:
    """Return the command that starts nginx in the foreground."""
    return [find() or "nginx", "-p", str(file.parent), "-e", "stderr", "-c", str(file)]


def pass_log_on(log: int, folder: Path) -> threading.Thread:
    """Copy what nginx writes into a pipe to our stderr; give the thread, which ends when nginx has.

    Left out is that a worker or a model is not there, since that is no error: another worker, or their manager, is
    asked at once. nginx says so at each request while a model is loaded, as a critical one.
    """
    missing = rf"connect\(\) to unix:{re.escape(str(folder))}/(worker-\d+|models/[^/ ]+)\.sock failed \(2: "
    expected = re.compile(missing.encode())

    def copy() -> None:
        with open(log, "rb") as lines:
            for line in lines:
                if not expected.search(line):
                    # Nobody reads any more: nginx must not wait for that.
                    with suppress(OSError):
                        os.write(2, line)

    thread = threading.Thread(target=copy, name="nginx-log", daemon=True)
    thread.start()
    return thread


def _user(folder: Path) -> str:
    """Return nginx's `user` line: its worker is nobody, where root may step down and nobody can reach the folder."""
    if os.geteuid() != 0:
        return "# not root: nginx runs as the user it is started by"
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    reachable = all(parent.stat().st_mode & 0o001 for parent in folder.parents if parent.exists())
    if reachable and effective is not None and int(effective[1], 16) & STEP_DOWN == STEP_DOWN:
        return "user nobody nogroup;"
    # Told of no user, nginx would give its folders to its default one and fail. Told to stay root, it only complains
    # of initgroups().
    return "user root root;"
