"""
The hand-over between the reactor and the one thread that owns the SQLite connection.

Calls are handed over at the end of the reactor's turn. The thread takes all that is there and never waits for
more: the busier it is, the larger the groups grow (``GROUP_LIMIT`` at most), so a single write isn't delayed
and many share one commit. A whole group goes back in one ``callFromThread``. Reads that came with writes run
after the commit, outside of the transaction, so that they neither delay the answers nor see what might yet be
rolled back.

Who runs what: ``_main`` and what it calls, in the store's thread; all else in the reactor's.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from queue import Empty, SimpleQueue
from sqlite3 import Connection
from threading import Thread
from typing import Any, Protocol, TypeVar, TypeVarTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from resttorrent.errors import Stopping
from resttorrent.store.database import Database, OpenReport
from resttorrent.store.group import Task

GROUP_LIMIT = 500
# Seconds that answering may hold the reactor at a stretch: each answer runs the rest of a command.
SLICE = 0.01

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Reactor(Protocol):
    """What is needed of Twisted's reactor: ``IReactorTime`` and ``IReactorFromThreads``."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> object: ...
    def callFromThread(self, callable: Callable[..., object], *args: object) -> object: ...


class Kind(Enum):
    WRITE = 1
    READ = 2
    OPEN = 3
    CLOSE = 4


class Job(Task):
    """
    A task with the Deferred that waits for it.

    :ivar since: the reactor's time at which it was asked.
    :ivar answered: its Deferred has been fired, or is being fired.
    """

    __slots__ = ("answered", "deferred", "kind", "since")

    def __init__(self, kind: Kind, call: Callable[..., Any], args: tuple[Any, ...], since: float) -> None:
        self.call = call
        self.args = args
        self.result = None
        self.error = None
        self.kind = kind
        self.since = since
        self.answered = False
        self.deferred: Deferred[Any] = Deferred()

    def fire(self) -> None:
        if self.error is None:
            self.deferred.callback(self.result)
        else:
            self.deferred.errback(Failure(self.error))


class StoreThread:
    """One thread, started once and stopped once."""

    _log = Logger()

    def __init__(self, reactor: Reactor, database: Database) -> None:
        self._reactor = reactor
        self._database = database
        self._queue: SimpleQueue[list[Job]] = SimpleQueue()
        self._thread: Thread | None = None
        self._serving = False
        self._to_hand_over: list[Job] = []
        self._waiting: deque[Job] = deque()
        self._done: deque[Job] = deque()
        self._answering_later = False
        self._last_degraded: str | None = None

    async def start(self) -> OpenReport:
        """
        Start the thread and open the database in it.

        :raises StoreRefusal: see ``Database.open``; the thread has ended.
        """
        opening = Job(Kind.OPEN, self._database.open, (), self._reactor.seconds())
        thread = self._thread = Thread(target=self._main, args=(opening,), name="store", daemon=True)
        thread.start()
        try:
            report: OpenReport = await opening.deferred
        except BaseException:
            # Should the caller have lost patience: the thread opens, finds this, and closes again.
            self._queue.put([Job(Kind.CLOSE, self._database.close, (False,), 0.0)])
            if opening.answered:
                thread.join()
            raise
        self._serving = True
        return report

    async def stop(self, clean: bool) -> None:
        """
        Finish all that was asked, close, end the thread. A store that isn't open is left alone.

        :raises sqlite3.Error, OSError, CommandError: see ``Database.close``; the thread has ended anyhow.
        """
        if not self._serving or self._thread is None:
            return
        self._serving = False
        self._hand_over()
        closing = Job(Kind.CLOSE, self._database.close, (clean,), self._reactor.seconds())
        self._queue.put([closing])
        try:
            await closing.deferred
        finally:
            # The thread has nothing left to do but return; or, if the caller lost patience, goes on alone.
            if closing.answered:
                self._thread.join()

    def write(self, call: Callable[[Connection, *Args], T], *args: *Args) -> Deferred[T]:
        """
        Have ``call`` run in a transaction; the Deferred fires after the commit.

        :param call: touches nothing but the connection, may be run twice.
        """
        return self._submit(Kind.WRITE, call, args)

    def read(self, call: Callable[[Connection, *Args], T], *args: *Args) -> Deferred[T]:
        """Have ``call`` run outside of any transaction; it sees all writes that were asked before it."""
        return self._submit(Kind.READ, call, args)

    def _submit(self, kind: Kind, call: Callable[..., Any], args: tuple[Any, ...]) -> Deferred[Any]:
        job = Job(kind, call, args, self._reactor.seconds())
        if self._serving:
            self._waiting.append(job)
            self._to_hand_over.append(job)
            # At the turn's end: a thread that woke now would fight the rest of the turn for the interpreter.
            if len(self._to_hand_over) == 1:
                self._reactor.callLater(0, self._hand_over)
        else:
            job.deferred.errback(Failure(Stopping("The store is not open.")))
        return job.deferred

    def _hand_over(self) -> None:
        jobs, self._to_hand_over = self._to_hand_over, []
        if jobs:
            self._queue.put(jobs)

    def oldest_waiting(self, now: float) -> float:
        """
        :param now: the reactor's time.
        :return: seconds that the oldest unanswered call has waited; 0.0 if there is none.
        """
        return max(0.0, now - self._waiting[0].since) if self._waiting else 0.0

    def _answer(self, jobs: list[Job]) -> None:
        self._done.extend(jobs)
        if not self._answering_later:
            self._answer_some()

    def _answer_some(self) -> None:
        self._answering_later = False
        self._note_degraded()
        until = self._reactor.seconds() + SLICE
        while self._done:
            job = self._done.popleft()
            job.answered = True
            while self._waiting and self._waiting[0].answered:
                self._waiting.popleft()
            job.fire()
            if self._done and self._reactor.seconds() >= until:
                self._answering_later = True
                self._reactor.callLater(0, self._answer_some)
                break

    def _note_degraded(self) -> None:
        degraded = self._database.degraded
        if degraded != self._last_degraded:
            self._last_degraded = degraded
            if degraded is None:
                self._log.info("The state database can be written again.")
            else:
                self._log.error("The state database is in trouble: {reason}", reason=degraded)

    # Below here: the store's thread.

    def _main(self, opening: Job) -> None:
        _attempt(opening)
        self._reactor.callFromThread(self._answer, [opening])
        if opening.error is not None:
            return
        while True:
            jobs = self._take()
            closing = jobs.pop() if jobs and jobs[-1].kind is Kind.CLOSE else None
            for start in range(0, len(jobs), GROUP_LIMIT):
                self._serve(jobs[start : start + GROUP_LIMIT])
            if not jobs:
                self._upkeep()
            if closing is not None:
                _attempt(closing)
                self._reactor.callFromThread(self._answer, [closing])
                return

    def _take(self) -> list[Job]:
        """All that is queued; waits for the first one, but not longer than upkeep can."""
        try:
            jobs = self._queue.get(timeout=self._database.pause())
        except Empty:
            return []
        try:
            while len(jobs) < GROUP_LIMIT:
                jobs.extend(self._queue.get_nowait())
        except Empty:
            pass
        return jobs

    def _serve(self, jobs: list[Job]) -> None:
        writes = [job for job in jobs if job.kind is Kind.WRITE]
        if writes:
            self._guarded(writes, self._database.write, writes)
        for job in jobs:
            if job.kind is Kind.READ:
                self._guarded([job], self._database.read, job)
        self._upkeep()

    def _guarded(self, jobs: list[Job], work: Callable[..., None], *args: object) -> None:
        """A fault of ours must not leave anyone waiting; it shows at the callers."""
        try:
            work(*args)
        except Exception as error:
            for job in jobs:
                job.result, job.error = None, error
        self._reactor.callFromThread(self._answer, jobs)

    def _upkeep(self) -> None:
        before = self._database.degraded
        try:
            self._database.tick()
        except Exception:
            self._reactor.callFromThread(self._log.failure, "The store's upkeep failed", Failure())
        if self._database.degraded != before:
            self._reactor.callFromThread(self._note_degraded)


def _attempt(job: Job) -> None:
    try:
        job.result = job.call(*job.args)
    except Exception as error:
        job.error = error
