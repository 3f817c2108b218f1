# mypy: disallow-untyped-calls=False
# (twisted.web, whose methods are called through our subclasses)
"""
Below the door: HTTP connections with bounded bodies, on twisted.web.

Bodies stay in memory and are never parsed here. One that is too long is refused as soon as that is known, by
its Content-Length or by the chunk that exceeds the limit, and the connection closed.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IReactorThreads, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.http import Request as HTTPRequest
from twisted.web.http_headers import Headers
from twisted.web.server import Request, Site

from ..commands.registry import Registry
from ..errors import TooLarge
from . import replies
from .app import Door, build_resource

BODY_LIMIT = 32 * 1024 * 1024
IDLE_TIMEOUT = 60.0
"""Seconds a connection may stay silent between requests, or inside one."""


class DoorReactor(IReactorThreads, IReactorTime):
    """What the door asks of the reactor."""


class DoorRequest(Request):
    """A request whose body is held in memory, up to the site's limit."""

    channel: Any
    content: BytesIO
    site: "DoorSite"
    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Called by the channel after the headers; ``None`` is a body in chunks."""
        self.content = BytesIO()
        if length is not None and length > self.channel.site.body_limit:
            self._refuse_body()

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused:
            return
        if self.content.tell() + len(data) > self.channel.site.body_limit:
            self._refuse_body()
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self._refused:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        """As Twisted does it, but that ``*`` is left to the resource and Server and Date to the channel."""
        self.site = self.channel.site
        self.prepath = []
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
        Say 413 and close.

        The channel may go on to feed us what it has already read, so the request stays in its place,
        unfinished, until the connection is lost.
        """
        self._refused = True
        # else the channel would still send "100 Continue", after our answer
        self.requestHeaders.removeHeader(b"Expect")
        self.content = BytesIO()
        self.clientproto = b"HTTP/1.1"
        limit = self.channel.site.body_limit
        reply = replies.of_error(TooLarge(f"the body is larger than {limit} bytes"))
        reply.closing().write_to(self)
        self.channel.loseConnection()


class DoorChannel(HTTPChannel):
    """A connection; HTTP/1.1 only."""

    site: "DoorSite"

    def connectionMade(self) -> None:
        self.site.connections.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.connections.discard(self)
        super().connectionLost(reason)

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


class DoorSite(Site):
    """
    The factory of connections to the door.

    :ivar door: what answers; also knows how to drain.
    :ivar connections: the open ones.
    """

    requestFactory = DoorRequest
    # declared by Twisted as what wraps HTTP/1.1 and HTTP/2
    protocol = DoorChannel  # type: ignore[assignment]
    noisy = False

    def __init__(self, door: Door, *, reactor: IReactorTime, body_limit: int) -> None:
        super().__init__(door, timeout=IDLE_TIMEOUT, reactor=reactor, parsePOSTFormSubmission=False)
        self.door = door
        self.body_limit = body_limit
        self.connections: set[DoorChannel] = set()

    def startFactory(self) -> None:
        """No access log, hence no clock for its lines either."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: HTTPRequest) -> None:
        """Accesses are not logged."""

    def acceptableProtocols(self) -> list[bytes]:
        """What TLS may negotiate."""
        return [b"http/1.1"]

    def close_connections(self) -> None:
        """Close all connections, once what was written to them is sent; a running command is cancelled."""
        for channel in tuple(self.connections):
            channel.loseConnection()


def build_site(
    registry: Registry,
    make_context: Callable[[], object],
    *,
    reactor: DoorReactor,
    body_limit: int = BODY_LIMIT,
) -> DoorSite:
    """
    The factory to listen with.

    :param make_context: makes what a command gets as its first argument.
    :param body_limit: bytes of a request's body.
    """
    door = build_resource(registry, make_context, reactor=reactor)
    return DoorSite(door, reactor=reactor, body_limit=body_limit)
