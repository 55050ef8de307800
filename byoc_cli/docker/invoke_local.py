"""`byoc docker invoke-local`: asks the server that run-local started."""

import http.client
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

DEFAULT_PORT = 8080
HOST = "localhost"
JSON = "application/json"
PIECE = 64 * 1024
SHOWN = 2000
EPILOG = """\b
Examples:
  byoc docker invoke-local -b '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
  byoc docker invoke-local -mm text/csv -b 5.1,3.5,1.4,0.2 --accept application/json
  byoc docker invoke-local -mm image/png -b @digit.png
  cat rows.csv | byoc docker invoke-local -mm text/csv -b -
"""


mime_option = click.option("-mm", "--mime", default=JSON, show_default=True, help="The body's media type.")
body_option = click.option(
    "-b",
    "--body",
    required=True,
    metavar="BODY|@FILE|-",
    help="What is sent: text, a file, or standard input; but for JSON a file's path will do.",
)
accept_option = click.option("--accept", help="Media type of the answer. [default: the server's choice]")


@click.command("invoke-local", epilog=EPILOG)
@mime_option
@body_option
@accept_option
@click.option("-p", "--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Port here.")
def invoke_local_command(mime: str, body: str, accept: str | None, port: int) -> None:
    """POST /invocations to a server on this machine, and show its answer."""
    payload = read_body(body, mime)
    headers = {"Content-Type": header("--mime", mime)}
    if accept is not None:
        headers["Accept"] = header("--accept", accept)
    connection = http.client.HTTPConnection(HOST, port)
    try:
        begin = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was read: the answer says why
            connection.request("POST", "/invocations", payload, headers)
        show(connection.getresponse(), begin)
    except ConnectionRefusedError as error:
        raise click.ClickException(
            f"nothing listens on port {port}; start it in another terminal: byoc docker run-local -i NAME -m MODEL_DIR"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise click.ClickException(
            f"the server on port {port} gave no whole answer ({reason}); its log says why"
        ) from error
    finally:
        connection.close()


def header(option: str, value: str) -> str:
    """Return a header's value, unless it would break the header's line."""
    if not value.isascii() or not value.isprintable() or not value:
        raise click.BadParameter(f"{value!r} is no media type; write it as in text/csv", param_hint=option)
    return value


def is_json(mime: str) -> bool:
    """Whether a body of this media type is one JSON value."""
    plain = mime.partition(";")[0].strip().lower()
    return plain == JSON or plain.endswith("+json")


def read_body(body: str, mime: str) -> bytes:
    """Return the bytes to send, just as they were given.

    Raises:
        click.ClickException: there is no such file, or what is to be JSON is none; says where.
    """
    if body == "-":
        payload = sys.stdin.buffer.read()
    elif body.startswith("@"):
        payload = read_file(Path(body[1:]))
    elif not is_json(mime) and is_file(body):
        payload = read_file(Path(body))
    else:
        payload = body.encode(errors="surrogateescape")
    if is_json(mime):
        check_json(payload, body)
    return payload


def is_file(body: str) -> bool:
    """Whether the text is the path of a file."""
    try:
        return Path(body).is_file()
    except (OSError, ValueError):  # too long for a path, for example
        return False


def read_file(path: Path) -> bytes:
    """Return a file's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from error


def check_json(payload: bytes, body: str) -> None:
    """Refuse what no server will understand, before it is sent."""
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as error:
        where = (
            f"line {error.lineno}, column {error.colno}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else error
        )
        remedy = (
            f"to send the file: -b @{body}" if is_file(body) else "another media type is named by -mm, as in text/csv"
        )
        raise click.ClickException(f"the body is not JSON ({where}), and was not sent; {remedy}") from error


def show(response: http.client.HTTPResponse, begin: float) -> None:
    """Print the status and the time it took on stderr, the answer on stdout.

    Raises:
        click.ClickException: the status is none of success; the message is the server's own.
    """
    mime = response.headers.get("Content-Type", "")
    succeeded = response.status // 100 == 2  # noqa: PLR2004 - 2xx
    if succeeded and response.headers.get("Transfer-Encoding", "").lower() == "chunked":
        size = pour(response)
        answer = b""
    else:
        answer = response.read()
        size = len(answer)
    milliseconds = (time.monotonic() - begin) * 1000
    click.echo(
        f"{response.status} {response.reason} in {milliseconds:.1f} ms: {size:,} bytes, {mime or 'no media type'}",
        err=True,
    )
    if not succeeded:
        raise click.ClickException(complaint(response.status, answer))
    if answer:
        write(readable(answer, mime), mime)


def pour(response: http.client.HTTPResponse) -> int:
    """Print an answer as it comes; return how many bytes it had."""
    out, size = sys.stdout.buffer, 0
    while piece := response.read1(PIECE):
        size += len(piece)
        out.write(piece)
        out.flush()
    return size


def readable(answer: bytes, mime: str) -> bytes | str:
    """Return the answer for a reader: JSON on several lines, other text as it is, what is no text as bytes."""
    try:
        text = answer.decode()
    except UnicodeDecodeError:
        return answer
    if not is_json(mime):
        return answer if "\0" in text else text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def write(answer: bytes | str, mime: str) -> None:
    """Print the answer; bytes only where nobody looks at them."""
    if isinstance(answer, str):
        click.echo(answer, nl=not answer.endswith("\n"))
    elif sys.stdout.isatty():
        click.echo(f"{len(answer):,} bytes of {mime or 'no media type'}, not shown; to keep them: … > FILE")
    else:
        sys.stdout.buffer.write(answer)


def complaint(status: int, answer: bytes) -> str:
    """Return what the server says is wrong, in a line."""
    text = answer.decode(errors="replace").strip()
    try:
        error: Any = json.loads(text)["error"]
        where = f" (request {error['request_id']})" if error.get("request_id") else ""
        return f"{error['code']}: {error['message']}{where}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return text[:SHOWN] or f"the server answered {status} without a word; its log says why"
