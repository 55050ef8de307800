"""A container that serves, its log in sight, gone without a trace when it is no longer needed."""

import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from byoc_cli.commands import output_of
from byoc_cli.docker.client import Client
from byoc_cli.docker.failure import complaint
from byoc_cli.docker.log_lines import render
from byoc_cli.docker.screen import Screen

# SageMaker's time between SIGTERM and SIGKILL.
GRACE_SECONDS = 30
LAST_LINES = 20
TRIES = 20
KILLED = 137


class Server:
    """`docker run IMAGE serve`.

    Args:
        client: runs it.
        image: what is run.
        options: of `docker run`.
    """

    def __init__(self, client: Client, image: str, options: Sequence[str]) -> None:
        self.name = f"byoc-run-local-{uuid.uuid4().hex[:12]}"
        self.client = client
        base = [client.path, "run", "--rm", "--pull", "never", "--name", self.name]
        self.command = [*base, *options, image, "serve"]
        self.exit_code: int | None = None
        self._process: subprocess.Popen[str] | None = None
        self._lines: deque[str] = deque(maxlen=LAST_LINES)

    @contextmanager
    def running(self, screen: Screen) -> Iterator[None]:
        """Run it for as long as the block lasts, then stop and remove it; its log goes to the screen."""
        # In a session of its own: Ctrl-C is ours alone to hear.
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        reader = threading.Thread(target=self._read, args=(screen,), daemon=True)
        reader.start()
        try:
            yield
        finally:
            self.exit_code = self._stop(self._process)
            reader.join()
            self._process.stdout.close()  # type: ignore[union-attr]  # it is a pipe, see above
            output_of([self.client.path, "rm", "--force", "--volumes", self.name])

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def last_line(self) -> str:
        """The last line of its log."""
        return render(self._lines[-1]).splitlines()[0] if self._lines and self._lines[-1] else "no log yet"

    def last_words(self) -> str:
        """Say in a line how it ended and what it gave as the reason."""
        lines = list(self._lines)
        why = next(filter(None, map(complaint, reversed(lines))), "") or self.last_line
        killed = " (killed: perhaps out of memory)" if self.exit_code == KILLED else ""
        return f"the container ended with exit code {self.exit_code}{killed}: {why}"

    def _read(self, screen: Screen) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text := line.rstrip():
                self._lines.append(text)
                screen.line(render(text))

    def _stop(self, process: subprocess.Popen[str]) -> int:
        """Stop the container: SIGTERM, 30 s, SIGKILL. It may just be about to appear, hence more than one try."""
        for _ in range(TRIES):
            if process.poll() is not None:
                break
            output_of([self.client.path, "stop", "--time", str(GRACE_SECONDS), self.name])
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
        else:
            process.kill()
        return process.wait()
