"""
Socket.IO above one Engine.IO session: namespaces, events, acknowledgements. Without I/O.

An application says what happens::

    class Echo(Application):
        def event(self, socket, name, arguments, ack_id):
            socket.emit(name, *arguments)

Source: the Socket.IO protocol, versions 4 (spoken above EIO3) and 5 (above EIO4).
"""

import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from twisted.logger import Logger

from .attachments import put_back, take_out
from .eio_packet import MESSAGE, Packet
from .eio_socket import EngineSocket
from .handshake import Handshake
from .outgoing import Outgoing
from .sio_packet import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    MalformedMessage,
    SioPacket,
    decode,
    encode,
)

_BINARY = {EVENT: BINARY_EVENT, ACK: BINARY_ACK}
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
MOST_ATTACHED = 16 * 1024 * 1024
"""Bytes of one packet's attachments together."""
NOT_JOINED = "no namespace was joined in time"


class Refusal(Exception):
    """
    An application does not let a client into a namespace.

    :ivar data: what the client gets beside the message, where its protocol has room for it (SIO5).
    """

    def __init__(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data


class Application:
    """
    What answers clients; all methods do nothing until they are overridden.

    One that raises ends the client's session, and is logged.

    :ivar namespaces: those that may be joined.
    """

    namespaces: Collection[str] = ("/",)

    def admit(self, handshake: Handshake, namespace: str, auth: Any) -> Any:
        """
        Let a client into a namespace.

        :param auth: SIO5's connect payload; ``None`` for older clients.
        :return: what ``Socket.data`` begins with.
        :raises Refusal: to keep it out.
        """

    def connect(self, socket: "Socket", auth: Any) -> None:
        """A client has joined."""

    def event(self, socket: "Socket", name: str | int, arguments: list[Any], ack_id: int | None) -> None:
        """An event came; with an ``ack_id``, ``socket.acknowledge`` is to answer it."""

    def writable(self, socket: "Socket") -> None:
        """The client can take more, after ``socket.writable`` had said that it could not."""

    def disconnect(self, socket: "Socket", reason: str) -> None:
        """A client has left; nothing can be sent to it."""


class Socket:
    """
    One client in one namespace.

    :ivar id: secret enough to be a capability; :ivar data: the application's own.
    """

    __slots__ = ("_client", "connected", "data", "id", "namespace")

    def __init__(self, client: "Client", namespace: str, data: Any) -> None:
        self._client = client
        self.namespace = namespace
        self.id = secrets.token_urlsafe(15)
        self.connected = True
        self.data = data

    @property
    def handshake(self) -> Handshake:
        return self._client.handshake

    @property
    def writable(self) -> bool:
        """Whether the client takes what is sent now. If not, ``Application.writable`` tells when it does."""
        return self.connected and self._client.engine.writable

    def emit(self, name: str, *arguments: Any) -> None:
        """Send an event. Bytes travel as attachments, ``msgspec.Raw`` as the JSON that it is."""
        self._send(EVENT, [name, *arguments], None)

    def acknowledge(self, ack_id: int, *arguments: Any) -> None:
        """Answer an event."""
        self._send(ACK, list(arguments), ack_id)

    def send(self, *prepared: Outgoing) -> None:
        """Send what ``prepare`` made, once for many."""
        if self.connected:
            self._client.send(prepared)

    def disconnect(self, *, close: bool = False) -> None:
        """Put the client out of the namespace, or close all that it has here."""
        if not self.connected:
            return
        if close:
            self._client.close()
        else:
            self._client.send([_message(SioPacket(DISCONNECT, self.namespace))])
            self._client.leave(self, "server namespace disconnect")

    def _send(self, kind: int, data: list[Any], number: int | None) -> None:
        if not self.connected:
            return
        data, attachments = take_out(data)
        if attachments:
            kind = _BINARY[kind]
        head = _message(SioPacket(kind, self.namespace, data, number, len(attachments)))
        self._client.send([head, *(Outgoing(Packet(MESSAGE, raw, binary=True)) for raw in attachments)])


def prepare(name: str, raw: bytes, namespace: str = "/") -> Outgoing:
    """An event with one argument, JSON already, to be sent to many."""
    return _message(SioPacket(EVENT, namespace, [name, msgspec.Raw(raw)]))


def _message(packet: SioPacket) -> Outgoing:
    return Outgoing(Packet(MESSAGE, encode(packet)))


def in_ascii(outgoing: Outgoing) -> Outgoing:
    """
    The same for a client that may be one of Socket.IO 1, which misread other text in polls (``eio_payload``).
    """
    packet = outgoing.packet
    if packet.binary or packet.data.isascii():
        return outgoing
    # what is not ASCII stands in JSON strings, where any character can be written as an escape
    return Outgoing(Packet(packet.type, _NOT_ASCII.sub(_escape, packet.data.decode()).encode()))


def _escape(found: re.Match[str]) -> str:
    # json writes what is beyond the Basic Multilingual Plane as a pair
    return json.dumps(found[0])[1:-1]


class Client:
    """
    The Socket.IO side of one Engine.IO session.

    :param seconds: the time; :param flush: called when there is something to send.
    :ivar deadline: when ``tick`` is due; ``None`` while the client is in a namespace.
    :ivar holds: bytes of attachments that wait for the rest.
    """

    _log = Logger()

    def __init__(
        self,
        engine: EngineSocket,
        application: Application,
        handshake: Handshake,
        seconds: Callable[[], float],
        *,
        connect_timeout: float,
        flush: Callable[[], None],
    ) -> None:
        self.engine = engine
        self.handshake = handshake
        self.deadline: float | None = seconds() + connect_timeout
        self._connect_timeout = connect_timeout
        self._application = application
        self._flush = flush
        self._sockets: dict[str, Socket] = {}
        self._pending: SioPacket | None = None
        self._attachments: list[bytes] = []
        self.holds = 0
        self._is_broken = False
        self._seconds = seconds
        if engine.eio == 3:
            # such clients are in the main namespace by coming
            self._join("/", None)

    # -- what comes in ---------------------------------------------------

    def receive(self, message: Packet) -> None:
        """A message came; one that breaks the protocol ends the session, and none after it counts."""
        if self._is_broken:
            return
        try:
            if message.binary:
                self._attach(message.data)
            elif self._pending is not None:
                raise MalformedMessage("attachments are missing")
            else:
                packet = decode(message.data)
                if packet.attachments:
                    self._socket_of(packet)
                    self._pending = packet
                else:
                    self._dispatch(packet)
        except MalformedMessage as error:
            self._break(f"a malformed message: {error}")

    def _attach(self, data: bytes) -> None:
        packet = self._pending
        if packet is None:
            raise MalformedMessage("an attachment belongs to no packet")
        self._attachments.append(data)
        self.holds += len(data)
        if self.holds > MOST_ATTACHED:
            raise MalformedMessage("attachments are too large")
        if len(self._attachments) < packet.attachments:
            return
        attachments, self._attachments, self._pending, self.holds = self._attachments, [], None, 0
        restored = put_back(packet.data, attachments)
        self._dispatch(SioPacket(packet.type, packet.namespace, restored, packet.id))

    def _dispatch(self, packet: SioPacket) -> None:
        if packet.type == CONNECT:
            self._connect(packet)
            return
        socket = self._socket_of(packet)
        if packet.type == DISCONNECT:
            self.leave(socket, "client namespace disconnect")
        elif packet.type in (EVENT, BINARY_EVENT):
            name, *arguments = packet.data
            self._tell(self._application.event, socket, name, arguments, packet.id)
        # a server that asks for no acknowledgements has nothing to do with those that come

    def _socket_of(self, packet: SioPacket) -> Socket:
        socket = self._sockets.get(packet.namespace)
        if socket is None:
            raise MalformedMessage("the client is not in this namespace")
        return socket

    def _connect(self, packet: SioPacket) -> None:
        if packet.namespace in self._sockets:
            if self.engine.eio == 3 and packet.namespace == "/":
                return  # it is there already, unasked
            raise MalformedMessage("the client is in this namespace already")
        self._join(packet.namespace, packet.data)

    def _join(self, namespace: str, auth: Any) -> None:
        if namespace not in self._application.namespaces:
            self._refuse(namespace, Refusal("Invalid namespace"))
            return
        try:
            data = self._application.admit(self.handshake, namespace, auth)
        except Refusal as refusal:
            self._refuse(namespace, refusal)
            return
        except Exception:
            self._break_of_mistake()
            return
        self.deadline = None
        self.engine.joined = True
        socket = self._sockets[namespace] = Socket(self, namespace, data)
        welcome = {"sid": socket.id} if self.engine.eio == 4 else None
        self.send([_message(SioPacket(CONNECT, namespace, welcome))])
        self._tell(self._application.connect, socket, auth)

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        """Tell the application something."""
        try:
            what(*arguments)
        except Exception:
            self._break_of_mistake()

    def _break_of_mistake(self) -> None:
        self._log.failure("the application failed")
        self._break("an error of the server")

    def _break(self, reason: str) -> None:
        self._is_broken = True
        self.engine.abort(reason)

    def _refuse(self, namespace: str, refusal: Refusal) -> None:
        data: Any = str(refusal)
        if self.engine.eio == 4:
            data = {"message": data} if refusal.data is None else {"message": data, "data": refusal.data}
        self.send([_message(SioPacket(CONNECT_ERROR, namespace, data))])

    # -- what goes out ---------------------------------------------------

    def send(self, packets: Sequence[Outgoing]) -> None:
        if self.engine.base64:
            packets = [in_ascii(outgoing) for outgoing in packets]
        self.engine.send(packets)
        self._flush()

    def close(self) -> None:
        """End the session when the client has got what waits for it."""
        self.engine.close(self._seconds())
        self._flush()

    # -- time and end ----------------------------------------------------

    def tick(self, now: float) -> None:
        """Give up a client that joins nothing."""
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
            self.engine.abort(NOT_JOINED)

    def writable(self) -> None:
        """The engine can take more."""
        for socket in tuple(self._sockets.values()):
            self._tell(self._application.writable, socket)

    def leave(self, socket: Socket, reason: str) -> None:
        """One namespace less; the session itself goes on for a while, for the client to join another."""
        if self._sockets.pop(socket.namespace, None) is None:
            return
        socket.connected = False
        self._tell(self._application.disconnect, socket, reason)
        if not self._sockets:
            # it may join again, in the time that it had at first
            self.deadline = self._seconds() + self._connect_timeout
            self.engine.joined = False
            self._flush()

    def ended(self, reason: str) -> None:
        """The session is over."""
        sockets, self._sockets = self._sockets, {}
        for socket in sockets.values():
            socket.connected = False
            self._tell(self._application.disconnect, socket, reason)
