"""
What a subscription shows: an opening, then pushes, each the difference since the one before.

A feed's state is a number, the revision (or entry) that was last taken: never a queue. Whoever takes seldom
gets fewer, merged pushes. A ``Part`` is the same object for all who get the same bytes, so that what a door
makes of it is made once.
"""

from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Part:
    """
    One push, or an opening: members of a JSON object, without its braces.

    :ivar members: as in ``b'"rev":5,"changed":[]'``.
    :ivar id: the revision that the receiver stands at then; for the log, its last entry.
    :ivar closes: the feed ends with this one.
    """

    __slots__ = ("_forms", "closes", "id", "members")

    def __init__(self, members: bytes, id: int, *, closes: bool = False) -> None:
        self.members = members
        self.id = id
        self.closes = closes
        self._forms: dict[Hashable, object] = {}

    def form(self, key: Hashable, make: Callable[[bytes], T]) -> T:
        """What ``make`` makes of the members, made once for each key (a door's name and what differs)."""
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = make(self.members)
        return form  # type: ignore[return-value]


class Feed(Protocol):
    """
    One subscriber's sight of a topic.

    :ivar event: the name under which its pushes go out, as in ``v1/torrents``.
    """

    event: str

    def opening(self) -> Part:
        """The members of the answer, ``status`` among them; what comes later is told from here on."""

    def start(self, wake: Callable[[], None]) -> None:
        """
        Begin to watch.

        :param wake: called when ``take`` may have something (once is enough: it is called again when there is
            more), once for all that happens in a turn of the reactor, and when the feed comes to its end.
        """

    def take(self) -> Part | None:
        """What came since the last one that was taken, or ``None``; once for each ``wake`` is enough."""

    def stop(self) -> None:
        """Watch no more; nothing stays behind. May be called again."""
