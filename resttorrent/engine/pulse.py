"""
When those who follow a table look at it: at once when something urgent happened, else at their interval.

All watchers of an interval share one timer, and the table is refreshed once for all of them. Ticks fall on
multiples of the interval, so that those of different intervals often share the question to libtorrent as
well. Nobody watches: no timer, no refresh, nothing runs.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

Wake = Callable[[], None]

HAIR = 0.001
"""Seconds by which a timer may be early: a tick that near is the present one, not the next."""


class Source(Protocol):
    """What is watched: ``rev`` moves with each change, ``watch`` tells of those that can't wait."""

    @property
    def rev(self) -> int: ...

    def watch(self, urgent: Callable[[], None]) -> Callable[[], None]: ...


class _Beat:
    """
    The watchers of one interval.

    :ivar told: the revision that all of them have been woken for, or -1.
    """

    __slots__ = ("interval", "refresh", "timer", "told", "wakes")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.wakes: dict[object, Wake] = {}
        self.timer: IDelayedCall | None = None
        self.refresh: Deferred[Any] | None = None
        self.told = -1


class Pulse:
    """
    Wakes the watchers of one source.

    :param fresh: brings the source up to date with libtorrent.
    :ivar error: how the last refresh failed, ``None`` if it did not.
    :ivar ended: why there will be no more changes, as an error's code, or ``None``.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, source: Source, fresh: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._source = source
        self._fresh = fresh
        self._beats: dict[float, _Beat] = {}
        self._unwatch: Callable[[], None] | None = None
        self._soon: IDelayedCall | None = None
        self.error: Exception | None = None
        self.ended: str | None = None

    def watch(self, interval: float, wake: Wake) -> Callable[[], None]:
        """
        Have ``wake`` called when there may be something new: in the turn after an urgent change, at the
        interval (seconds) for any other, and when it has ended.

        :return: a function that ends it; it may be called again.
        """
        if self.ended is not None:
            call = self._clock.callLater(0, wake)
            return lambda: _cancel(call)
        beat = self._beats.get(interval)
        if beat is None:
            beat = self._beats[interval] = _Beat(interval)
            self._schedule(beat)
        if self._unwatch is None:
            self._unwatch = self._source.watch(self.ring)
        token = object()
        beat.wakes[token] = wake
        beat.told = -1
        return lambda: self._leave(beat, token)

    def ring(self) -> None:
        """Wake in the next turn whoever has not been woken for the present revision."""
        if self._soon is None and self._beats:
            self._soon = self._clock.callLater(0, self._ring)

    def close(self, code: str) -> None:
        """Wake all a last time, now; ``code`` says why nothing will change any more."""
        if self.ended is not None:
            return
        self.ended = code
        beats = list(self._beats.values())
        for beat in beats:
            self._wake(beat)
            beat.wakes.clear()
            self._stop(beat)
        self._rest()

    # -- waking ----------------------------------------------------------

    def _ring(self) -> None:
        self._soon = None
        rev = self._source.rev
        for beat in tuple(self._beats.values()):
            if beat.told != rev:
                beat.told = rev
                self._wake(beat)

    def _wake(self, beat: _Beat) -> None:
        wakes = beat.wakes
        for token, wake in tuple(wakes.items()):
            # one that was woken before may have ended another
            if token in wakes:
                try:
                    wake()
                except Exception:
                    self.log.failure("a watcher failed")

    # -- refreshing ------------------------------------------------------

    def _schedule(self, beat: _Beat) -> None:
        left = beat.interval - self._clock.seconds() % beat.interval
        if left < HAIR:
            left += beat.interval
        beat.timer = self._clock.callLater(left, self._tick, beat)

    def _tick(self, beat: _Beat) -> None:
        self._schedule(beat)
        if beat.refresh is None:
            beat.refresh = refresh = Deferred.fromCoroutine(self._refresh())
            refresh.addCallbacks(self._refreshed, self._not_refreshed, (beat,), errbackArgs=(beat,))

    async def _refresh(self) -> None:
        await self._fresh()

    def _refreshed(self, _: None, beat: _Beat) -> None:
        beat.refresh = None
        self.error = None
        rev = self._source.rev
        if beat.told != rev:
            beat.told = rev
            self._wake(beat)

    def _not_refreshed(self, failure: Failure, beat: _Beat) -> None:
        beat.refresh = None
        if failure.check(CancelledError):
            return
        if self.error is None:
            self.log.warn("watchers see no fresh figures: {error}", error=failure.getErrorMessage())
        error = failure.value
        self.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
        self._wake(beat)

    # -- ending ----------------------------------------------------------

    def _leave(self, beat: _Beat, token: object) -> None:
        if beat.wakes.pop(token, None) is None or beat.wakes:
            return
        self._stop(beat)
        if not self._beats:
            self._rest()

    def _stop(self, beat: _Beat) -> None:
        if self._beats.get(beat.interval) is beat:
            del self._beats[beat.interval]
        _cancel(beat.timer)
        if beat.refresh is not None:
            beat.refresh.cancel()

    def _rest(self) -> None:
        """Nobody watches: listen to nothing."""
        _cancel(self._soon)
        self._soon = None
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
