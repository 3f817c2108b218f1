"""
The Engine.IO sessions of one server: who may open one, and which there are. Without I/O.

Source: the Engine.IO protocol, versions 3 and 4, *Handshake*; the error codes are upstream's.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from .eio_packet import EioVersion
from .eio_socket import Channel, EngineSocket
from .limits import Limits, Room, Tally
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


class EngineServer:
    """
    All sessions, by their ids.

    :ivar sessions, guests, channels: all sessions, those that are guests, and WebSockets of guests.
    :ivar held: see ``Limits.held``.
    """

    def __init__(self, timing: Timing, limits: Limits) -> None:
        self.timing = timing
        self.limits = limits
        self._sockets: dict[str, EngineSocket] = {}
        self._addresses: dict[str, str] = {}
        self._guests: set[str] = set()
        self.sessions, self.guests, self.channels = Room(), Room(), Room()
        self.held = Tally()

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

        :param address: to count it by; empty to count it in all alone.
        :raises Refused: if there are too many.
        """
        limits = self.limits
        if self.sessions.is_full(address, in_all=limits.sockets, per_address=limits.per_address):
            raise Refused(4, "Too many connections", 429)
        self._check_guests(self.guests, address)

    def enter_channel(self, address: str) -> None:
        """
        A WebSocket begins; ``channels.leave`` follows when it is lost, or its client is no guest any more.

        :raises Refused: if there are too many.
        """
        self._check_guests(self.channels, address)
        self.channels.enter(address)

    def _check_guests(self, room: Room, address: str) -> None:
        limits = self.limits
        if room.is_full(address, in_all=limits.guests, per_address=limits.guests_per_address):
            raise Refused(4, "Too many connections that have joined nothing", 429)

    def body_limit(self, socket: EngineSocket | None) -> int:
        """Bytes that a POST's body may have; ``None`` is a session that there is not."""
        return self.limits.body(joined=socket is not None and socket.joined)

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
            guest_limit=self.limits.guest,
            held=self.held,
        )
        self._sockets[sid] = socket
        self._addresses[sid] = address
        self.sessions.enter(address)
        self._guests.add(sid)
        self.guests.enter(address)
        return socket

    def settle(self, socket: EngineSocket) -> None:
        """A session has become a guest, or is none any more."""
        sid = socket.sid
        if sid in self._sockets and socket.joined == (sid in self._guests):
            address = self._addresses[sid]
            if socket.joined:
                self._guests.discard(sid)
                self.guests.leave(address)
            else:
                self._guests.add(sid)
                self.guests.enter(address)

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
            self.sessions.leave(address)
            if socket.sid in self._guests:
                self._guests.discard(socket.sid)
                self.guests.leave(address)
