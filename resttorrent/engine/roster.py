"""
Who is here: the sessions that subscribers of all sessions see, and those that went.

Coming and going take revisions of the daemon's counter, as rows do, so that one number says how much of all
sessions somebody has seen. Of sessions that went, the keys of their rows are remembered, so many that they
stay few; whoever asks about a time before that must take the whole list.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from .pulse import Pulse
from .table import TOMBSTONES, Counter, StatusTable
from .views import Views


class Options(Protocol):
    """What a session was made with, its id among it."""

    @property
    def id(self) -> str: ...


class Seen(Protocol):
    """A session, as those who look at all of them see it."""

    @property
    def options(self) -> Options: ...
    @property
    def table(self) -> StatusTable: ...
    @property
    def views(self) -> Views: ...

    def fresh(self) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Member:
    """
    A session that is here.

    :ivar came: the revision at which it came.
    """

    session: Any
    came: int


@dataclass(frozen=True, slots=True)
class Departed:
    """
    A session that went.

    :ivar rev: when; :ivar came: when it had come; :ivar known: its own removals are told back to this one.
    :ivar keys: of its last rows, and of those that went before as far as known.
    """

    session_id: str
    rev: int
    came: int
    known: int
    keys: tuple[str, ...]


class Roster:
    """
    The daemon's sessions.

    :param revisions: the daemon's counter.
    :param limit: how many rows of sessions that went are remembered.
    :ivar pulse: wakes those who look at all sessions.
    """

    def __init__(self, clock: IReactorTime, revisions: Counter, *, limit: int = TOMBSTONES) -> None:
        self._revisions = revisions
        self._limit = limit
        self._members: dict[str, Member] = {}
        self._departed: deque[Departed] = deque()
        self._remembered = 0
        self._forgotten = revisions.current
        self._watchers: set[Callable[[], None]] = set()
        self._unwatch: dict[str, Callable[[], None]] = {}
        self._closers: list[Callable[[str], None]] = []
        self.clock = clock
        self.pulse = Pulse(clock, self, self.fresh)

    @property
    def rev(self) -> int:
        """The daemon's revision."""
        return self._revisions.current

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    # -- coming and going ------------------------------------------------

    def begin(self) -> None:
        """The counter stands above all of former processes: nothing before this moment is known."""
        self._forgotten = self._revisions.current

    def came(self, session: Seen) -> None:
        """A session is here from now on."""
        session_id = session.options.id
        self._members[session_id] = Member(session, self._revisions.next())
        if self._watchers:
            self._unwatch[session_id] = session.table.watch(self._call_watchers)
        self._call_watchers()

    def left(self, session: Seen) -> None:
        """A session goes; one that never came is no error."""
        member = self._members.pop(session.options.id, None)
        if member is None:
            return
        unwatch = self._unwatch.pop(session.options.id, None)
        if unwatch is not None:
            unwatch()
        table, rev = session.table, self._revisions.next()
        gone = Departed(session.options.id, rev, member.came, table.known_since, tuple(table.known_keys()))
        self._departed.append(gone)
        # an empty one counts too: sessions may come and go for ever
        self._remembered += len(gone.keys) + 1
        while self._remembered > self._limit:
            oldest = self._departed.popleft()
            self._remembered -= len(oldest.keys) + 1
            self._forgotten = oldest.rev
        self._call_watchers()

    def close(self, code: str) -> None:
        """The daemon ends: whoever watches is told a last time, with ``code``."""
        for close in (self.pulse.close, *self._closers):
            close(code)
        self._members.clear()
        self._departed.clear()

    def at_close(self, closer: Callable[[str], None]) -> None:
        """Have ``closer`` called with the code when the daemon ends."""
        self._closers.append(closer)

    # -- questions -------------------------------------------------------

    def knows(self, since: int) -> bool:
        """Whether every change of any session after revision ``since`` can still be told."""
        if not self._forgotten <= since <= self._revisions.current:
            return False
        # of one that came later there is nothing to forget
        here = all(m.came > since or m.session.table.knows(since) for m in self._members.values())
        return here and all(gone.known <= since for gone in self.departed_since(since))

    def departed_since(self, since: int) -> Iterator[Departed]:
        """Sessions that were here at revision ``since``, and went."""
        for gone in reversed(self._departed):
            if gone.rev <= since:
                return
            if gone.came <= since:
                yield gone

    # -- watching --------------------------------------------------------

    async def fresh(self) -> None:
        """
        Bring all tables up to date.

        :raises CommandError: the first of those that sessions raised; the others are up to date.
        """
        asked = [Deferred.fromCoroutine(_fresh(member.session)) for member in self]
        for _, result in await DeferredList(asked, consumeErrors=True):
            if isinstance(result, Failure):
                result.raiseException()

    def watch(self, urgent: Callable[[], None]) -> Callable[[], None]:
        """Have ``urgent`` called at each change of any session that can't wait, or when one comes or goes."""
        if not self._watchers:
            for session_id, member in self._members.items():
                self._unwatch[session_id] = member.session.table.watch(self._call_watchers)
        self._watchers.add(urgent)
        return lambda: self._leave(urgent)

    def _leave(self, urgent: Callable[[], None]) -> None:
        self._watchers.discard(urgent)
        if not self._watchers:
            for unwatch in self._unwatch.values():
                unwatch()
            self._unwatch.clear()

    def _call_watchers(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()


async def _fresh(session: Seen) -> None:
    await session.fresh()
