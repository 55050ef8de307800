"""Headless Chromium, spoken to by its DevTools protocol: what a person sees of a page, and does with a keyboard."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Message, Request

from tests.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--window-size=1280,900",
)
SECONDS = 60
# What a key is, as the protocol wants it told.
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowDown": (40, ""), "ArrowRight": (39, "")}


def require() -> str:
    """Return the browser's program; skip the test where there is none, and fail in CI."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        assert not os.environ.get("CI"), "CI has to install chromium"
        pytest.skip("there is no chromium")
    return found


class Tab:
    """A page of the browser.

    Args:
        address: of its DevTools socket.

    Attributes:
        errors: what the page's scripts have thrown, and what its policy has refused.
    """

    def __init__(self, address: str) -> None:
        where = urlsplit(address)
        self._socket = socket.create_connection((str(where.hostname), int(where.port or 0)), SECONDS)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._socket.sendall(self._protocol.send(Request(host=where.netloc, target=where.path)))
        self._number = 0
        self._text = ""
        self.errors: list[str] = []
        self._events: list[dict[str, Any]] = []
        self._read_until(lambda event: isinstance(event, AcceptConnection))
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        self._number += 1
        message = json.dumps({"id": self._number, "method": method, "params": parameters})
        self._socket.sendall(self._protocol.send(Message(data=message)))
        while True:
            told = self._message()
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                return dict(told.get("result", {}))

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self.value("window.isOld = true")
        told = self.do("Page.navigate", url=url)
        # A way within the page, by a #fragment alone, loads nothing.
        is_new = "!window.isOld && " if "loaderId" in told else ""
        self.wait(f"{is_new}location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript is."""
        told = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, f"{expression}: {told}"
        return told["result"].get("value")

    def wait(self, expression: str, seconds: float = SECONDS) -> Any:
        """Poll until an expression is true; return it."""

        def holds() -> Any:
            # While one page gives way to the next, there is nothing to ask.
            with suppress(AssertionError):
                return self.value(expression)
            return None

        return wait_until(holds, seconds, expression)

    def press(self, key: str, shift: bool = False) -> None:
        """Press a key."""
        code, text = KEYS[key]
        told = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": code,
            "modifiers": 8 * shift,
        }
        self.do("Input.dispatchKeyEvent", type="keyDown", text=text, **told)
        self.do("Input.dispatchKeyEvent", type="keyUp", **told)

    def type(self, text: str) -> None:
        """Write where the focus is, over what is selected."""
        self.do("Input.insertText", text=text)

    def tab_to(self, expression: str) -> None:
        """Press Tab until an expression is true of `it`, the element that has the focus."""
        for _ in range(80):
            if self.value(f"(it => Boolean({expression}))(document.activeElement)"):
                return
            self.press("Tab")
        raise AssertionError(f"Tab never leads to {expression}")

    def picture(self, file: Path) -> None:
        """Write what is seen into a PNG."""
        told = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(told["data"]))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _message(self) -> dict[str, Any]:
        """Return the next message, and note it where it tells of an error."""
        told: dict[str, Any] = {}

        def is_whole(event: Any) -> bool:
            if not isinstance(event, Message):
                return False
            self._text += str(event.data)
            if not event.message_finished:
                return False
            told.update(json.loads(self._text))
            self._text = ""
            return True

        self._read_until(is_whole)
        if told.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["params"]["exceptionDetails"])[:500])
        entry = told.get("params", {}).get("entry", {}) if told.get("method") == "Log.entryAdded" else {}
        # An answer that is an error is for the page to show, and no mistake of its own.
        if entry.get("level") == "error" and entry.get("source") != "network":
            self.errors.append(entry["text"])
        return told

    def _read_until(self, condition: Any) -> None:
        while True:
            while self._events:
                if condition(self._events.pop(0)):
                    return
            data = self._socket.recv(1 << 16)
            assert data, "the browser has gone"
            self._protocol.receive_data(data)
            self._events.extend(self._protocol.events())


@contextmanager
def browsing(folder: Path) -> Iterator[Tab]:
    """Run a browser with an empty profile for the length of a with-block."""
    profile = folder / "chromium"
    process = subprocess.Popen(
        [require(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    port_file = profile / "DevToolsActivePort"
    tab = None
    try:
        wait_until(lambda: port_file.exists() and port_file.read_text().count("\n"), SECONDS, "the browser's port")
        port = port_file.read_text().split()[0]
        pages = wait_until(
            lambda: [
                each
                for each in requests.get(f"http://127.0.0.1:{port}/json", timeout=SECONDS).json()
                if each["type"] == "page"
            ],
            SECONDS,
            "a page",
        )
        tab = Tab(pages[0]["webSocketDebuggerUrl"])
        yield tab
    finally:
        if tab is not None:
            with suppress(AssertionError, OSError):
                tab.do("Browser.close")
            tab.close()
        process.terminate()
        process.wait(SECONDS)
