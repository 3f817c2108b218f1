"""
The Engine.IO sessions of one server: who may open one, and which there are. Without I/O.

Source: the Engine.IO protocol, versions 3 and 4, *Handshake*; the error codes are upstream's.
"""

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .eio_packet import EioVersion
from .eio_socket import Channel, EngineSocket
from .timing import Timing

Query = Mapping[str, str]
TRANSPORTS = ("polling", "websocket")


class Refused(Exception):
    """
    A request that opens or continues no session.

    :ivar code: upstream's number, 0 to 5; :ivar status: HTTP's.
    """

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def body(self) -> dict[str, Any]:
        """What the client is told."""
        return {"code": self.code, "message": str(self)}


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What a stranger can't exceed.

    :ivar max_payload: bytes of a POST's body, and of a GET's answer with more than one packet.
    :ivar max_frame: bytes of what comes in one WebSocket message.
    :ivar sockets: sessions in all; :ivar per_address: from one address, which may be a proxy's.
    """

    max_payload: int = 1_000_000
    max_frame: int = 16 * 1024 * 1024
    sockets: int = 10_000
    per_address: int = 2_000


class EngineServer:
    """All sessions, by their ids."""

    def __init__(self, timing: Timing, limits: Limits) -> None:
        self.timing = timing
        self.limits = limits
        self._sockets: dict[str, EngineSocket] = {}
        self._addresses: dict[str, str] = {}
        self._count: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[EngineSocket]:
        return iter(tuple(self._sockets.values()))

    def check(self, query: Query, *, method: str, websocket: bool) -> None:
        """
        Look whether a request makes sense, as far as its query tells.

        :raises Refused: if not.
        """
        transport = query.get("transport", "")
        if transport not in TRANSPORTS or "j" in query:
            raise Refused(0, "Transport unknown")
        if websocket != (transport == "websocket"):
            raise Refused(3, "Bad request")
        if "sid" not in query and method != "GET":
            raise Refused(2, "Bad handshake method")
        if query.get("EIO") not in ("3", "4"):
            raise Refused(5, "Unsupported protocol version")

    def find(self, query: Query) -> EngineSocket:
        """
        The session that a request continues.

        :raises Refused: if there is none of its id.
        """
        socket = self._sockets.get(query["sid"])
        if socket is None:
            raise Refused(1, "Session ID unknown")
        return socket

    def check_room(self, address: str) -> None:
        """
        Look whether one more session may begin.

        :raises Refused: if there are too many.
        """
        if len(self._sockets) >= self.limits.sockets or self._count[address] >= self.limits.per_address:
            raise Refused(4, "Too many connections", 429)

    def open(self, query: Query, address: str, now: float, *, channel: Channel | None = None) -> EngineSocket:
        """
        Begin a session.

        :param channel: the WebSocket that it comes by; none for polling.
        :raises Refused: if there are too many.
        """
        self.check_room(address)
        eio: EioVersion = 3 if query["EIO"] == "3" else 4
        sid = secrets.token_urlsafe(15)
        socket = EngineSocket(
            sid,
            eio,
            self.timing,
            now,
            greeting=self._greeting(sid, upgrades=channel is None),
            channel=channel,
            base64=query.get("b64") in ("1", "true"),
            max_payload=self.limits.max_payload,
        )
        self._sockets[sid] = socket
        self._addresses[sid] = address
        self._count[address] += 1
        return socket

    def _greeting(self, sid: str, *, upgrades: bool) -> bytes:
        return json.dumps(
            {
                "sid": sid,
                "upgrades": ["websocket"] if upgrades else [],
                "pingInterval": round(self.timing.interval * 1000),
                "pingTimeout": round(self.timing.timeout * 1000),
                "maxPayload": self.limits.max_payload,
            },
            separators=(",", ":"),
        ).encode()

    def forget(self, socket: EngineSocket) -> None:
        """A session has ended."""
        if self._sockets.pop(socket.sid, None) is not None:
            address = self._addresses.pop(socket.sid)
            self._count[address] -= 1
            if not self._count[address]:
                del self._count[address]
