# mypy: disallow-untyped-calls=False
# (twisted.web, whose methods are called through our subclasses)
"""
A request: looked at before its body is read, its body held in memory up to a limit.

One that is not let in is refused at once, its body thrown away: so is one whose sender may not do what it
asks for, and a body that is too long, as soon as that is known, by its Content-Length or by the chunk that
exceeds the limit. What a WSGI server brings has been read already, and is judged when it is run.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from twisted.python.failure import Failure
from twisted.web.server import Request

from ..access.principals import Principal
from ..errors import CommandError, TokenNeeded, TooLarge
from . import replies
from .app import t_id_of
from .crowd import RETRY_AFTER, WITH_RETRY

if TYPE_CHECKING:
    from .site import DoorSite

MISDIRECTED = 421
COUNTED = frozenset((401, 403, 413, MISDIRECTED, 429, 503))
"""Statuses of answers that turn somebody away."""
STRANGERS_BODY = 16 * 1024
"""Bytes of a body from somebody without a token: enough to exchange one for a login."""


class DoorRequest(Request):
    """
    A request whose body is held in memory, up to the limit of its resource.

    :ivar began: when it had been read, if that is to be logged.
    :ivar principal: who asks, if that was judged before the body came.
    """

    channel: Any
    content: BytesIO
    site: "DoorSite"
    sitepath: list[bytes]
    _refused = False
    _body_limit = 0
    _refusal: CommandError | None = None
    began: float | None = None
    principal: Principal | None = None

    def parseCookies(self) -> None:
        """Nobody asks for them one by one, and thousands fit into a head."""

    def gotLength(self, length: int | None) -> None:
        """Called by the channel after the headers; ``None`` is a body in chunks."""
        self.content = BytesIO()
        if getattr(self.channel, "streams", False):
            self._refusal = self.channel.site.screen.refusal(
                self.channel.method, self.requestHeaders, self.channel
            )
        if length == 0:
            return
        # a WSGI server's channel knows no target yet, and has read the body already
        self._body_limit = self.channel.site.body_limit_at(getattr(self.channel, "target", b""))
        if self._refusal is None and getattr(self.channel, "streams", False):
            self._refusal = self._look()
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif length is not None and length > self._body_limit:
            self._refuse_body()
        else:
            self._tell_resource("body_begun")

    def _look(self) -> CommandError | None:
        """Judge who asks, if that can be told by now: what stands beside the door judges by itself."""
        site = self.channel.site
        if site.front.beside(self.channel.target) is not None:
            return None
        self.method, self.uri = self.channel.method, self.channel.target
        try:
            self.principal = site.door.look(self)
        except CommandError as error:
            return error
        if self.principal.is_stranger:
            self._body_limit = min(self._body_limit, STRANGERS_BODY)
        return None

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused:
            return
        if self.content.tell() + len(data) > self._body_limit:
            self._refuse_body()
        else:
            self.content.write(data)
            if getattr(self.channel, "streams", False):
                self.channel.body_grew(self.content.tell())

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self._refused:
            super().requestReceived(command, path, version)
        elif self.channel is not None:
            self.channel.loseConnection()

    def process(self) -> None:
        """As Twisted does it, but that ``*`` is left to the resource and Server and Date to the channel."""
        self.site = self.channel.site
        access = self.site.access
        if access.on:
            self.began = access.seconds()
        token = access.ids.begin()
        channel = self.channel
        try:
            self._process()
            # who takes the transport leaves the channel none
            if access.on and getattr(channel, "streams", False) and channel.transport is None:
                access.taken_over(self)
        finally:
            access.ids.end(token)

    def _process(self) -> None:
        if not getattr(self.channel, "streams", False):
            self._refusal = self.site.screen.refusal(self.method, self.requestHeaders, self.channel)
        reply = self.site.screen.preflight(self) if self._refusal is None else replies.of_error(self._refusal)
        if reply is not None:
            reply.write_to(self)
            self.finish()
            return
        # nobody reads Twisted's arguments, which may be thousands
        self.args = {}
        self.prepath, self.sitepath = [], []
        self.postpath = self.path[1:].split(b"/")
        try:
            self.render(self.site.getResourceFor(self))
        except Exception:
            self.processingFailed(Failure())

    def write(self, data: bytes) -> None:
        """As Twisted does it, with the headers that all answers have in common."""
        if not self.startedWriting and self.channel is not None:
            site = self.channel.site
            if self.code == MISDIRECTED:
                # not in Twisted's table (RFC 9110 §15.5.20)
                self.code_message = b"Misdirected Request"
            if self.code in COUNTED:
                site.refusals[self.code] += 1
                if self.code in WITH_RETRY and not self.responseHeaders.hasHeader(b"Retry-After"):
                    self.responseHeaders.setRawHeaders(b"Retry-After", [b"%d" % RETRY_AFTER])
            site.screen.share(self.requestHeaders, self.responseHeaders)
        super().write(data)

    def finish(self) -> None:
        """Finish, and close the connection if the answer says so: Twisted looks at the question only."""
        if self.channel is not None and self.responseHeaders.hasHeader(b"Connection"):
            self.channel.persistent = False
        super().finish()

    def _refuse_body(self) -> None:
        self._tell_resource("body_refused")
        if self.principal is not None and self.principal.is_stranger:
            # who asks comes first
            self._refuse(TokenNeeded(f"a body of more than {self._body_limit} bytes needs a token"))
        else:
            self._refuse(TooLarge(f"the body is larger than {self._body_limit} bytes"))

    def _refuse(self, error: CommandError) -> None:
        """
        Say so and close, at the end of the body at the latest (RFC 9112 §9.6).

        Closed at once, with some of the body unread, TCP would reset the connection and most clients would
        not see the answer. The request stays in its place, unfinished, until the connection is lost.
        """
        self._refused = True
        waits = self.requestHeaders.hasHeader(b"Expect")
        # else the channel would still send "100 Continue", after our answer
        self.requestHeaders.removeHeader(b"Expect")
        self.content = BytesIO()
        self.clientproto = b"HTTP/1.1"
        t_id = t_id_of(self.channel.target.partition(b"?")[2]) if hasattr(self.channel, "target") else None
        replies.of_error(error, t_id).closing().write_to(self)
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
        self.args = {}
