"""
What many look at, worked out once: a board makes the parts, feeds read them off it.

A board stands for one topic in one choice of fields and rows. Whatever it makes is kept until its revision
moves, so that all who stand at the same revision get the same ``Part``. It lives as long as a feed holds it.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from ..errors import SessionNotFound
from .feeds import Part
from .pulse import Pulse

K = TypeVar("K", bound=Hashable)
B = TypeVar("B", bound="Board")

GONE = SessionNotFound.code
"""Why a board ends whose session was deleted: readers are told that its rows are gone."""
_UNMADE = Part(b"", 0)


class Board:
    """
    One topic's openings and differences; subclasses make them.

    :ivar event: the name of its pushes.
    :ivar pulse: tells when to look.
    """

    event: str

    def __init__(self, pulse: Pulse) -> None:
        self.pulse = pulse
        self._made: dict[Hashable, Part | None] = {}
        self._made_at = -1

    # -- what subclasses say ---------------------------------------------

    @property
    def rev(self) -> int:
        """The revision that it shows."""
        raise NotImplementedError

    def knows(self, since: int) -> bool:
        """Whether every change after revision ``since`` can still be told."""
        raise NotImplementedError

    def whole(self) -> bytes:
        """The members of everything there is, its revision first."""
        raise NotImplementedError

    def difference(self, since: int, *, even_if_empty: bool) -> bytes | None:
        """
        The members of what changed after revision ``since``, which it knows; ``None`` if nothing did.
        """
        raise NotImplementedError

    def emptied(self, since: int) -> bytes | None:
        """
        The members of a difference to nothing, for all that may be known at ``since``; ``None`` if that is
        nothing, or if what it shows never goes away as a whole.
        """
        return None

    # -- what feeds read -------------------------------------------------

    def opening(self, since: int | None) -> Part:
        """
        Everything, or what changed since a revision that is known.

        :return: with the revision to go on from as its ``id``.
        """
        if since is None or not self.knows(since):
            return self._shared("opening", self._opening_whole)
        return self._shared(("opening", since), lambda: self._opening_difference(since))

    def since(self, since: int) -> Part | None:
        """The push for one who stands at ``since``: everything, if that was too long ago."""
        made = self._current()
        part = made.get(since, _UNMADE)
        if part is _UNMADE:
            part = made[since] = self._push(since)
        return part

    def farewell(self, since: int) -> Part | None:
        """The push that removes everything, ``None`` if there is nothing to remove."""
        made, key = self._current(), ("farewell", since)
        if key not in made:
            members = self.emptied(since)
            made[key] = None if members is None else Part(members, self.rev)
        return made[key]

    def closing(self) -> Part:
        """The last of all pushes."""
        code = (self.pulse.ended or "").encode("ascii")
        return self._shared(
            "closing", lambda: Part(b'"closed":true,"code":"%s"' % code, self.rev, closes=True)
        )

    # -- making ----------------------------------------------------------

    def _current(self) -> dict[Hashable, Part | None]:
        rev = self.rev
        if rev != self._made_at:
            self._made = {}
            self._made_at = rev
        return self._made

    def _shared(self, key: Hashable, make: Callable[[], Part]) -> Part:
        made = self._current()
        part = made.get(key)
        if part is None:
            part = made[key] = make()
        return part

    def _push(self, since: int) -> Part | None:
        if not self.knows(since):
            return self._shared("whole", lambda: Part(self.whole(), self.rev))
        members = self.difference(since, even_if_empty=False)
        return None if members is None else Part(members, self.rev)

    def _opening_whole(self) -> Part:
        return Part(b'"status":"success",' + self.whole(), self.rev)

    def _opening_difference(self, since: int) -> Part:
        members = self.difference(since, even_if_empty=True) or b""
        return Part(b'"status":"success",' + members, max(self.rev, since))


class BoardFeed:
    """
    One reader of a board: a ``feeds.Feed``.

    :param interval: seconds between two looks at what can wait.
    :param since: a revision that the reader stands at already.
    """

    def __init__(self, board: Board, *, interval: float, since: int | None = None) -> None:
        self.event = board.event
        self._board = board
        self._interval = interval
        self._since = since
        self._cursor = -1
        self._wake: Callable[[], None] | None = None
        self._unwatch: Callable[[], None] | None = None
        self._emptied = False
        self._over = False

    def opening(self) -> Part:
        part = self._board.opening(self._since)
        self._cursor = part.id
        return part

    def start(self, wake: Callable[[], None]) -> None:
        self.stop()
        pulse = self._board.pulse
        self._wake, self._unwatch = wake, pulse.watch(self._interval, wake)
        if self._board.rev > self._cursor:
            pulse.ring()

    def take(self) -> Part | None:
        board = self._board
        if board.pulse.ended is not None:
            return self._take_last()
        rev, cursor = board.rev, self._cursor
        if rev <= cursor:
            return None
        self._cursor = rev
        return board.since(cursor)

    def _take_last(self) -> Part | None:
        if self._over:
            return None
        if self._board.pulse.ended == GONE and not self._emptied:
            self._emptied = True
            part = self._board.farewell(self._cursor)
            if part is not None:
                if self._wake is not None:
                    # there is one more to take
                    self.start(self._wake)
                return part
        self._over = True
        return self._board.closing()

    def stop(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
        self._wake = self._unwatch = None


class Boards(Generic[K, B]):
    """
    The boards that are looked at, by what they show.

    :param make: makes one that nobody looks at yet.
    """

    def __init__(self, make: Callable[[K], B]) -> None:
        self._make = make
        self._boards: WeakValueDictionary[K, B] = WeakValueDictionary()

    def of(self, key: K) -> B:
        """The board that shows this, the same one for all who ask while somebody holds it."""
        board = self._boards.get(key)
        if board is None:
            board = self._boards[key] = self._make(key)
        return board

    def alive(self) -> list[B]:
        """All that somebody holds."""
        return list(self._boards.values())
