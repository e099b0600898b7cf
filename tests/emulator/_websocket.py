"""A websocket that tells what it has and waits for the other side to close (RFC 6455, text only). For _server.py."""

import base64
import hashlib
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
WAIT_SECONDS = 5.0


def speak(connection: socket.socket, key: str, messages: Iterable[str]) -> None:
    """Answers the handshake whose Sec-WebSocket-Key is `key`, sends each message, waits to be closed."""
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    with suppress(OSError):
        connection.sendall(head.encode())
        for message in messages:
            connection.sendall(frame(message.encode()))
        connection.settimeout(WAIT_SECONDS)
        connection.recv(64)
        connection.sendall(b"\x88\x02\x03\xe8")  # closed, 1000: normal


def frame(payload: bytes) -> bytes:
    """One unmasked text frame of less than 64 kB."""
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack(">H", len(payload))
    return b"\x81" + size + payload
