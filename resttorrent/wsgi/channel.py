# mypy: disallow-untyped-calls=False
# (twisted.web, whose methods are called through our subclasses)
"""
A twisted.web request without a connection: what came by WSGI goes in, an answer comes out.

The site makes its own kind of request, and to that the channel here is the connection. Who calls what:

=================  ===========================================================================
the site           ``loseConnection`` when the daemon gives up the requests that still run
the request        ``getPeer``, ``getHost``, ``isSecure``, ``site``, ``transport``, ``persistent``;
                   ``writeHeaders`` once, ``write``; ``requestDone`` at the end
=================  ===========================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request
from zope.interface import implementer

from ..errors import CommandError, Stopping
from ..rest import replies
from .incoming import Address, Incoming

if TYPE_CHECKING:
    from ..rest.site import DoorChannel, DoorRequest, DoorSite

# HTTP/1.1 would have Twisted cut a body of unknown length into chunks, which is the server's part here.
VERSION = b"HTTP/1.0"
# Headers that PEP 3333 leaves to the server.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer"}
    | {b"trailers", b"transfer-encoding", b"upgrade"}
)


@implementer(IAddress)
@dataclass(frozen=True, slots=True)
class Unknown:
    """The address of a client of whom the server tells none."""

    host: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """
    An answer in WSGI's terms.

    :ivar status: as ``404 Not Found``.
    :ivar body: empty for HEAD.
    """

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Channel:
    """
    The connection of one request.

    :param site: whose request it is; ``None`` if no daemon takes part.
    :param done: called once, with the answer.
    """

    log = Logger()
    transport = None
    persistent = True

    def __init__(
        self, incoming: Incoming, done: Callable[[Outgoing], None], site: "DoorSite | None" = None
    ) -> None:
        self.site = site
        self._incoming, self._done = incoming, done
        self._request: Request | None = None
        self._status: str | None = None
        self._headers: list[tuple[str, str]] = []
        self._parts: list[bytes] = []

    def carry(self, request: "DoorRequest", body: bytes) -> None:
        """Let a request of ``site``, made for this channel, begin."""
        self._request = request
        self._enlist()
        for name, value in self._incoming.headers:
            request.requestHeaders.addRawHeader(name, value)
        request.gotLength(len(body))
        request.handleContentChunk(body)
        request.requestReceived(self._incoming.method, self._incoming.target, VERSION)

    def getPeer(self) -> Address | Unknown:
        # whoever asks by a UNIX socket of the server is its client, perhaps a proxy: not the daemon's owner
        client = self._incoming.client
        return Unknown() if isinstance(client, UNIXAddress) else client

    def getHost(self) -> Address:
        return self._incoming.server

    def isSecure(self) -> bool:
        return self._incoming.secure

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        self._status = f"{code.decode('ascii')} {reason.decode('latin-1')}"
        self._headers = [
            (name.decode("latin-1"), self._seen_from_outside(name, value).decode("latin-1"))
            for name, values in headers.getAllRawHeaders()
            for value in values
            if name.lower() not in _HOP_BY_HOP
        ]

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    def requestDone(self, request: Request) -> None:
        self._finish()

    def loseConnection(self) -> None:
        """End at once: with the answer, if it was written, else with 503; what runs is cancelled."""
        self.give_up(Stopping("the daemon is stopping"))

    def give_up(self, error: CommandError) -> None:
        """Answer with ``error`` unless there is an answer; the request has lost its client."""
        request, self._request = self._request, None
        if self._status is None:
            replied = refusal(error, self._incoming)
            self._status, self._headers, self._parts = replied.status, replied.headers, [replied.body]
        self._finish()
        if request is not None and request.channel is not None:
            request.connectionLost(Failure(ConnectionDone()))

    def _seen_from_outside(self, name: bytes, value: bytes) -> bytes:
        if name.lower() == b"location" and value.startswith(b"/"):
            return self._incoming.mount + value
        return value

    def _enlist(self) -> None:
        if self.site is not None:
            # closed with them: loseConnection is all that is asked of those
            self.site.connections.add(cast("DoorChannel", self))

    def _finish(self) -> None:
        if self.site is not None:
            self.site.connections.discard(cast("DoorChannel", self))
        done, self._done = self._done, _ignore
        done(Outgoing(self._status or "500 Internal Server Error", self._headers, b"".join(self._parts)))


def deliver(site: "DoorSite", incoming: Incoming, body: bytes, done: Callable[[Outgoing], None]) -> None:
    """
    Have the site answer a request; called in the reactor's thread.

    :param done: called once, now or later, in the same thread.
    """
    channel = Channel(incoming, done, site)
    try:
        channel.carry(site.requestFactory(channel), body)
    except Exception:
        channel.log.failure("a request could not be begun")
        channel.give_up(CommandError("the daemon made a mistake; its log says more"))


def refusal(error: CommandError, incoming: Incoming) -> Outgoing:
    """The answer to a request that never reached a daemon."""
    answers: list[Outgoing] = []
    request = Request(Channel(incoming, answers.append), parsePOSTFormSubmission=False)
    request.method, request.clientproto = incoming.method, VERSION
    replies.of_error(error).write_to(request)
    request.finish()
    return answers[0]


def _ignore(_: Outgoing) -> None:
    """The answer was given already."""
