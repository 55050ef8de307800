"""The Flask app: every route but POST /invocations, which is `byoc.serving.invocations`' own.

Most servers are never asked for one of these, so gunicorn's workers import Flask when they first are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from byoc.serving import websocket
from byoc.serving.errors import RequestError, explain
from byoc.serving.invocation import Invocation
from byoc.serving.invocations import Invocations

if TYPE_CHECKING:
    from byoc.serving.service import Service

METHODS = ("GET", "PUT", "PATCH", "DELETE")


def create_app(service: Service) -> Flask:
    """Return the app."""
    app = Flask("byoc")
    settings, handler = service.settings, service.handler

    @app.route("/ping", methods=["GET", "POST"])
    def ping() -> Response:
        """Answer where no supervisor does: in development, and without nginx."""
        loaded = handler.loaded
        return Response(status=200 if loaded else 503, mimetype="application/json")

    @app.route("/invocations", methods=METHODS)
    def invocations() -> Response:
        """Refuse what is no POST."""
        raise MethodNotAllowed(["POST"])

    @app.get(websocket.PATH)
    @app.get(websocket.PATH, websocket=True)
    def conversation() -> Response:
        if handler.converse_fn is None:
            raise RequestError(404, "not_found", "the handler has no converse_fn: POST /invocations instead")
        context = g.invocation.make_context(handler.properties)
        return websocket.Upgrade(
            request.environ, lambda messages: handler.converse(messages, context), settings.max_payload
        )

    @app.get("/execution-parameters")
    def execution_parameters() -> Response:
        """Answer batch transform, which asks once before it sends its requests."""
        batch = settings.batch
        told = {
            "MaxConcurrentTransforms": batch.concurrent,
            "BatchStrategy": batch.strategy,
            "MaxPayloadInMB": batch.payload_mb,
        }
        return Response(orjson.dumps(told), content_type="application/json")

    @app.before_request
    def start() -> None:
        g.invocation = Invocation(request.environ)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.invocation.request_id
        if request.path != "/ping":
            g.invocation.log(settings, response.status_code)
        return response

    app.register_error_handler(Exception, _refuse)
    others = app.wsgi_app
    app.wsgi_app = Invocations(service, lambda: others)  # type: ignore[method-assign]
    return app


def _refuse(error: Exception) -> Response:
    """Turn whatever was raised into a JSON error."""
    asked: Invocation = g.invocation
    told = asked.error = explain(_translated(error), asked.request_id)
    response = Response(told.body(asked.request_id), told.status, mimetype="application/json")
    if isinstance(error, HTTPException):
        response.headers.extend((name, value) for name, value in error.get_headers() if name == "Allow")
    if told.status == 426:  # noqa: PLR2004 - which has to say to what
        response.headers["Upgrade"] = "websocket"
    return response


def _translated(error: Exception) -> Exception:
    """Return Flask's own errors as ours."""
    if not isinstance(error, HTTPException):
        return error
    status = error.code or 500
    message = {
        404: f"there is no {request.path[:100]} here; POST /invocations, GET /ping and GET /execution-parameters are",
        405: f"{request.path} does not take {request.method}",
    }.get(status, error.description or error.name)
    return RequestError(status, error.name.lower().replace(" ", "_"), message)
