"""Long work in the reactor's thread, cut into turns that nobody notices."""

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..turns import TurnMeter

R = TypeVar("R")

TURN = 0.008
"""Seconds of work after which other events are let in."""


class Pace:
    """
    Lets the reactor breathe.

    :param meter: is told what ran in each turn; it knows when the present one began.
    """

    def __init__(self, clock: IReactorTime, meter: TurnMeter) -> None:
        self.clock = clock
        self._meter = meter

    def note(self, what: str) -> None:
        """Say what runs in the present turn."""
        self._meter.note(what)

    async def breathe(self, what: str) -> None:
        """Go on in a later turn, if this one has lasted long enough."""
        self.note(what)
        if self._meter.busy() > TURN:
            turn: Deferred[None] = Deferred()
            self.clock.callLater(0, turn.callback, None)
            await turn


async def gather(pace: Pace, what: str, work: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """Start all these coroutines, pausing between them where the turn grows long, and await their results."""
    started = []
    for one in work:
        started.append(Deferred.fromCoroutine(one))
        await pace.breathe(what)
    return [await result for result in started]


def on_end(event: "Deferred[Any]") -> "Deferred[None]":
    """A Deferred of one's own that fires when a shared one has; cancelling it leaves the shared one alone."""
    waiter: Deferred[None] = Deferred()

    def tell(result: R) -> R:
        if not waiter.called:
            waiter.callback(None)
        return result

    event.addCallback(tell)
    return waiter
