"""
How long the reactor's turns last, measured all along without a fast timer.

A turn begins when the reactor's poll returns and ends when it polls again: the time between is what every
other event had to wait. Turns beyond ``LONG_TURN`` are counted and logged with what ran in them. Beside it a
probe once a second sees what a single late timer would see.
"""

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

LONG_TURN = 0.050
BOUNDS = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the histogram's buckets, seconds; a last bucket holds what is longer."""


class TurnMeter:
    """
    A histogram of turns, and what ran in the long ones.

    :param seconds: a monotonic clock.
    """

    log = Logger()

    def __init__(self, seconds: Callable[[], float] = time.perf_counter) -> None:
        self._seconds = seconds
        self._began = seconds()
        self._notes: dict[str, int] = {}
        self.counts = [0] * (len(BOUNDS) + 1)
        self.turns = 0
        self.longest = 0.0
        self.long_turns = 0
        self.probe_late = 0.0

    def note(self, what: str) -> None:
        """Say what runs in the present turn."""
        self._notes[what] = self._notes.get(what, 0) + 1

    def busy(self) -> float:
        """Seconds since the present turn began."""
        return self._seconds() - self._began

    def begin(self) -> None:
        """The reactor's poll has returned."""
        self._began = self._seconds()

    def end(self) -> None:
        """The reactor is about to poll."""
        busy = self._seconds() - self._began
        self.turns += 1
        self.counts[bisect_left(BOUNDS, busy)] += 1
        self.longest = max(self.longest, busy)
        if busy > LONG_TURN:
            self.long_turns += 1
            ran = ", ".join(f"{what} ({n} times)" if n > 1 else what for what, n in self._notes.items())
            self.log.warn(
                "a turn of the reactor lasted {ms:.0f} ms: {ran}", ms=busy * 1000, ran=ran or "nothing noted"
            )
        self._notes.clear()

    def quantile(self, share: float) -> float:
        """
        The bound, in seconds, below which this share of all turns stayed (the longest turn for the last).
        """
        wanted, seen = share * self.turns, 0
        for count, bound in zip(self.counts, BOUNDS, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return self.longest

    def summary(self) -> dict[str, float | int]:
        """Milliseconds and counts for ``/health`` and the benchmark."""
        return {
            "turns": self.turns,
            "p99_ms": self.quantile(0.99) * 1000,
            "longest_ms": round(self.longest * 1000, 1),
            "long_turns": self.long_turns,
            "probe_late_ms": round(self.probe_late * 1000, 1),
        }


class _TimedPoll:
    """Stands in for the reactor's epoll object and tells the meter of each poll."""

    def __init__(self, poller: Any, meter: TurnMeter) -> None:
        self._poller = poller
        self._meter = meter
        self.register = poller.register
        self.unregister = poller.unregister
        self.modify = poller.modify
        self.fileno = poller.fileno
        self.close = poller.close

    def poll(self, *args: Any) -> Any:
        self._meter.end()
        try:
            return self._poller.poll(*args)
        finally:
            self._meter.begin()


class TurnWatch:
    """Ties a meter to a running reactor."""

    def __init__(self, reactor: Any, meter: TurnMeter) -> None:
        self._reactor = reactor
        self._meter = meter
        self._probe = LoopingCall(self._look)
        self._probe.clock = reactor
        self._due = 0.0

    def start(self) -> None:
        """Measure from now on. A reactor without an epoll object gets the probe alone."""
        poller = getattr(self._reactor, "_poller", None)
        if hasattr(poller, "poll") and not isinstance(poller, _TimedPoll):
            self._meter.begin()
            self._reactor._poller = _TimedPoll(poller, self._meter)
        self._due = self._reactor.seconds() + 1
        self._probe.start(1, now=False)

    def _look(self) -> None:
        now = self._reactor.seconds()
        self._meter.probe_late = max(self._meter.probe_late, now - self._due)
        self._due = now + 1

    def stop(self) -> None:
        """Give the reactor its own poller back."""
        if self._probe.running:
            self._probe.stop()
        poller = getattr(self._reactor, "_poller", None)
        if isinstance(poller, _TimedPoll):
            self._reactor._poller = poller._poller
