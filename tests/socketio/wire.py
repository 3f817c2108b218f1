"""
A client of ours at the level of bytes: HTTP requests and WebSocket frames, nothing decided for the test.

It knows no Engine.IO. One connection per request, so that two requests can be under way at once; a
WebSocket's frames are masked, as a client's must be, and must come whole.

Sources: RFC 9112 (HTTP/1.1), RFC 6455 (WebSocket).
"""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, TypeVar

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

T = TypeVar("T")
_KEY = b64encode(bytes(range(16)))
_MASK = b"\x37\xfa\x21\x3d"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Ended(Exception):
    """The connection ended before what was waited for had come."""


class NoWebSocket(Exception):
    """The server answered with something else than 101."""

    def __init__(self, response: "Response") -> None:
        super().__init__(response.status, response.body)
        self.response = response


class Wire(Protocol):
    """A TCP connection, whose bytes are taken as they are wanted, by one reader at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._waiting: Deferred[None] | None = None
        self.is_lost = False

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def stop_reading(self) -> None:
        """Leave what the server sends in the kernel."""
        assert self.transport is not None
        self.transport.pauseProducing()  # type: ignore[attr-defined]

    def go_on_reading(self) -> None:
        assert self.transport is not None
        self.transport.resumeProducing()  # type: ignore[attr-defined]

    def abort(self) -> None:
        """Hang up."""
        if not self.is_lost:
            assert self.transport is not None
            self.transport.abortConnection()  # type: ignore[attr-defined]

    async def find(self, look: Callable[[bytearray, bool], T | None]) -> T:
        """
        Wait until ``look`` finds something in what was received, given also whether that is all; it takes
        what it found out of the buffer.

        :raises Ended: if the connection ends first.
        """
        while (found := look(self._received, self.is_lost)) is None:
            if self.is_lost:
                raise Ended
            self._waiting = Deferred()
            await self._waiting
        return found

    async def take(self, count: int) -> bytes:
        def look(received: bytearray, _: bool) -> bytes | None:
            if len(received) < count:
                return None
            taken = bytes(received[:count])
            del received[:count]
            return taken

        return await self.find(look)

    async def take_past(self, mark: bytes) -> bytes:
        """All up to a mark, which is left out."""

        def look(received: bytearray, _: bool) -> bytes | None:
            before, found, after = received.partition(mark)
            if not found:
                return None
            received[:] = after
            return bytes(before)

        return await self.find(look)

    async def take_all(self) -> bytes:
        """All that comes until the server closes."""
        return await self.find(lambda received, all_is_here: bytes(received) if all_is_here else None)

    async def gone(self) -> None:
        """Wait until the connection is lost."""
        await self.find(lambda _, all_is_here: all_is_here or None)

    # -- from Twisted ----------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


@dataclass(frozen=True)
class Response:
    """:ivar headers: by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """A request's head; header values are Latin-1."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


async def read_response(wire: Wire) -> Response:
    """
    Read one response; a body without length ends with the connection.

    :raises Ended: if there is no whole one.
    """
    head = (await wire.take_past(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.split(":", 1) for line in head[1:])
    headers = {name.lower(): value.strip() for name, value in fields}
    status = int(head[0].split(" ")[1])
    if status in (101, 204):
        return Response(status, headers, b"")
    length = headers.get("content-length")
    return Response(status, headers, await (wire.take_all() if length is None else wire.take(int(length))))


class WebSocket:
    """A WebSocket: text is ``str``, binary is ``bytes``."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.close_code: int | None = None

    def send(self, message: str | bytes) -> None:
        """Send one message in one frame."""
        if isinstance(message, str):
            self.send_frame(TEXT, message.encode("utf-8", "surrogatepass"))
        else:
            self.send_frame(BINARY, message)

    def send_frame(self, opcode: int, payload: bytes, *, final: bool = True) -> None:
        """Send a frame, masked (RFC 6455 §5.3)."""
        self.wire.send(masked_frame(opcode, payload, final=final))

    async def receive(self) -> str | bytes:
        """
        The next message, which must be one frame.

        :raises Ended: if the server closes the WebSocket, properly or not.
        """
        while True:
            opcode, payload = await self._frame()
            if opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big") if payload else None
                self.send_frame(CLOSE, payload[:2])
                await self.wire.gone()
                raise Ended
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode != PONG:
                return payload.decode() if opcode == TEXT else payload

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self.wire.take(2)
        assert first & 0x80, "a packet was split into fragments"
        assert not first & 0x70, "a reserved bit is set"
        assert second < 128, "a server's frame is masked"
        length = second
        if length > 125:
            length = int.from_bytes(await self.wire.take(2 if length == 126 else 8), "big")
        return first & 0x0F, await self.wire.take(length)

    async def end(self) -> list[str | bytes]:
        """Wait until the server closes it; what came before."""
        messages = []
        try:
            while True:
                messages.append(await self.receive())
        except Ended:
            return messages


def masked_frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's frame (RFC 6455 §5.2)."""
    length = len(payload)
    first = (0x80 if final else 0) | opcode
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 1 << 16:
        head = bytes((first, 0xFE)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + length.to_bytes(8, "big")
    repeated = _MASK * (length // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:length], "big")
    return head + _MASK + masked.to_bytes(length, "big")


class Network:
    """Opens connections to one port of 127.0.0.1, and knows all of them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._wires: list[Wire] = []

    async def connect(self) -> Wire:
        endpoint = TCP4ClientEndpoint(installed, "127.0.0.1", self.port)
        wire: Wire = await connectProtocol(endpoint, Wire())
        self._wires.append(wire)
        return wire

    async def begin(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Wire:
        """Send a request; ``read_response`` waits for the answer."""
        wire = await self.connect()
        sent = {"Connection": "close", **(headers or {})}
        if body is not None:
            sent["Content-Length"] = str(len(body))
        wire.send(request_head(method, target, sent) + (body or b""))
        return wire

    async def request(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        return await read_response(await self.begin(method, target, body, headers))

    async def websocket(self, target: str, headers: Mapping[str, str] | None = None) -> WebSocket:
        """
        Open a WebSocket.

        :raises NoWebSocket: if the server answers with anything but 101; :raises Ended: if it hangs up.
        """
        wire = await self.connect()
        opening = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": _KEY.decode(),
            "Sec-WebSocket-Version": "13",
        }
        wire.send(request_head("GET", target, {**opening, **(headers or {})}))
        response = await read_response(wire)
        if response.status != 101:
            raise NoWebSocket(response)
        # RFC 6455 §4.2.2
        accept = b64encode(sha1(_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        assert response.headers["sec-websocket-accept"] == accept.decode()
        return WebSocket(wire)

    async def close(self) -> None:
        """Break all connections."""
        for wire in self._wires:
            wire.abort()
            await wire.gone()
