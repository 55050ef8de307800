"""The page: what the emulator runs, in a browser. It reads through the same API as everybody, and changes nothing."""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug import Request, Response

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.page.views import Views

if TYPE_CHECKING:
    from byoc_cli.emulator.emulator import Emulator

STATIC = Path(__file__).with_name("static")
PREFIX = "/_byoc/"
API = "/_byoc/api/"
# A name of somebody else's can be made to lead here too, and scripts of theirs then read what this answers.
OWN_NAMES = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Page:
    """The page.

    Args:
        emulator: that it shows.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._views = Views(emulator)
        self._files = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.is_file()}

    def answer(self, request: Request) -> Response:
        """Answer a browser."""
        response = self._answer(request)
        response.headers.update(HEADERS)
        return response

    def _answer(self, request: Request) -> Response:
        if urlsplit(f"//{request.host}").hostname not in OWN_NAMES:
            return Response("the page is for this machine only: http://127.0.0.1\n", 403)
        if request.method not in ("GET", "HEAD"):
            return Response("GET is all there is\n", 405, {"Allow": "GET, HEAD"})
        if request.path.startswith(API):
            return self._told(request)
        name = "index.html" if request.path in ("/", PREFIX) else request.path.removeprefix(PREFIX)
        file = self._files.get(name)
        if file is None:
            return Response("there is no such page\n", 404)
        kind = mimetypes.guess_type(file.name)[0] or "text/plain"
        return Response(file.read_bytes(), mimetype=kind)

    def _told(self, request: Request) -> Response:
        """Answer with what a view tells."""
        try:
            told, status = self._views.tell(request.path.removeprefix(API), request.args), 200
        except ApiError as error:
            told, status = {"error": error.message}, 404
        return Response(json.dumps(told), status, mimetype="application/json")
