"""
The event log: what happened to sessions and torrents, in words, the latest of it kept.

An entry's id rises by one within the process, and begins where the daemon's revisions begin, so that no id is
ever given twice. Whoever names an id that is not of this process, or older than what is kept, gets all that
there is, marked as having a gap.

Sans-I/O but for the clock, which brings watchers together: they are called once in a turn of the reactor,
however much was logged in it.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..printable import shortened
from .feeds import Part
from .log_entries import LEVELS, SESSION_DELETED, Entry, Excerpt, Level

HISTORY = 10_000
"""How many entries are kept."""
LONGEST_MESSAGE = 500
"""Characters of a message that are kept: strangers (trackers, torrents' names) have their say in it."""
LONGEST_NAME = 100
"""Characters of a torrent's name that stand before a message."""
OPENING = 100
"""Entries that a feed begins with, where its subscriber names none to go on from."""
PUSH = 1_000
"""Entries of one push at most."""
EXCERPTS = 64
"""How many excerpts are remembered: clients that do not keep up ask for many different ones."""


class Named(Protocol):
    """A torrent, as an entry names it."""

    @property
    def infohash(self) -> str: ...
    @property
    def name(self) -> str | None: ...


class EventLog:
    """
    The daemon's events, as its clients see them: what the daemon tells its operator is twisted's log.

    :param now: epoch seconds.
    :ivar clock: what watchers are called by.
    :ivar last: the id of the last entry; at the start, what ids begin above.
    """

    logger = Logger()

    def __init__(self, clock: IReactorTime, now: Callable[[], float], *, history: int = HISTORY) -> None:
        self.clock = clock
        self._now = now
        self._ring: list[Entry | None] = [None] * history
        self._oldest = 1
        self._watchers: dict[object, Callable[[], None]] = {}
        self._call: IDelayedCall | None = None
        self._excerpts: dict[object, Excerpt] = {}
        self.last = 0

    def begin(self, above: int) -> None:
        """Have ids begin above this one; nothing was logged or asked for before."""
        self.last = above
        self._oldest = above + 1

    def add(
        self,
        event: str,
        message: str,
        *,
        level: Level = "info",
        session_id: str | None = None,
        infohash: str | None = None,
    ) -> None:
        """Log something; text of strangers may stand in the message as it is."""
        self.last += 1
        slot = self.last % len(self._ring)
        if self._ring[slot] is not None:
            self._oldest += 1
        # cut at once, made fit to be read only when somebody reads it
        message = shortened(message, LONGEST_MESSAGE)
        self._ring[slot] = Entry(self.last, self._now(), level, event, session_id, infohash, message)
        if self._excerpts:
            self._excerpts.clear()
        if self._watchers and self._call is None:
            self._call = self.clock.callLater(0, self._call_watchers)

    def add_about(
        self, torrent: Named, event: str, message: str, *, session_id: str, level: Level = "info"
    ) -> None:
        """Log what happened to a torrent; its name goes before the message."""
        name = shortened(torrent.name or torrent.infohash, LONGEST_NAME)
        self.add(event, f"{name}: {message}", level=level, session_id=session_id, infohash=torrent.infohash)

    # -- looking ---------------------------------------------------------

    def knows(self, since: int) -> bool:
        """Whether all that came after this id is here."""
        return self._oldest - 1 <= since <= self.last

    def after(
        self, since: int, *, limit: int, session_id: str | None = None, level: Level = "info"
    ) -> Excerpt:
        """
        The first entries after an id, or the first of all where that id is not known.

        Asked again before anything is logged, the same question gets the same object.

        :param session_id: of this session alone; :param level: of this level at least.
        """
        key = (since, limit, session_id, level)
        excerpt = self._excerpts.get(key)
        if excerpt is None:
            known = self.knows(since)
            first = since + 1 if known else self._oldest
            found: list[Entry] = []
            rev = self.last
            for entry in self._matching(range(first, self.last + 1), session_id, level):
                found.append(entry)
                if len(found) == limit:
                    rev = entry.id
                    break
            excerpt = self._keep(key, Excerpt(tuple(found), rev, not known))
        return excerpt

    def newest(self, count: int, *, session_id: str | None = None, level: Level = "info") -> Excerpt:
        """The last entries; the parameters are ``after``'s."""
        key = (None, count, session_id, level)
        excerpt = self._excerpts.get(key)
        if excerpt is None:
            found: list[Entry] = []
            for entry in self._matching(range(self.last, self._oldest - 1, -1), session_id, level):
                found.append(entry)
                if len(found) == count:
                    break
            excerpt = self._keep(key, Excerpt(tuple(reversed(found)), self.last, False))
        return excerpt

    def _matching(self, ids: range, session_id: str | None, level: Level) -> Iterator[Entry]:
        ring, size = self._ring, len(self._ring)
        levels = LEVELS[LEVELS.index(level) :]
        for id in ids:
            entry = ring[id % size]
            assert entry is not None
            if session_id is not None and entry.session_id != session_id:
                continue
            if entry.level in levels:
                yield entry

    def _keep(self, key: object, excerpt: Excerpt) -> Excerpt:
        if len(self._excerpts) >= EXCERPTS:
            self._excerpts.clear()
        self._excerpts[key] = excerpt
        return excerpt

    # -- watching --------------------------------------------------------

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """
        Have ``callback`` called soon after something was logged, once for all that one turn brought.

        :return: a function that ends it.
        """
        key = object()
        self._watchers[key] = callback

        def unwatch() -> None:
            self._watchers.pop(key, None)
            if not self._watchers and self._call is not None:
                self._call.cancel()
                self._call = None

        return unwatch

    def _call_watchers(self) -> None:
        self._call = None
        for key, callback in list(self._watchers.items()):
            # one that was called may have ended another's watch
            if key in self._watchers:
                try:
                    callback()
                except Exception:
                    self.logger.failure("a watcher failed")


class LogFeed:
    """
    One subscriber's sight of the log (a ``feeds.Feed``).

    It ends when the session that it is about is deleted.

    :param since: the last entry that the subscriber has; ``None`` for one that has none.
    :param session_id: entries of this session alone; ``None`` for all.
    """

    event = "v1/log"

    def __init__(self, log: EventLog, *, since: int | None = None, session_id: str | None = None) -> None:
        self._log = log
        self._session_id = session_id
        self._since = since
        self._cursor = log.last if since is None else since
        self._session_deleted = False
        self._closed = False
        self._wake: Callable[[], None] | None = None
        self._unwatch: Callable[[], None] | None = None
        self._soon: IDelayedCall | None = None

    def opening(self) -> Part:
        if self._since is None:
            excerpt = self._log.newest(OPENING, session_id=self._session_id)
        else:
            excerpt = self._log.after(self._since, limit=PUSH, session_id=self._session_id)
        self._go_to(excerpt)
        return excerpt.opening

    def start(self, wake: Callable[[], None]) -> None:
        if self._wake is None and not self._closed:
            self._wake = wake
            self._unwatch = self._log.watch(wake)
            self._wake_if_more()

    def take(self) -> Part | None:
        if self._closed:
            return None
        if self._session_deleted:
            self.stop()
            return Part(b'"closed":true,"code":"session_not_found"', self._cursor, closes=True)
        excerpt = self._log.after(self._cursor, limit=PUSH, session_id=self._session_id)
        self._go_to(excerpt)
        return excerpt.push if excerpt.entries or excerpt.gap else None

    def _go_to(self, excerpt: Excerpt) -> None:
        self._cursor = excerpt.rev
        if self._session_id is not None:
            self._session_deleted |= any(entry.event == SESSION_DELETED for entry in excerpt.entries)
        self._wake_if_more()

    def _wake_if_more(self) -> None:
        more = self._session_deleted or self._cursor < self._log.last
        if more and self._wake is not None and self._soon is None:
            self._soon = self._log.clock.callLater(0, self._wake_now)

    def _wake_now(self) -> None:
        self._soon = None
        if self._wake is not None:
            self._wake()

    def stop(self) -> None:
        self._closed, self._wake = True, None
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
