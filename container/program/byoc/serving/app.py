"""The Flask app: every route but POST /invocations, which is `byoc.serving.invocations`' own.

Most servers are never asked for one of these, so gunicorn's workers import Flask when they first are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from byoc.serving import websocket
from byoc.serving.description import CAPABILITIES
from byoc.serving.errors import RequestError, explain
from byoc.serving.invocation import Invocation
from byoc.serving.invocations import Invocations

if TYPE_CHECKING:
    from byoc.serving.description import Description
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
        return _json(told)

    _tell_of_the_model(app, service)

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


def _tell_of_the_model(app: Flask, service: Service) -> None:
    """Add the routes by which H2O's hosted scorers tell what they serve."""
    handler = service.handler

    def described() -> Description:
        if handler.schema is None or handler.input_fn is not None:
            raise RequestError(404, "not_found", "this model has no schema.json that tells what its rows look like")
        return service.description

    @app.get("/model/id")
    def model_id() -> Response:
        return Response(described().id, mimetype="text/plain")

    @app.get("/model/schema")
    def model_schema() -> Response:
        description = described()
        # What comes out is known only by asking; what a handler encodes itself cannot be told.
        is_known = handler.output_fn is None and not handler.streams
        return _json(description.fields(service.sample(g.invocation) if is_known else None))

    @app.get("/model/sample_request")
    def sample_request() -> Response:
        return _json(described().sample_request())

    @app.get("/model/capabilities")
    def capabilities() -> Response:
        return _json(CAPABILITIES)

    @app.route("/model/score", methods=["GET", "POST"])
    def score() -> Response:
        raise RequestError(501, "not_implemented", "no files of the server's are scored; POST the rows to /invocations")

    @app.route("/model/contribution", methods=["GET", "POST"])
    def contribution() -> Response:
        raise RequestError(501, "not_implemented", "Shapley values are not computed here")


def _json(told: Any) -> Response:
    return Response(orjson.dumps(told), content_type="application/json")


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
