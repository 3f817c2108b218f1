"""
A client's half of Engine.IO's transports, frame by frame: what is sent and when is for the test to say.

Sources: the Engine.IO protocol, versions 3 and 4.
"""

import json
from typing import Any, Literal
from urllib.parse import urlencode

from .wire import Network, Response, WebSocket, Wire, read_response

Eio = Literal[3, 4]
_SEPARATOR = "\x1e"


def payload(eio: Eio, *packets: str) -> bytes:
    """A polling body with these packets."""
    if eio == 4:
        return _SEPARATOR.join(packets).encode()
    return "".join(f"{len(packet.encode('utf-16-le')) // 2}:{packet}" for packet in packets).encode()


def packets_of(eio: Eio, body: bytes) -> list[str]:
    """The packets of a polling body of text."""
    text = body.decode()
    if eio == 4:
        return text.split(_SEPARATOR)
    units, packets = text.encode("utf-16-le"), []
    while units:
        length, _, rest = units.partition(b":\0")
        end = 2 * int(length.decode("utf-16-le"))
        assert len(rest) >= end, "a packet is longer than its payload"
        packets.append(rest[:end].decode("utf-16-le"))
        units = rest[end:]
    return packets


class Door:
    """
    Where an Engine.IO server is reached.

    :param path: with both slashes.
    :param eio: the version of the protocol to speak.
    """

    def __init__(self, network: Network, path: str, eio: Eio) -> None:
        self.network = network
        self.path = path
        self.eio: Eio = eio

    def target(self, transport: str, **query: str) -> str:
        """A request's target, with ``EIO`` and ``transport`` in its query."""
        return f"{self.path}?{urlencode({'EIO': str(self.eio), 'transport': transport, **query})}"

    async def ask(self, query: str, method: str = "GET", body: bytes | None = None) -> Response:
        """A request with any query."""
        return await self.network.request(method, f"{self.path}?{query}", body)

    async def poll_open(self, **query: str) -> "Poller":
        """Begin a session by polling."""
        response = await self.network.request("GET", self.target("polling", **query))
        assert response.status == 200, response
        first, *rest = packets_of(self.eio, response.body)
        return Poller(self, _greeting(first), rest)

    async def socket(self, **query: str) -> WebSocket:
        """Open a WebSocket; with a ``sid``, for the session that polls."""
        return await self.network.websocket(self.target("websocket", **query))

    async def socket_open(self, **query: str) -> "tuple[WebSocket, dict[str, Any]]":
        """Begin a session by WebSocket; also what the server greeted with."""
        socket = await self.socket(**query)
        greeting = await socket.receive()
        assert isinstance(greeting, str)
        return socket, _greeting(greeting)


def _greeting(packet: str) -> dict[str, Any]:
    assert packet.startswith("0"), packet
    greeting: dict[str, Any] = json.loads(packet[1:])
    return greeting


class Poller:
    """
    A session that polls.

    :ivar greeting: what the server said of it; :ivar first: packets that came along with that.
    """

    def __init__(self, door: Door, greeting: dict[str, Any], first: list[str]) -> None:
        self.door = door
        self.greeting = greeting
        self.first = first
        self.sid: str = greeting["sid"]
        self.target = door.target("polling", sid=self.sid)

    async def begin_get(self) -> Wire:
        """Send a GET; the server has it for sure when this returns."""
        wire = await self.door.network.begin("GET", self.target)
        # a server reads what came earlier before it answers what comes after
        await self.door.ask("EIO=4&transport=polling&sid=nobody")
        return wire

    async def get(self) -> Response:
        return await self.door.network.request("GET", self.target)

    async def poll(self) -> list[str]:
        """The packets that a GET brings, all text."""
        return await self.packets(await self.door.network.begin("GET", self.target))

    async def packets(self, wire: Wire) -> list[str]:
        """The packets that a GET sent before brings."""
        response = await read_response(wire)
        assert response.status == 200, response
        return packets_of(self.door.eio, response.body)

    async def post(self, *packets: str) -> Response:
        return await self.post_body(payload(self.door.eio, *packets))

    async def post_body(self, body: bytes, content_type: str = "text/plain;charset=UTF-8") -> Response:
        return await self.door.network.request("POST", self.target, body, {"Content-Type": content_type})

    async def socket(self) -> WebSocket:
        """A WebSocket for this session."""
        return await self.door.socket(sid=self.sid)

    async def upgrade(self) -> WebSocket:
        """Go on by WebSocket."""
        socket = await self.socket()
        socket.send("2probe")
        answer = await socket.receive()
        assert answer == "3probe", answer
        socket.send("5")
        return socket
