"""The least that gunicorn can do: a function that reads the body and answers it, alone and as a Flask app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer the body, or nothing where there is none."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/csv"), ("Content-Length", str(len(body)))])
    return [body]


def flask() -> Flask:
    """Return an app that does the same."""
    from flask import Flask, Response, request  # noqa: PLC0415 - the other one must not pay for the import

    app = Flask("echo")

    @app.get("/ping")
    def ping() -> Response:
        return Response(status=200)

    @app.post("/invocations")
    def invocations() -> Response:
        return Response(request.get_data(cache=False), content_type="text/csv")

    return app
