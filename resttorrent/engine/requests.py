"""
Questions to libtorrent whose answers come back as alerts, awaited as Deferreds.

Sans-I/O but for the injected clock. A key names one question, as (info-hash, "move"); a second question under
the same key while the first is open is a mistake of the caller's.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..errors import EngineTimeout

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class PendingRequests(Generic[K, V]):
    """Open questions by key; each ends by an answer, a failure, its timeout or its asker's cancellation."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._open: dict[K, tuple[Deferred[V], IDelayedCall]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, key: K) -> bool:
        return key in self._open

    def __iter__(self) -> Iterator[K]:
        """The open questions' keys, as they are now."""
        return iter(list(self._open))

    def expect(self, key: K, timeout: float) -> "Deferred[V]":
        """
        A Deferred for the answer to ``key``, failing with EngineTimeout after ``timeout`` seconds.

        :raises KeyError: if the question is open already.
        """
        if key in self._open:
            raise KeyError(key)
        deferred: Deferred[V] = Deferred(lambda _: self._forget(key))
        timer = self._clock.callLater(timeout, self._time_out, key, timeout)
        self._open[key] = (deferred, timer)
        return deferred

    def answer(self, key: K, value: V) -> bool:
        """Give the asker its answer; ``False`` if nobody asked (or no longer waits)."""
        return self._end(key, lambda deferred: deferred.callback(value))

    def fail(self, key: K, error: Exception) -> bool:
        """Tell the asker that it failed; ``False`` if nobody asked."""
        return self._end(key, lambda deferred: deferred.errback(error))

    def fail_all(self, error: Exception) -> None:
        """Fail whatever is open."""
        for key in list(self._open):
            self.fail(key, error)

    def _end(self, key: K, tell: Callable[["Deferred[V]"], None]) -> bool:
        deferred = self._take(key)
        if deferred is None:
            return False
        tell(deferred)
        return True

    def _forget(self, key: K) -> None:
        self._take(key)

    def _take(self, key: K) -> "Deferred[V] | None":
        deferred, timer = self._open.pop(key, (None, None))
        if timer is not None and timer.active():
            timer.cancel()
        return deferred

    def _time_out(self, key: K, timeout: float) -> None:
        self.fail(key, EngineTimeout(f"libtorrent gave no answer within {timeout:g} s"))
