"""A made-up subscription, and a reader of event streams."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from resttorrent.commands.answers import Answer, Subscribed
from resttorrent.commands.parameters import Text, integer
from resttorrent.commands.registry import Registry, command
from resttorrent.engine.feeds import Part
from resttorrent.errors import SessionNotFound


class FakeFeed:
    """
    A feed of numbers: what it shows is how far the count went since the last time.

    :ivar taken: how often ``take`` was called; :ivar watching: whether it was started and not stopped.
    """

    event = "v1/numbers"

    def __init__(self, log: "Feeds", since: int | None) -> None:
        self._log = log
        self.since = since
        self.cursor = 0
        self.taken = 0
        self.stopped = 0
        self.wake: Callable[[], None] | None = None

    @property
    def watching(self) -> bool:
        return self.wake is not None

    def opening(self) -> Part:
        if self._log.error is not None:
            raise self._log.error
        self.cursor = self._log.count
        return Part(self._log.opening, self.cursor)

    def start(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def take(self) -> Part | None:
        self.taken += 1
        if self._log.error is not None:
            raise self._log.error
        if self._log.last is not None:
            return self._log.last
        if self.cursor == self._log.count:
            return None
        old, self.cursor = self.cursor, self._log.count
        return self._log.part(old)

    def stop(self) -> None:
        self.stopped += 1
        self.wake = None


class Feeds:
    """What the made-up commands act on: a count, and those who watch it."""

    def __init__(self) -> None:
        self.count = 7
        self.opening = b'"status":"success","rev":7'
        self.error: Exception | None = None
        self.last: Part | None = None
        self.filler = b""
        self.feeds: list[FakeFeed] = []
        self._parts: dict[int, Part] = {}

    def part(self, old: int) -> Part:
        """The same object for all that come from the same count."""
        if old not in self._parts:
            members = b'"from":%d,"to":%d,"filler":"%s"' % (old, self.count, self.filler)
            self._parts[old] = Part(members, self.count)
        return self._parts[old]

    def step(self) -> None:
        """Count one, and tell those who watch."""
        self.count += 1
        self._parts.clear()
        self.wake()

    def wake(self) -> None:
        for feed in self.feeds:
            if feed.wake is not None:
                feed.wake()

    @property
    def feed(self) -> FakeFeed:
        """The last one that was made."""
        return self.feeds[-1]

    def make(self, since: int | None) -> Subscribed:
        self.feeds.append(FakeFeed(self, since))
        return Subscribed(self.feeds[-1])


Since = Annotated[int, integer(0, 2**53 - 1)]


@command("GET", "/v1/numbers", scope="read")
async def watch(ctx: Feeds, since: Since | None = None, topic: Text = "") -> Subscribed:
    """Watch the numbers."""
    if topic == "gone":
        raise SessionNotFound("no such session")
    return ctx.make(since)


@command("POST", "/v1/numbers", scope="control")
async def post_watch(ctx: Feeds, since: Since | None = None) -> Subscribed:
    """Watch them by POST."""
    return ctx.make(since)


@command("GET", "/v1/plain", scope="read")
async def watch_plainly(ctx: Feeds) -> Subscribed:
    """Watch without ``since``."""
    return ctx.make(None)


class Seen(Answer):
    since: int | None


@command("GET", "/v1/list", scope="read")
async def list_since(ctx: Feeds, since: Since | None = None) -> Seen:
    """No subscription, though it takes ``since``."""
    return Seen(since=since)


NUMBERS = Registry([watch, post_watch, watch_plainly, list_since])


@dataclass
class Event:
    """One event as a browser sees it."""

    name: str
    id: str
    data: str


class EventReader:
    """
    The parser of WHATWG HTML §9.2.6, for line feeds alone.

    :ivar comments: the lines that began with a colon; :ivar retry: the last one told, in ms.
    """

    def __init__(self) -> None:
        self.comments: list[str] = []
        self.retry: str | None = None
        self._buffer = b""
        self._fields: dict[str, list[str]] = {}
        self._id = ""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in (line.decode() for line in lines):
            if not line:
                events += self._dispatch()
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not name:
                self.comments.append(value)
            elif name == "retry":
                self.retry = value
            elif name == "id":
                self._id = value
            else:
                self._fields.setdefault(name, []).append(value)
        return events

    def _dispatch(self) -> list[Event]:
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return []
        return [Event(fields.get("event", ["message"])[-1], self._id, "\n".join(fields["data"]))]


def unchunked(raw: bytes) -> tuple[bytes, bool]:
    """What complete chunks (RFC 9112 §7.1) hold, and whether the last one was among them."""
    data = b""
    while raw:
        size, _, rest = raw.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            assert rest == b"\r\n", rest
            return data, True
        assert rest[length : length + 2] == b"\r\n"
        data += rest[:length]
        raw = rest[length + 2 :]
    return data, False
