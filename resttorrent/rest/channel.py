# mypy: disallow-untyped-calls=False
# (twisted.web, whose methods are called through our subclasses)
"""
A connection that speaks HTTP/1.1: strict about heads, in a hurry with slow clients.

Who sends something that two readers could understand in two ways gets 400 and is not heard any more. The
deadline moves on with each phase: idle, head, body, none while a command runs; see ``deadlines``.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request, _ChunkedTransferDecoder, datetimeToString
from twisted.web.http_headers import Headers

from ..access.principals import Principal
from ..errors import BadRequest
from .crowd import bare_answer
from .deadlines import FAREWELL, HEAD, IDLE, NEVER, Progress, body_time, unsent
from .heads import BadHead, check_line, origin_form

if TYPE_CHECKING:
    from .site import DoorSite

LONGEST_NAME = 256
"""Bytes of a header's name: Twisted remembers how the first 10,000 are spelt, for good."""
MOST_HEADERS = 128
TRAILERS = 1024
"""Bytes of what may follow a body in chunks, which nobody reads."""
LINGER = 5.0
"""Seconds for a client to read that its body was refused, most of which send it first."""


class DoorChannel(HTTPChannel):
    """
    A connection; HTTP/1.1 only.

    :ivar streams: responses may be written piece by piece.
    :ivar peer: the other end; still known when the transport is gone.
    :ivar deadline: when it is closed, in seconds.
    :ivar known: the Authorization header that was last found good, and whose it is.
    """

    site: "DoorSite"
    maxHeaders = MOST_HEADERS
    streams = True
    peer: IAddress
    deadline = NEVER
    known: tuple[bytes, Principal] | None = None
    _lower: Any = None
    _was_taken = False
    _is_deaf = False
    _in_head = False
    _has_written = False
    _body_began = 0.0
    _lingering: IDelayedCall | None = None
    _progress: Progress | None = None
    _answered: Request | None = None
    _here: IAddress | None = None

    @property
    def method(self) -> bytes:
        """Of the request whose headers have just come."""
        return self._command

    @property
    def target(self) -> bytes:
        """Path and query of that request."""
        return self._path

    # -- the connection --------------------------------------------------

    def getHost(self) -> IAddress:
        """Where the connection arrived, which is what a Host is held against; the system is asked once."""
        if self._here is None:
            self._here = super().getHost()
        return self._here

    def connectionMade(self) -> None:
        self._lower = self.transport
        self.peer = self.getPeer()
        self.site.enlist(self)
        self._allow(IDLE)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.delist(self)
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

    # -- time ------------------------------------------------------------

    def check(self, now: float) -> None:
        """Close what is overdue; break off what does not end."""
        if self._has_written:
            # of thousands of connections, most have nothing to be looked for
            waiting = unsent(self._lower)
            if not waiting:
                self._progress, self._has_written = None, False
            elif self._is_reading(waiting, now):
                # neither idle nor gone, as long as it takes its answer
                return
        if now >= self.deadline:
            self._overdue(now)

    def _is_reading(self, waiting: int, now: float) -> bool:
        """Whether the client is in the middle of reading, and owes us nothing; it is broken off if stuck."""
        if self._progress is None:
            self._progress = Progress(waiting, now)
        elif self._progress.stalled(waiting, now):
            self._break_off()
            return True
        if self._in_head or self.length != 0:
            return False
        if self.deadline != NEVER:
            self._allow(FAREWELL if self._is_deaf else IDLE)
        return True

    def _overdue(self, now: float) -> None:
        if self._is_deaf:
            self._break_off()
            return
        self._is_deaf = True
        self.deadline = now + FAREWELL
        self.site.refusals["slow"] += 1
        self.loseConnection()

    def _break_off(self) -> None:
        self.deadline = NEVER
        self.site.refusals["stalled"] += 1
        self._lower.abortConnection()

    def _allow(self, seconds: float) -> None:
        self.deadline = self.site.watch.clock.seconds() + seconds

    def body_grew(self, size: int) -> None:
        """More of a body has come; one whose length is not known gains time by it."""
        if self.length is None:
            self.deadline = self._body_began + body_time(size)

    # -- what comes in ---------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """As Twisted does it; nothing is understood any more after what was not."""
        if not self._is_deaf:
            super().dataReceived(data)
            if self.line_mode and self._buffer and not self._in_head:
                self._begin_head()

    def lineReceived(self, line: bytes) -> None:
        if not self._in_head:
            self._begin_head()
        if line:
            try:
                check_line(line)
            except BadHead as error:
                self._refuse_head(error)
                return
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._refuse_head(BadHead("a line of the head is too long"))

    def _begin_head(self) -> None:
        self._in_head = True
        self._allow(HEAD)

    def allHeadersReceived(self) -> None:
        try:
            self._path = origin_form(
                self._command, self._path, self._version, self.requests[-1].requestHeaders
            )
        except BadHead as error:
            self._refuse_head(error)
            return
        self._in_head = False
        self._body_began = self.site.watch.clock.seconds()
        self.deadline = self._body_began + body_time(self.length or 0)
        super().allHeadersReceived()

    def headerReceived(self, line: bytes) -> bool:
        if self._is_deaf:
            return False
        if line.find(b":") > LONGEST_NAME:
            self._refuse_head(BadHead("the name of a header is too long"))
            return False
        try:
            received: bool = super().headerReceived(line)
        except ValueError:
            # a Content-Length of more digits than int() takes
            self._respondToBadRequestAndDisconnect()
            return False
        if isinstance(self._transferDecoder, _ChunkedTransferDecoder):
            self._transferDecoder._maxTrailerHeadersSize = TRAILERS
        return received

    def allContentReceived(self) -> None:
        """Have the request answered; its resource may take the transport, and leave us none."""
        if self._is_deaf:
            return
        self.deadline = NEVER
        super().allContentReceived()
        if self.transport is None:
            self._was_taken = True
            self.site.delist(self)
            # a cycle: until the collector comes, the request of each WebSocket would stay in memory
            self.requests = []

    def rawDataReceived(self, data: bytes) -> None:
        """As Twisted does it; what followed a request in one packet goes to who took the connection over."""
        if self._was_taken:
            _protocol_of(self._lower).dataReceived(data)
        elif self._is_deaf:
            return
        elif self._handlingRequest:
            self._keep(data)
        else:
            super().rawDataReceived(data)

    def _keep(self, data: bytes) -> None:
        """
        Keep what came behind a request that runs, and read no more if it is much.

        Twisted would go on reading while the client takes nothing; and keep each byte that came alone alone.
        """
        self._dataBuffer = [b"".join((*self._dataBuffer, data))]
        if len(self._dataBuffer[0]) > self._optimisticEagerReadSize:
            self._networkProducer.pauseProducing()

    def requestDone(self, request: Request) -> None:
        """As Twisted does it; but what was asked next is looked at only when the client reads its answers."""
        self._allow(IDLE)
        if self._waitingForTransport and self.persistent:
            self._answered = request
        else:
            super().requestDone(request)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        answered, self._answered = self._answered, None
        if answered is not None:
            super().requestDone(answered)

    def _refuse_head(self, error: BadHead) -> None:
        self._say_bad_request(str(error))

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._say_bad_request("this is not an HTTP request")

    def _say_bad_request(self, message: str) -> None:
        """Answer in the one shape, once, and listen no more."""
        if self._is_deaf:
            return
        self._is_deaf = True
        self._allow(FAREWELL)
        self.site.refusals[400] += 1
        self.write(bare_answer(BadRequest(message)))
        self.loseConnection()

    # -- what goes out ---------------------------------------------------

    def write(self, data: bytes) -> None:
        self._has_written = True
        super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self._has_written = True
        super().writeSequence(iovec)

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


def _protocol_of(transport: Any) -> IProtocol:
    """Who gets what a transport reads; with TLS there is a protocol that wraps it."""
    for owner in (transport, transport.protocol):
        if isinstance(owner, ProtocolWrapper):
            wrapped: IProtocol = owner.wrappedProtocol
            return wrapped
    protocol: IProtocol = transport.protocol
    return protocol
