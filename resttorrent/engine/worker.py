"""A thread for the calls that block, one call at a time."""

from collections.abc import Callable, Hashable
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ..errors import Stopping

R = TypeVar("R")


class Worker:
    """One thread, started with the first call."""

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=1, name=name)
        # a call that never returns must not keep the process from ending
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        self._running = 0
        self._stopped: Deferred[None] | None = None

    def call(self, function: Callable[..., R], *args: Any) -> "Deferred[R]":
        """Run ``function(*args)`` in the thread, after the calls that wait already; fails with Stopping."""
        if self._stopped is not None:
            return fail(Stopping("the session is closed"))
        if not self._pool.started:
            self._pool.start()
        self._running += 1
        answer: Deferred[R] = Deferred()

        def returned(success: bool, result: Any) -> None:
            self._reactor.callFromThread(self._returned, answer, result)

        self._pool.callInThreadWithCallback(returned, function, *args)
        return answer

    def _returned(self, answer: "Deferred[Any]", result: Any) -> None:
        self._running -= 1
        if not answer.called:
            answer.callback(result)
        self._end_if_idle()

    def stop(self) -> "Deferred[None]":
        """Take no more calls; fires when those that were asked are done and the thread has ended."""
        if self._stopped is None:
            self._stopped = Deferred()
            self._end_if_idle()
        return self._stopped

    def _end_if_idle(self) -> None:
        if self._stopped is None or self._running or self._stopped.called:
            return
        # joins the thread, which has nothing left to do but to end
        if self._pool.started:
            self._pool.stop()
        self._stopped.callback(None)


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
