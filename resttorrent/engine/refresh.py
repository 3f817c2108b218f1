"""
Bringing the status table up to date, when somebody asks.

One question to libtorrent brings the rows that changed since the last one, and one alert answers it. At most
one is open. A big answer is worked off in slices, between which the reactor breathes.
"""

from collections import deque
from collections.abc import Callable, Sequence

import libtorrent as lt
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..errors import EngineTimeout

SLICE = 200
"""Rows that are read in one turn of the reactor: about 4 ms."""

TIMEOUT = 10.0


class Refresher:
    """
    Asks for changed rows and puts them into a table.

    :param post: ``session.post_torrent_updates`` or its like.
    :param put: takes one status out of an answer.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        post: Callable[[], None],
        put: Callable[[lt.torrent_status], None],
    ) -> None:
        self._clock = clock
        self._post = post
        self._put = put
        self._asked = 0
        self._answered = 0
        self._asked_at = 0.0
        self._ask_again = False
        self._ended: Exception | None = None
        self._waiting: deque[tuple[int, Deferred[None]]] = deque()
        self._backlog: deque[Sequence[lt.torrent_status]] = deque()

    def fresh(self) -> "Deferred[None]":
        """
        Fires when the table shows all that was asked of libtorrent before this call.

        While an answer is on its way, those who ask wait for one more question, which serves them all.
        """
        if self._ended is not None:
            return fail(self._ended)
        if self._asked > self._answered:
            self._ask_again = True
            return self._wait(self._asked + 1)
        self._ask()
        return self._wait(self._asked)

    def recent(self) -> "Deferred[None]":
        """Fires when the table is up to date; those who ask at the same time share one question."""
        if self._ended is not None:
            return fail(self._ended)
        if self._asked == self._answered:
            self._ask()
        return self._wait(self._asked)

    def _ask(self) -> None:
        self._ask_again = False
        self._post()
        self._asked += 1
        self._asked_at = self._clock.seconds()

    def _wait(self, number: int) -> "Deferred[None]":
        deferred: Deferred[None] = Deferred()
        timer = self._clock.callLater(TIMEOUT, self._time_out, deferred)
        deferred.addBoth(_cancel_timer, timer)
        self._waiting.append((number, deferred))
        return deferred

    @staticmethod
    def _time_out(deferred: "Deferred[None]") -> None:
        if not deferred.called:
            deferred.errback(EngineTimeout(f"libtorrent gave no status within {TIMEOUT:g} s"))

    def oldest(self) -> float:
        """How many seconds the open question has waited for its answer; 0 if none is open."""
        return self._clock.seconds() - self._asked_at if self._asked > self._answered else 0.0

    def on_state_update(self, alert: lt.state_update_alert) -> None:
        """The answer to the oldest question."""
        # rows stay valid after the pop; the list is converted at each look, so look once
        self._backlog.append(alert.status)
        if len(self._backlog) == 1:
            self._work()

    @property
    def last_question(self) -> int:
        """The number of the question that was asked last."""
        return self._asked

    def resynchronised(self, question: int) -> None:
        """Alerts were dropped, and the table is right again: the answer to ``question`` may never come."""
        self._answered = max(self._answered, question)
        self._tell()

    def _work(self, done: int = 0) -> None:
        while self._backlog and self._ended is None:
            statuses = self._backlog[0]
            for status in statuses[done : done + SLICE]:
                self._put(status)
            done += SLICE
            if done < len(statuses):
                self._clock.callLater(0, self._work, done)
                return
            self._backlog.popleft()
            done = 0
            self._answered = self._asked
            self._tell()

    def _tell(self) -> None:
        if self._ask_again and self._asked == self._answered and self._ended is None:
            self._ask()
        while self._waiting and self._waiting[0][0] <= self._answered:
            deferred = self._waiting.popleft()[1]
            if not deferred.called:
                deferred.callback(None)

    def stop(self, error: Exception) -> None:
        """The session ends: fail whoever waits, or asks from now on."""
        self._ended = error
        while self._waiting:
            deferred = self._waiting.popleft()[1]
            if not deferred.called:
                deferred.errback(error)


def _cancel_timer(result: object, timer: object) -> object:
    if timer.active():  # type: ignore[attr-defined]
        timer.cancel()  # type: ignore[attr-defined]
    return result
