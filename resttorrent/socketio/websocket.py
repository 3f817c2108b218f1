# mypy: disallow-untyped-calls=False, disallow-subclassing-any=False
"""
Engine.IO by WebSocket, on Autobahn: one packet a frame.

Autobahn calls ``onConnect``, ``onOpen``, ``onMessage``, ``onClose``; the transport calls ``pauseProducing``
and ``resumeProducing`` of the gate; a ``Connection`` calls ``write_frame``, ``drop``, ``stop_reading`` and
``go_on_reading``.
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
    """One WebSocket; a ``connection.Channel``."""

    _log = Logger()
    factory: "SocketFactory"
    # a TCP or TLS transport; its interface says less than it can
    transport: Any
    _write: Callable[[bytes], None]
    _connection: Connection | None = None
    _handshake: Handshake | None = None

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
        except Refused as refused:
            raise ConnectionDeny(refused.status, str(refused)) from None

    def onOpen(self) -> None:
        """The WebSocket stands: begin a session by it, or offer it to one that polls."""
        transport = self.transport
        # the HTTP channel, which handed the transport over, is still registered
        transport.unregisterProducer()
        transport.registerProducer(Gate(self), True)
        # one that can write at once need not wait for the reactor's next turn
        self._write = getattr(transport, "write_at_once", transport.write)
        if self._connection is not None:
            self._connection.open_channel(self)
            return
        assert self._handshake is not None
        if IWriteDescriptor.providedBy(transport):
            # some clients miss a packet that comes along with the answer to their handshake
            transport.doWrite()
        try:
            self._connection = self.factory.server.open(self._handshake, self)
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

    def onMessageEnd(self) -> None:
        """As Autobahn does it, but without telling listeners: there are none."""
        if not self.failedByMe:
            self._onMessage(b"".join(self.message_data), self.message_is_binary)
        self.message_data = None  # type: ignore[assignment]

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
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.lose_channel(self)

    # -- from the transport ----------------------------------------------

    def full(self) -> None:
        if self._connection is not None:
            self._connection.pause(self)

    def emptied(self) -> None:
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
        most: Any = server.engines.limits.max_frame
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            maxFramePayloadSize=most,
            maxMessagePayloadSize=most,
            autoFragmentSize=0,
            # Engine.IO has its own heartbeat
            autoPingInterval=0,
            openHandshakeTimeout=_OPEN_TIMEOUT,
            closeHandshakeTimeout=_CLOSE_TIMEOUT,
            tcpNoDelay=True,
        )
