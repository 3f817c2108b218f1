"""
Event streams: what a subscription shows, as server-sent events (WHATWG HTML §9.2).

A stream writes while its connection takes more, a slice at a time, and asks the feed only then: a client too
slow to read costs one slice, the transport's 64 KiB and a number, and gets one merged push when it reads on.
One that takes nothing at all is broken off below, as with every answer: see ``deadlines``.
Who calls what:

==============  =====================================================================
the door        ``begin`` once; cancels what it gave when the client is gone, and when
                the daemon stops
the feed        ``wake``, when there may be something to take
the connection  ``pauseProducing``, ``resumeProducing``, ``stopProducing``
the clock       ``_tick``, for keep-alives
==============  =====================================================================
"""

from typing import get_args, get_type_hints

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.web.server import Request
from zope.interface import implementer

from ..commands.answers import Subscribed
from ..commands.envelope import TransactionId
from ..commands.registry import Command, Parameter
from ..engine.feeds import Feed, Part
from ..errors import BadParameter, TooMany
from .replies import NOT_STORED, Reply

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection."""
SLICE = 64 * 1024
"""Bytes handed to the connection at once; above as many it asks for a pause."""
MOST_STREAMS = 1000
RETRY = b"retry: 3000\n"
"""How long a browser waits before it connects again, in ms; a field of the first event."""

HEADERS = (
    *NOT_STORED,
    (b"Content-Type", b"text/event-stream"),
    (b"X-Accel-Buffering", b"no"),
    (b"X-Content-Type-Options", b"nosniff"),
)


def as_event(name: str, part: Part) -> bytes:
    """A part as one event, made once for all who get it; JSON has no line breaks of its own."""

    def make(members: bytes) -> bytes:
        return b"event: %s\nid: %d\ndata: {%s}\n\n" % (name.encode("ascii"), part.id, members)

    return part.form(("sse", name), make)


def resumed_by(command: Command) -> Parameter | None:
    """The parameter that a Last-Event-ID stands for: ``since``, of commands that subscribe."""
    answer = get_type_hints(command.function).get("return")
    if Subscribed not in (answer, *get_args(answer)):
        return None
    return next((p for p in command.parameters if p.name == "since"), None)


def last_event_id(header: bytes, since: Parameter) -> str | None:
    """
    The value of ``since`` in a Last-Event-ID header.

    ``None`` for one that it does not take: a browser could not mend it, so it starts afresh.
    """
    try:
        text = header.decode()
        since.kind.read(since.name, text)
    except (UnicodeDecodeError, BadParameter):
        return None
    return text


class Streams:
    """
    The event streams of one door.

    :param clock: for keep-alives.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._open = 0

    def of(self, feed: Feed, t_id: TransactionId, request: Request) -> "EventStream | Reply":
        """
        The stream for a request.

        A connection that can't stream (a WSGI server's) gets the opening alone: browsers ask again
        with its ``id``, so that they see the same a few seconds later.

        :raises TooMany: with ``MOST_STREAMS`` open.
        """
        if self._open >= MOST_STREAMS:
            feed.stop()
            raise TooMany(f"{MOST_STREAMS} event streams are open already")
        if request.method == b"HEAD":
            return EventStream(feed, None, self._clock)
        opening = feed.opening()
        if t_id is not None:
            members = b'%s,"t_id":%s' % (opening.members, msgspec.json.encode(t_id))
            opening = Part(members, opening.id, closes=opening.closes)
        if getattr(request.channel, "streams", False):
            return EventStream(feed, opening, self._clock)
        feed.stop()
        return Reply(200, RETRY + as_event(feed.event, opening), HEADERS)

    async def serve(self, stream: "EventStream", request: Request) -> None:
        """Answer with a stream, until it ends."""
        self._open += 1
        try:
            await stream.begin(request)
        finally:
            self._open -= 1


@implementer(IPushProducer)
class EventStream:
    """
    One client's stream.

    :param opening: the first event; ``None`` answers with headers alone.
    """

    _log = Logger()

    def __init__(self, feed: Feed, opening: Part | None, clock: IReactorTime) -> None:
        self._feed = feed
        self._clock = clock
        self._unsent = b""
        self._position = 0
        self._is_last = opening is None
        self._is_due = False
        self._is_paused = False
        self._written_at = 0.0
        self._timer: IDelayedCall | None = None
        if opening is not None:
            self._load(opening)

    def begin(self, request: Request) -> "Deferred[None]":
        """
        Write the head and what there is.

        :return: fires when the stream has ended; cancel it to end the stream.
        """
        self._request = request
        self._ended: Deferred[None] = Deferred(lambda _: self.end())
        for name, value in HEADERS:
            request.setHeader(name, value)
        if self._is_last and not self._unsent:
            request.write(b"")
            self.end()
            return self._ended
        request.registerProducer(self, True)
        self._write(RETRY)
        self._feed.start(self._wake)
        self._arm(KEEP_ALIVE)
        self._flow()
        return self._ended

    def end(self) -> None:
        """End the response after what was written, if there is still a client to read it."""
        if self._ended.called:
            return
        self._quiet()
        if self._request.channel is not None:
            self._request.unregisterProducer()
            self._request.finish()
        self._ended.callback(None)

    def abandon(self) -> None:
        """Never begin: the client has left."""
        self._quiet()

    # -- the connection --------------------------------------------------

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        self._flow()

    def stopProducing(self) -> None:
        """The connection is lost; the door hears of it too, and cancels."""
        self._quiet()

    # -- what flows ------------------------------------------------------

    def _wake(self) -> None:
        self._is_due = True
        self._flow()

    def _flow(self) -> None:
        """Write until the connection asks for a pause or there is nothing."""
        if self._ended.called:
            return
        try:
            while not self._is_paused:
                if self._unsent:
                    self._write_slice()
                elif self._is_last:
                    self.end()
                    return
                elif not self._take():
                    return
        except Exception:
            # too late for an answer; the client begins a new stream
            self._log.failure("an event stream failed")
            self.end()

    def _take(self) -> bool:
        """Load what came since the last push, if anything."""
        part = self._feed.take() if self._is_due else None
        self._is_due = False
        if part is None:
            return False
        self._load(part)
        return True

    def _load(self, part: Part) -> None:
        self._unsent = as_event(self._feed.event, part)
        self._position = 0
        self._is_last = part.closes

    def _write_slice(self) -> None:
        end = self._position + SLICE
        # of a small event this is no copy
        piece = self._unsent[self._position : end]
        self._position = end
        if end >= len(self._unsent):
            self._unsent = b""
        self._write(piece)

    def _write(self, data: bytes) -> None:
        self._written_at = self._clock.seconds()
        self._request.write(data)

    # -- the clock -------------------------------------------------------

    def _arm(self, seconds: float) -> None:
        self._timer = self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        if self._is_paused:
            self._arm(KEEP_ALIVE)
            return
        if now - self._written_at >= KEEP_ALIVE:
            self._write(b": keep-alive\n\n")
        self._arm(KEEP_ALIVE - (now - self._written_at))

    def _quiet(self) -> None:
        """Leave neither a timer nor a watcher behind."""
        self._feed.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
