"""
Is the client still there?

In EIO4 the server pings and the client answers in time. In EIO3 the client pings: it is lost when nothing at
all came for an interval and a timeout.

Source: the Engine.IO protocol, versions 3 and 4, *Heartbeat*.
"""

from typing import Literal

from .eio_packet import EioVersion
from .timing import Timing


class Heartbeat:
    """
    The server's half.

    :ivar deadline: when ``tick`` is due, in seconds.
    """

    __slots__ = ("_awaiting_pong", "_eio", "_timing", "deadline")

    def __init__(self, eio: EioVersion, timing: Timing, now: float) -> None:
        self._eio = eio
        self._timing = timing
        self._awaiting_pong = False
        self.deadline = 0.0
        self._wait(now)

    def _wait(self, now: float) -> None:
        patience = self._timing.timeout if self._eio == 3 else 0.0
        self.deadline = now + self._timing.interval + patience

    def heard(self, now: float) -> None:
        """A packet came."""
        if self._eio == 3:
            self._wait(now)

    def pong(self, now: float) -> None:
        """The client answered a ping; one that was not asked for means nothing."""
        if self._awaiting_pong:
            self._awaiting_pong = False
            self._wait(now)

    def tick(self, now: float) -> Literal["ping", "lost"] | None:
        """What is due: to ping, or to give the client up."""
        if now < self.deadline:
            return None
        if self._eio == 3 or self._awaiting_pong:
            return "lost"
        self._awaiting_pong = True
        self.deadline = now + self._timing.timeout
        return "ping"
