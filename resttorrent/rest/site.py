# mypy: disallow-untyped-calls=False
# (twisted.web, whose methods are called through our subclasses)
"""
Below the door: HTTP connections with bounded bodies, on twisted.web.

Bodies stay in memory and are never parsed here. One that is too long is refused as soon as that is known, by
its Content-Length or by the chunk that exceeds the limit, and the connection closed; what still comes of it
meanwhile is thrown away. A resource beside the door may take a connection over, as WebSockets do; it is the
site's no longer.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from twisted.internet.interfaces import IDelayedCall, IProtocol, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.http import Request as HTTPRequest
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from ..commands.registry import Registry
from ..errors import TooLarge
from . import replies
from .app import Door, DoorReactor
from .front import Front

BODY_LIMIT = 32 * 1024 * 1024
IDLE_TIMEOUT = 60.0
"""Seconds a connection may stay silent between requests, or inside one."""
LINGER = 5.0
"""Seconds for a client to read that its body was refused, most of which send it first."""


class DoorRequest(Request):
    """A request whose body is held in memory, up to the limit of its resource."""

    channel: Any
    content: BytesIO
    site: "DoorSite"
    sitepath: list[bytes]
    _refused = False
    _body_limit = 0

    def gotLength(self, length: int | None) -> None:
        """Called by the channel after the headers; ``None`` is a body in chunks."""
        self.content = BytesIO()
        if length == 0:
            return
        # a WSGI server's channel knows no target yet, and has read the body already
        self._body_limit = self.channel.site.body_limit_at(getattr(self.channel, "target", b""))
        if length is not None and length > self._body_limit:
            self._refuse_body()
        else:
            self._tell_resource("body_begun")

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused:
            return
        if self.content.tell() + len(data) > self._body_limit:
            self._refuse_body()
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self._refused:
            super().requestReceived(command, path, version)
        elif self.channel is not None:
            self.channel.loseConnection()

    def process(self) -> None:
        """As Twisted does it, but that ``*`` is left to the resource and Server and Date to the channel."""
        self.site = self.channel.site
        self.prepath, self.sitepath = [], []
        self.postpath = self.path[1:].split(b"/")
        try:
            self.render(self.site.getResourceFor(self))
        except Exception:
            self.processingFailed(Failure())

    def finish(self) -> None:
        """Finish, and close the connection if the answer says so: Twisted looks at the question only."""
        if self.channel is not None and self.responseHeaders.hasHeader(b"Connection"):
            self.channel.persistent = False
        super().finish()

    def _refuse_body(self) -> None:
        """
        Say 413 and close, at the end of the body at the latest (RFC 9112 §9.6).

        Closed at once, with some of the body unread, TCP would reset the connection and most clients would
        not see the answer. The request stays in its place, unfinished, until the connection is lost.
        """
        self._refused = True
        waits = self.requestHeaders.hasHeader(b"Expect")
        # else the channel would still send "100 Continue", after our answer
        self.requestHeaders.removeHeader(b"Expect")
        self.content = BytesIO()
        self.clientproto = b"HTTP/1.1"
        self._tell_resource("body_refused")
        reply = replies.of_error(TooLarge(f"the body is larger than {self._body_limit} bytes"))
        reply.closing().write_to(self)
        if waits or not getattr(self.channel, "streams", False):
            self.channel.loseConnection()
        else:
            self.channel.linger()

    def _tell_resource(self, what: str) -> None:
        """Call a method of the resource that the body is for, if it has one of this name."""
        target = getattr(self.channel, "target", b"")
        method = getattr(self.channel.site.front.beside(target), what, None)
        if method is None:
            return
        self.method, self.uri = self.channel.method, target
        self.path, _, query = target.partition(b"?")
        self.args = parse_qs(query, keep_blank_values=True)
        try:
            method(self)
        except Exception:
            self._log.failure("a resource failed to hear of a body")


class DoorChannel(HTTPChannel):
    """
    A connection; HTTP/1.1 only.

    :ivar streams: responses may be written piece by piece.
    """

    site: "DoorSite"
    streams = True
    _lower: Any = None
    _was_taken = False
    _lingering: IDelayedCall | None = None

    @property
    def method(self) -> bytes:
        """Of the request whose headers have just come."""
        return self._command

    @property
    def target(self) -> bytes:
        """Path and query of that request, as sent."""
        return self._path

    def connectionMade(self) -> None:
        self.site.connections.add(self)
        self._lower = self.transport
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.connections.discard(self)
        self._stop_lingering()
        super().connectionLost(reason)

    def linger(self) -> None:
        """Close soon, if the client does not."""
        self._lingering = self.callLater(LINGER, self.loseConnection)

    def loseConnection(self) -> None:
        self._stop_lingering()
        super().loseConnection()

    def _stop_lingering(self) -> None:
        lingering, self._lingering = self._lingering, None
        if lingering is not None and lingering.active():
            lingering.cancel()

    def allContentReceived(self) -> None:
        """Have the request answered; its resource may take the transport, and leave us none."""
        super().allContentReceived()
        if self.transport is None:
            self._was_taken = True
            self.site.connections.discard(self)
            # a cycle: until the collector comes, the request of each WebSocket would stay in memory
            self.requests = []

    def rawDataReceived(self, data: bytes) -> None:
        """As Twisted does it; what followed a request in one packet goes to who took the connection over."""
        if self._was_taken:
            _protocol_of(self._lower).dataReceived(data)
        else:
            super().rawDataReceived(data)

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """As Twisted does it; but a producer that comes while earlier answers wait is told so."""
        super().registerProducer(producer, streaming)
        if streaming and self._waitingForTransport:
            producer.pauseProducing()

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Write a response's head in one piece; the Server header names no version."""
        lines = [b"%s %s %s\r\nServer: RestTorrent\r\nDate: %s" % (version, code, reason, datetimeToString())]
        lines += [
            b"%s: %s" % (name, value) for name, values in headers.getAllRawHeaders() for value in values
        ]
        self.write(b"\r\n".join((*lines, b"", b"")))

    def headerReceived(self, line: bytes) -> bool:
        try:
            received: bool = super().headerReceived(line)
        except ValueError:
            # a Content-Length of more digits than int() takes
            self.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            self.loseConnection()
            return False
        return received


def _protocol_of(transport: Any) -> IProtocol:
    """Who gets what a transport reads; with TLS there is a protocol that wraps it."""
    for owner in (transport, transport.protocol):
        if isinstance(owner, ProtocolWrapper):
            wrapped: IProtocol = owner.wrappedProtocol
            return wrapped
    protocol: IProtocol = transport.protocol
    return protocol


class DoorSite(Site):
    """
    The factory of connections to the door, and to what stands beside it.

    :ivar door: what answers; also knows how to drain.
    :ivar connections: the open ones.
    """

    requestFactory = DoorRequest
    # declared by Twisted as what wraps HTTP/1.1 and HTTP/2
    protocol = DoorChannel  # type: ignore[assignment]
    noisy = False

    def __init__(self, front: Front, *, reactor: IReactorTime, body_limit: int) -> None:
        super().__init__(front.door, timeout=IDLE_TIMEOUT, reactor=reactor, parsePOSTFormSubmission=False)
        self.front = front
        self.door = front.door
        self.body_limit = body_limit
        self.connections: set[DoorChannel] = set()

    def startFactory(self) -> None:
        """No access log, hence no clock for its lines either."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: HTTPRequest) -> None:
        """Accesses are not logged."""

    def getResourceFor(self, request: Request) -> IResource:
        """As Twisted does it, but for the walk from a root that has no more than one level."""
        request.site = self
        return self.front.resource_for(request)

    def acceptableProtocols(self) -> list[bytes]:
        """What TLS may negotiate."""
        return [b"http/1.1"]

    def body_limit_at(self, target: bytes) -> int:
        """The bytes that the body of a request for ``target`` may have."""
        smaller: int | None = getattr(self.front.beside(target), "body_limit", None)
        return self.body_limit if smaller is None else min(smaller, self.body_limit)

    def close_connections(self) -> None:
        """
        Close all connections, once what was written to them is sent; a running command is cancelled.

        Those that were taken over are left to who took them.
        """
        for channel in tuple(self.connections):
            channel.loseConnection()


def build_site(
    registry: Registry,
    make_context: Callable[[], object],
    *,
    reactor: DoorReactor,
    body_limit: int = BODY_LIMIT,
    beside: Mapping[bytes, IResource] | None = None,
) -> DoorSite:
    """
    The factory to listen with.

    :param make_context: makes what a command gets as its first argument.
    :param body_limit: bytes of a request's body.
    :param beside: resources for paths that are not the door's; see ``Front``.
    """
    front = Front(Door(registry, make_context, reactor=reactor), beside or {})
    return DoorSite(front, reactor=reactor, body_limit=body_limit)
