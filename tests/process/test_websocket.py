"""Bidirectional streaming over real nginx and gunicorn."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from tests import program
from tests.process.conftest import HANDLERS
from tests.program import Server, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsproto.events import Event

MEBIBYTE = 1 << 20
PATH = "/invocations-bidirectional-stream"


class Client:
    """A WebSocket's other end."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.waiting: list[Event] = []
        self.send(Request(host="localhost", target=PATH))
        self.answer = self.receive()

    def send(self, *events: Event) -> None:
        self.socket.sendall(b"".join(self.protocol.send(event) for event in events))

    def receive(self) -> Event:
        """Return the next event; a message comes as wsproto has it: a frame, or a part of a large one."""
        while not self.waiting:
            data = self.socket.recv(1 << 16)
            self.protocol.receive_data(data or None)
            self.waiting += self.protocol.events()
        return self.waiting.pop(0)

    def tell(self, message: str | bytes) -> str | bytes:
        """Send a message and return the answer."""
        self.send(TextMessage(message) if isinstance(message, str) else BytesMessage(message))
        answer = self.receive()
        while not answer.message_finished:
            following = self.receive()
            answer = replace(following, data=answer.data + following.data)
        return answer.data


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that offers bidirectional streaming."""
    return program.write_program(tmp_path_factory.mktemp("program"), HANDLERS / "conversing" / "predictor.py")


@pytest.fixture(scope="module")
def server(talking: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = program.write_job(tmp_path_factory.mktemp("ml"))
    with serving(base, talking, MODEL_SERVER_WORKERS="1", SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as server:
        yield server


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., Client]]:
    """Returns a function that connects; afterwards no conversation is left."""
    clients = []

    def new(of: Server = server) -> Client:
        clients.append(Client(of.port))
        return clients[-1]

    yield new
    for client in clients:
        client.socket.close()
    wait_until(lambda: not is_talking(server), what="the end of the conversation")


def is_talking(server: Server) -> bool:
    """Whether the generator of a conversation is there."""
    return (server.log.parent / "model/open").exists()


def test_what_is_sent_comes_back_a_frame_for_a_frame(connect):
    client = connect()
    for message in ("text", "äöü 🐦", "", b"bytes", b"", bytes(MEBIBYTE), "x" * MEBIBYTE):
        assert client.tell(message) == message
    client.send(TextMessage("three"))
    answers = [client.receive() for _ in range(3)]
    assert [(answer.data, answer.message_finished) for answer in answers] == [("1", True), (b"2", True), ("3", True)]


def test_fragments_are_put_together_and_pings_between_them_answered(connect):
    client = connect()
    parts = ("frag", "men", "ted")
    for number, part in enumerate(parts):
        client.send(TextMessage(part, message_finished=number == 2), Ping(b"are you there"))
        pong = client.receive()
        assert (type(pong), pong.payload) == (Pong, b"are you there")
    assert client.receive().data == "fragmented"


def test_pings_are_answered_while_user_code_is_busy(connect, server):
    client = connect()
    client.send(TextMessage("wait"), Ping(b"still there"))
    assert isinstance(client.receive(), Pong)
    (server.log.parent / "model/go_on").touch()
    assert client.receive().data == "waited"


def test_a_close_is_answered_and_ends_the_generator(connect, server):
    client = connect()
    client.tell("hello")
    assert is_talking(server)
    client.send(CloseConnection(1000, "enough"))
    assert client.receive() == CloseConnection(1000, "enough")
    wait_until(lambda: not is_talking(server), what="the end of the generator")
    assert client.socket.recv(1) == b""


@pytest.mark.parametrize("word", ["hello", "tick"])
def test_a_client_that_goes_away_ends_the_generator(connect, server, word):
    client = connect()
    client.tell(word)
    client.socket.close()
    wait_until(lambda: not is_talking(server), what="the end of the generator")


@pytest.mark.parametrize(("word", "name"), [("fail", "ValueError"), ("exit", "RuntimeError"), ("number", "TypeError")])
def test_a_failure_is_told_by_name_and_logged_in_full(connect, server, word, name):
    client = connect()
    client.send(TextMessage(word))
    assert client.receive() == CloseConnection(1011, f"{name}; the log has the cause")
    record = next(record for record in reversed(server.records()) if record["message"] == "converse_fn failed")
    assert name in record["traceback"]
    accepted = dict(client.answer.extra_headers)
    assert accepted[b"x-request-id"].decode() == record["request_id"]


@pytest.mark.parametrize("sizes", [(MEBIBYTE + 1,), (MEBIBYTE, 1)], ids=["whole", "in fragments"])
def test_a_message_beyond_the_limit_ends_the_conversation(connect, sizes):
    client = connect()
    client.send(*(BytesMessage(bytes(size), message_finished=False) for size in sizes))
    assert client.receive() == CloseConnection(1009, f"a message may have {MEBIBYTE} bytes")


def test_a_breach_of_the_protocol_is_named(connect):
    client = connect()
    client.socket.sendall(b"\x81\x85\0\0\0\0\xff\xff\xff\xff\xff")  # text that isn't UTF-8
    assert client.receive().code == 1007


def test_many_messages_at_once_are_answered_in_order(connect):
    client = connect()
    told = [f"message {number}" for number in range(2000)]
    client.send(*map(TextMessage, told))
    assert [client.receive().data for _ in told] == told


def test_an_idle_conversation_costs_nothing(connect, server):
    client = connect()
    client.tell("hello")
    (worker,) = server.children()["worker"]

    def spent() -> int:
        fields = Path(f"/proc/{worker}/stat").read_text().rpartition(") ")[2].split()
        return int(fields[11]) + int(fields[12])  # hundredths of a second

    before = spent()
    time.sleep(2)
    assert spent() - before <= 5


def test_requests_that_are_no_handshake(server):
    answer = requests.get(f"{server.url}{PATH}", timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (426, "upgrade_required")
    assert answer.headers["Upgrade"] == "websocket"
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    answer = requests.get(f"{server.url}{PATH}", headers=headers, timeout=5)
    assert answer.status_code == 400
    assert "Sec-WebSocket-Key" in answer.json()["error"]["message"]


def test_predictions_go_on_beside_conversations(connect, server):
    client = connect()
    client.tell("tick")
    assert server.post("7,1\n").text == "7.0\n"


def test_a_conversation_ends_after_its_time(connect, talking, base):
    with serving(base, talking, MODEL_SERVER_WORKERS="1", LONGEST="3", GRACE="1") as server:
        idle, endless = connect(server), connect(server)
        endless.tell("tick")
        assert idle.receive() == CloseConnection(1001, "0.05 minutes are over")
        while isinstance(event := endless.receive(), TextMessage):
            pass
        assert event == CloseConnection(1001, "0.05 minutes are over")


@pytest.mark.parametrize("use_nginx", ["true", "false"])
def test_a_stop_ends_conversations(connect, talking, base, use_nginx):
    with serving(base, talking, MODEL_SERVER_WORKERS="1", SAGEMAKER_USE_NGINX=use_nginx) as server:
        client = connect(server)
        client.tell("hello")
        server.process.terminate()
        assert client.receive() == CloseConnection(1001, "the server is shutting down")
        client.send(CloseConnection(1001))
        assert server.process.wait(15) == 0


def test_a_predictor_without_converse_fn_refuses(connect, scripted, base):
    with serving(base, scripted, MODEL_SERVER_WORKERS="1") as server:
        client = connect(server)
        assert isinstance(client.answer, RejectConnection)
        assert client.answer.status_code == 404


@pytest.mark.parametrize("label", ["true", "false"])
def test_the_label_and_the_predictor_are_compared(talking, scripted, label):
    def check(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(folder / "serve"), "--check", "--bidirectional-streaming", label]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert check(talking).returncode == 0
    refused = check(scripted)
    assert refused.returncode == (label == "true")
    assert ("predictor.py defines no converse_fn" in refused.stderr) == (label == "true")
