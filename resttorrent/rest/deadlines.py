"""
How long connections may take, and who looks.

One timer looks at all of a site's connections once a second, and runs only while there are any: an idle
connection costs no timer of its own, and a request none to set and to cancel. So whatever is due comes up to
a second late.
"""

from math import inf
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

IDLE = 60.0
"""Seconds without a request."""
HEAD = 10.0
"""Seconds from the first byte of a request's head to its last; drips do not prolong it."""
BODY = 10.0
"""Seconds for a request's body, besides those for its size."""
BODY_RATE = 64 * 1024
"""Bytes of a body that gain it one second more."""
STALL = 60.0
"""Seconds in which a client must take something of what waits for it."""
FAREWELL = 15.0
"""Seconds in which a connection that was told to close must be gone."""
TICK = 1.0
NEVER = inf


def body_time(size: int) -> float:
    """The seconds that a body of ``size`` bytes may take."""
    return BODY + size / BODY_RATE


class Watched(Protocol):
    """A connection."""

    def check(self, now: float) -> None:
        """Do what is due."""


class Watch:
    """Looks at connections; between ``add`` and ``discard``."""

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self._watched: set[Watched] = set()
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, connection: Watched) -> None:
        self._watched.add(connection)
        if self._timer is None:
            self._timer = self.clock.callLater(TICK, self._tick)

    def discard(self, connection: Watched) -> None:
        self._watched.discard(connection)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = self.clock.callLater(TICK, self._tick)
        now = self.clock.seconds()
        for connection in tuple(self._watched):
            connection.check(now)


class Progress:
    """Whether a client takes what was written for it; made when something waits."""

    __slots__ = ("_since", "_waiting")

    def __init__(self, waiting: int, now: float) -> None:
        self._waiting, self._since = waiting, now

    def stalled(self, waiting: int, now: float) -> bool:
        """
        Whether nothing was taken for ``STALL`` seconds.

        :param waiting: bytes that wait now; as long as there are any, more than before means that more was
            written, and proves nothing.
        """
        if waiting < self._waiting:
            self._since = now
        self._waiting = waiting
        return now - self._since >= STALL


def unsent(transport: Any) -> int:
    """Bytes that wait in a transport for the client to take them, in the one below TLS too."""
    waiting = 0
    while transport is not None:
        waiting += len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        waiting += getattr(transport, "_tempDataLen", 0)
        waiting += sum(map(len, getattr(transport, "_appSendBuffer", ())))
        transport = getattr(transport, "transport", None)
    return waiting
