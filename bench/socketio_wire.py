"""
A Socket.IO client on a raw socket that costs little, so that what is timed is the daemon.

EIO4 by WebSocket: what is sent is a masked frame made beforehand; what comes is cut into frames, and no more.
"""

import json
import os
import struct
from typing import Any

from .wire import connect

_OPENING = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_CHUNK = 1 << 18
ANSWER, PUSH = b'42["v1",', b'42["v1/'
"""What packets begin with that answer a command, or push."""
PING = b"2"


def frame(text: bytes) -> bytes:
    """A client's text frame (RFC 6455 §5.2); the mask is always another."""
    mask, size = os.urandom(4), len(text)
    if size < 126:
        head = struct.pack("!BB", 0x81, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    key = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(text, "big") ^ int.from_bytes(key, "big")
    return head + mask + masked.to_bytes(size, "big")


_PONG = frame(b"3")


def call(command: str, **parameters: Any) -> bytes:
    """A frame with a command."""
    return event("v1", {"command": command, **parameters})


def event(name: str, *arguments: Any) -> bytes:
    """A frame with an event."""
    return frame(b"42" + json.dumps([name, *arguments], separators=(",", ":")).encode())


class LiveWire:
    """
    One client that has joined the main namespace.

    :param receive_buffer: as ``wire.connect``.
    """

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self._socket = connect(port, receive_buffer=receive_buffer)
        self._rest = b""
        self.send = self._socket.sendall
        self._join()

    def _join(self) -> None:
        self._socket.sendall(_OPENING)
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._received()
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"no WebSocket: {head[:200]!r}")
        self._rest = head.partition(b"\r\n\r\n")[2]
        self._socket.sendall(frame(b"40"))
        welcome: list[bytes] = self._cut(b"")
        while not any(packet.startswith(b"40") for packet in welcome):
            welcome += self.receive()

    def fileno(self) -> int:
        return self._socket.fileno()

    def _received(self) -> bytes:
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the daemon closed the connection")
        return data

    def receive(self) -> list[bytes]:
        """
        Engine.IO packets that came whole, pings answered and left out; waits for bytes if there are none.

        :raises ConnectionError: the daemon closed the connection.
        """
        return self._cut(self._received())

    def _cut(self, data: bytes) -> list[bytes]:
        if self._rest:
            data = self._rest + data
        packets: list[bytes] = []
        begin, end = 0, len(data)
        while end - begin >= 2:
            if data[begin] != 0x81:
                raise ConnectionError(f"a frame that is no whole text: {data[begin : begin + 40]!r}")
            size, head = data[begin + 1], 2
            if size == 126:
                size, head = int.from_bytes(data[begin + 2 : begin + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(data[begin + 2 : begin + 10], "big"), 10
            following = begin + head + size
            # with a head that is not whole, the size is too small, but so is what there is
            if following > end or end - begin < head:
                break
            packet = data[begin + head : following]
            begin = following
            if packet == PING:
                self.send(_PONG)
            else:
                packets.append(packet)
        self._rest = data[begin:] if begin else data
        return packets

    def ask(self, request: bytes) -> bytes:
        """The packet that answers a command; what comes before it is dropped."""
        self.send(request)
        while True:
            for packet in self.receive():
                if packet.startswith(ANSWER):
                    return packet

    def close(self) -> None:
        self._socket.close()
