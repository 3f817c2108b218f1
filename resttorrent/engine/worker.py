"""A thread for the calls that block, one call at a time."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

R = TypeVar("R")


class Worker:
    """One thread, started with the first call."""

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=1, name=name)

    def call(self, function: Callable[..., R], *args: Any) -> "Deferred[R]":
        """Run ``function(*args)`` in the thread, after the calls that wait already."""
        if not self._pool.started:
            self._pool.start()
        return deferToThreadPool(self._reactor, self._pool, function, *args)

    def stop(self) -> None:
        """End the thread once the calls that wait are done."""
        if self._pool.started:
            self._pool.stop()


class Memo:
    """
    Answers that stay good for a moment; those who ask meanwhile share one question.

    :param seconds: the reactor's time, :param lifetime: seconds that an answer is good for.
    """

    def __init__(self, seconds: Callable[[], float], lifetime: float) -> None:
        self._seconds = seconds
        self._lifetime = lifetime
        self._answers: dict[Hashable, tuple[float, Any]] = {}
        self._waiting: dict[Hashable, list[Deferred[Any]]] = {}

    def get(self, key: Hashable, ask: Callable[[], "Deferred[R]"]) -> "Deferred[R]":
        """The answer to ``key``, by ``ask`` unless one is still good or on its way."""
        waiter: Deferred[Any] = Deferred()
        now = self._seconds()
        until, answer = self._answers.get(key, (0.0, None))
        if now < until:
            waiter.callback(answer)
        elif key in self._waiting:
            self._waiting[key].append(waiter)
        else:
            self._waiting[key] = [waiter]
            maybeDeferred(ask).addBoth(self._arrived, key)
        return waiter

    def _arrived(self, answer: Any, key: Hashable) -> None:
        now = self._seconds()
        self._answers = {k: v for k, v in self._answers.items() if v[0] > now}
        if not isinstance(answer, Failure):
            self._answers[key] = (now + self._lifetime, answer)
        for waiter in self._waiting.pop(key):
            if not waiter.called:
                waiter.callback(answer)
