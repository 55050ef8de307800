"""A WebSocket that says what it hears."""

import base64
import hashlib
import os
import struct
from http.server import BaseHTTPRequestHandler

from algorithm import FAULTS

PATH = "/invocations-bidirectional-stream"
LABELLED = os.environ.get("TALKS") == "true"
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def converse(request: BaseHTTPRequestHandler) -> None:
    """Accept the handshake and echo messages until the client closes."""
    request.close_connection = True
    key = request.headers["Sec-WebSocket-Key"] + MAGIC
    request.send_response(101)
    request.send_header("Upgrade", "websocket")
    request.send_header("Connection", "Upgrade")
    request.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
    request.end_headers()
    message, kind = b"", 0
    while True:
        final, opcode, payload = receive(request.rfile)
        if opcode == CLOSE:
            send(request.wfile, CLOSE, payload)
            return
        if opcode == PING:
            send(request.wfile, PONG, payload)
        else:
            message, kind = message + payload, opcode or kind
            if final or "takes fragments for messages" in FAULTS:
                send(request.wfile, kind, message)
                message = b""


def receive(file) -> tuple[bool, int, bytes]:
    """Return a frame: whether it is its message's last, its opcode and what it holds."""
    first, second = file.read(2)
    size = second & 0x7F
    if size > 125:
        (size,) = struct.unpack("!H" if size == 126 else "!Q", file.read(2 if size == 126 else 8))
    mask = file.read(4)
    return bool(first & 0x80), first & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(file.read(size)))


def send(file, opcode: int, payload: bytes) -> None:
    """Send a whole message in a frame."""
    size = bytes([len(payload)]) if len(payload) < 126 else struct.pack("!BH", 126, len(payload))
    file.write(bytes([0x80 | opcode]) + size + payload)
