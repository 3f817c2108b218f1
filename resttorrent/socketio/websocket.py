# mypy: disallow-untyped-calls=False, disallow-subclassing-any=False
"""
Engine.IO by WebSocket, on Autobahn: one packet a frame.

Autobahn calls ``onConnect``, ``onOpen``, ``onMessage…``, ``onPing``, ``onClose``; the transport calls
``pauseProducing`` and ``resumeProducing`` of the gate; a ``Connection`` calls ``write_frame``, ``drop``,
``settle``, ``stop_reading`` and ``go_on_reading``.
"""

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.interfaces import IPushProducer, IReactorTime, IWriteDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from .connection import Connection
from .eio_server import Refused
from .handshake import Handshake, query_of
from .server import SocketServer
from .short_frame import short_text

_CLOSE_TIMEOUT = 5.0
_OPEN_TIMEOUT = 10.0
RETRY_AFTER = 5
"""Seconds after which one that found no room may try again."""


@implementer(IPushProducer)
class Gate:
    """Hears from the transport whether the client reads."""

    __slots__ = ("_channel",)

    def __init__(self, channel: "SocketProtocol") -> None:
        self._channel = channel

    def pauseProducing(self) -> None:
        """Some 64 KiB wait; said again at each further write."""
        self._channel.full()

    def resumeProducing(self) -> None:
        """All is out."""
        self._channel.emptied()

    def stopProducing(self) -> None:
        """The connection is lost; ``onClose`` says so."""


class SocketProtocol(WebSocketServerProtocol):
    """
    One WebSocket; a ``connection.Channel``.

    :ivar settled: its client has joined a namespace; until then it counts as a guest's.
    """

    _log = Logger()
    factory: "SocketFactory"
    # a TCP or TLS transport; its interface says less than it can
    transport: Any
    _write: Callable[[bytes], None]
    _connection: Connection | None = None
    _handshake: Handshake | None = None
    settled = True
    _address = ""
    _is_full = False
    _parts: bytes | bytearray = b""

    # Autobahn gives each protocol these two of its factory, unless it has them

    @property
    def maxMessagePayloadSize(self) -> int:
        """Bytes of a message: a few, until somebody knows who sends it."""
        most: int = self.factory.server.engines.limits.message(joined=self.settled)
        return most

    @property
    def maxFramePayloadSize(self) -> int:
        """The same for a message's part."""
        return self.maxMessagePayloadSize

    # -- from Autobahn ---------------------------------------------------

    def onConnect(self, request: ConnectionRequest) -> None:
        """
        Look at the opening handshake.

        :raises ConnectionDeny: to answer it with an HTTP error.
        """
        peer = self.transport.getPeer()
        address = getattr(peer, "host", None) or str(peer)
        headers = {name.lower(): value for name, value in request.headers.items()}
        uri = self.http_request_uri.encode("latin-1", "replace")
        self._handshake = Handshake(query_of(uri), headers, address, peer)
        try:
            self._connection = self.factory.server.check(self._handshake, method="GET", websocket=True)
            self._address = self.factory.server.address_of(self._handshake)
            self.factory.server.enter_channel(self._address)
            self.settled = False
        except Refused as refused:
            raise ConnectionDeny(refused.status, str(refused)) from None

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """As Autobahn does it, with the headers of an answer without a body."""
        headers = [("Content-Length", "0"), ("Connection", "close"), *(responseHeaders or ())]
        if code in (429, 503):
            headers.append(("Retry-After", str(RETRY_AFTER)))
        super().failHandshake(reason, code, headers)

    def onOpen(self) -> None:
        """The WebSocket stands: begin a session by it, or offer it to one that polls."""
        transport, handshake = self.transport, self._handshake
        # the head was kept three times
        self.http_request_data, self.http_headers, self._handshake = b"", {}, None
        # the HTTP channel, which handed the transport over, is still registered
        transport.unregisterProducer()
        transport.registerProducer(Gate(self), True)
        # one that can write at once need not wait for the reactor's next turn
        self._write = getattr(transport, "write_at_once", transport.write)
        if self._connection is not None:
            self._connection.open_channel(self)
            return
        assert handshake is not None
        if IWriteDescriptor.providedBy(transport):
            # some clients miss a packet that comes along with the answer to their handshake
            transport.doWrite()
        try:
            self._connection = self.factory.server.open(handshake, self)
        except Refused:
            # it was let in when there was room
            self.drop()

    def dataReceived(self, data: bytes) -> None:
        """As Autobahn does it, but without the words for its log, and quickly where it is easy."""
        if self.state == self.STATE_OPEN and not self.data and self.current_frame is None:
            text = short_text(data)
            if text is not None and len(text) <= self.maxMessagePayloadSize and not self.inside_message:
                self.onMessage(text, False)
                return
        self._dataReceived(data)

    # Autobahn lists the parts of a message: a thousand of one byte, or of none, would be a thousand objects

    def onMessageFrameData(self, payload: bytes) -> None:
        """Keep a part in one piece with those before it; one that is the whole is not copied."""
        if self.failedByMe or not payload:
            return
        if not self._parts:
            self._parts = payload
        else:
            if isinstance(self._parts, bytes):
                self._parts = bytearray(self._parts)
            self._parts += payload
        is_whole = self.current_frame.fin and len(self._parts) == self.message_data_total_length
        if self._connection is not None and not is_whole:
            self._connection.receive_part(len(self._parts))

    def onMessageFrameEnd(self) -> None:
        """Wait for the next frame, or the end."""
        self.frame_data = []

    def onMessageEnd(self) -> None:
        """As Autobahn does it, but without telling listeners: there are none."""
        payload, self._parts = bytes(self._parts), b""
        self.message_data = []
        if self._connection is not None and self._connection.incoming:
            self._connection.receive_part(0)
        if not self.failedByMe:
            self._onMessage(payload, self.message_is_binary)

    def onPing(self, payload: bytes) -> None:
        """Answer a client that reads; of many pings the last alone need be answered (RFC 6455 §5.5.3)."""
        if not self._is_full and self.state == self.STATE_OPEN:
            self.sendPong(payload)

    def _max_message_size_exceeded(self, *what: Any) -> None:
        self.factory.server.refusals["too_long"] += 1
        super()._max_message_size_exceeded(*what)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message came; text has been found to be UTF-8."""
        if self._connection is not None:
            try:
                self._connection.receive(self, payload, binary=isBinary)
            except Exception:
                # Autobahn would close the connection and keep the reason to itself
                self._log.failure("a message could not be handled")
                self._connection.abort("an error")

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """The WebSocket is gone."""
        if self.closeHandshakeTimeoutCall is not None:
            # Autobahn forgets it where the client hangs up in the middle of closing
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None
        self.settle()
        self._parts = b""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.incoming = 0
            connection.lose_channel(self)

    # -- from the transport ----------------------------------------------

    def full(self) -> None:
        self._is_full = True
        if self._connection is not None:
            self._connection.pause(self)

    def emptied(self) -> None:
        self._is_full = False
        if self._connection is not None:
            self._connection.resume(self)

    # -- from the connection ---------------------------------------------

    def write_frame(self, frame: bytes) -> None:
        """Send a whole frame."""
        if self.state == self.STATE_OPEN:
            self._write(frame)

    def drop(self) -> None:
        """Close it, once what was written is out; within 5 s."""
        self.sendClose(1000)

    def settle(self) -> None:
        """It counts among the guests' no more."""
        if not self.settled:
            self.settled = True
            self.factory.server.engines.channels.leave(self._address)

    def stop_reading(self) -> None:
        """Read nothing more for now."""
        self.transport.pauseProducing()

    def go_on_reading(self) -> None:
        """Read again."""
        self.transport.resumeProducing()


class SocketFactory(WebSocketServerFactory):
    """Makes the protocols of one server."""

    # Twisted declares a function
    protocol = SocketProtocol  # type: ignore[assignment]

    def __init__(self, server: SocketServer, reactor: IReactorTime) -> None:
        super().__init__(server="RestTorrent", reactor=reactor)
        self.server = server
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            autoFragmentSize=0,
            # Engine.IO has its own heartbeat
            autoPingInterval=0,
            openHandshakeTimeout=_OPEN_TIMEOUT,
            closeHandshakeTimeout=_CLOSE_TIMEOUT,
            tcpNoDelay=True,
        )
