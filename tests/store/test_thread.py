"""The hand-over between the reactor and the store's thread."""

import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from resttorrent.errors import StateDiskFull, Stopping
from resttorrent.store import statements
from resttorrent.store.database import Database
from resttorrent.store.thread import GROUP_LIMIT, SLICE, Job, Kind, StoreThread


def ident(ignored: object) -> int:
    return threading.get_ident()


class CountingReactor:
    """The real reactor, with a note of what crossed from the thread."""

    def __init__(self) -> None:
        self.crossings = 0

    def callFromThread(self, *args: Any) -> None:
        self.crossings += 1
        reactor.callFromThread(*args)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class ThreadCase(TestCase):
    async def start(self) -> StoreThread:
        self.reactor = CountingReactor()
        self.database = Database(None, "normal", lambda: 0.0)
        thread = StoreThread(self.reactor, self.database)
        await thread.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(thread.stop(True)))
        return thread

    async def hold(self, thread: StoreThread) -> threading.Event:
        """Keep the thread busy, so that calls gather in its queue, until the event is set."""
        entered: Deferred[None] = Deferred()
        event = threading.Event()
        self.addCleanup(event.set)

        def wait(connection: object) -> None:
            reactor.callFromThread(entered.callback, None)  # type: ignore[attr-defined]
            event.wait()

        thread.read(wait)
        await entered
        return event


class HandOverTests(ThreadCase):
    async def test_group_commit(self) -> None:
        """What gathered goes into one commit, and comes back in one crossing."""
        thread = await self.start()
        executed: list[str] = []
        await thread.read(lambda connection: connection.set_trace_callback(executed.append))
        event = await self.hold(thread)
        writes = [thread.write(statements.set_setting, f"{i}", "value") for i in range(GROUP_LIMIT)]
        self.reactor.crossings = 0
        event.set()
        await gatherResults(writes)
        self.assertEqual(executed.count("COMMIT"), 1)
        self.assertEqual(self.reactor.crossings, 2)  # one for the call that held the thread

    async def test_group_limit(self) -> None:
        thread = await self.start()
        executed: list[str] = []
        await thread.read(lambda connection: connection.set_trace_callback(executed.append))
        event = await self.hold(thread)
        writes = [thread.write(statements.set_setting, f"{i}", "x") for i in range(2 * GROUP_LIMIT + 1)]
        event.set()
        await gatherResults(writes)
        self.assertEqual(executed.count("COMMIT"), 3)

    async def test_reads_are_outside_of_transactions(self) -> None:
        thread = await self.start()

        def look(connection: sqlite3.Connection) -> tuple[bool, str | None]:
            return connection.in_transaction, statements.setting(connection, "name")

        event = await self.hold(thread)
        thread.write(statements.set_setting, "name", "first")
        seen = thread.read(look)
        thread.write(statements.set_setting, "other", "second")
        event.set()
        self.assertEqual(await seen, (False, "first"))

    async def test_fires_in_the_reactor_thread(self) -> None:
        thread = await self.start()
        here = threading.get_ident()
        ran = await thread.write(lambda connection: threading.get_ident())
        self.assertNotEqual(ran, here)
        self.assertEqual(ran, await thread.read(lambda connection: threading.get_ident()))
        write = thread.write(statements.set_setting, "name", "x")
        read = thread.read(statements.setting, "name")
        fired = [write.addCallback(ident), read.addCallback(ident)]
        self.assertEqual(await gatherResults(fired), [here, here])

    async def test_error_alone(self) -> None:
        thread = await self.start()
        event = await self.hold(thread)
        before = thread.write(statements.set_setting, "before", "1")
        bad = thread.write(statements.set_setting, "bad", object())  # type: ignore[arg-type]
        after = thread.write(statements.set_setting, "after", "1")
        bad_read = thread.read(lambda connection: connection.execute("SELECT nonsense"))
        event.set()
        await gatherResults([before, after])
        await self.assertFailure(bad, sqlite3.Error, Exception)
        await self.assertFailure(bad_read, Exception)
        self.assertEqual(await thread.read(statements.setting, "before"), "1")
        self.assertIsNone(await thread.read(statements.setting, "bad"))
        self.assertEqual(await thread.read(statements.setting, "after"), "1")

    async def test_cancelled_caller(self) -> None:
        """Who lost patience hears nothing more; the write is done all the same."""
        thread = await self.start()
        event = await self.hold(thread)
        write = thread.write(statements.set_setting, "name", "value")
        write.cancel()
        await self.assertFailure(write, CancelledError)
        event.set()
        self.assertEqual(await thread.read(statements.setting, "name"), "value")

    async def test_fault_of_ours(self) -> None:
        """An error where none may be fails the callers, and the thread lives."""
        thread = await self.start()

        def broken(tasks: object) -> None:
            raise ZeroDivisionError

        original, self.database.write = self.database.write, broken  # type: ignore[method-assign]
        await self.assertFailure(thread.write(statements.set_setting, "name", "x"), ZeroDivisionError)
        self.database.write = original  # type: ignore[method-assign]
        await thread.write(statements.set_setting, "name", "y")

    async def test_fault_in_upkeep(self) -> None:
        thread = await self.start()

        def broken() -> None:
            raise ZeroDivisionError

        original, self.database.tick = self.database.tick, broken  # type: ignore[method-assign]
        await thread.write(statements.set_setting, "name", "x")
        await thread.read(statements.setting, "name")
        self.database.tick = original  # type: ignore[method-assign]
        await thread.read(statements.setting, "name")
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    async def test_oldest_waiting(self) -> None:
        thread = await self.start()
        self.assertEqual(thread.oldest_waiting(self.reactor.seconds()), 0.0)
        event = await self.hold(thread)
        asked = self.reactor.seconds()
        write = thread.write(statements.set_setting, "name", "x")
        self.assertGreaterEqual(thread.oldest_waiting(asked + 30), 30.0)
        event.set()
        await write
        self.assertEqual(thread.oldest_waiting(asked + 30), 0.0)

    async def test_full_disk_is_logged_and_heals(self) -> None:
        thread = await self.start()
        await thread.read(lambda connection: connection.execute("PRAGMA max_page_count = 1"))
        large = "x" * 100_000
        await self.assertFailure(thread.write(statements.set_setting, "name", large), StateDiskFull)
        self.assertEqual(self.database.degraded, "state_disk_full")
        await thread.read(lambda connection: connection.execute("PRAGMA max_page_count = 10000"))
        await thread.write(statements.set_setting, "name", large)
        await thread.read(statements.setting, "name")
        self.assertIsNone(self.database.degraded)


class LifeTests(TestCase):
    async def test_not_open(self) -> None:
        thread = StoreThread(CountingReactor(), Database(None, "normal", lambda: 0.0))
        await thread.stop(True)
        await self.assertFailure(thread.read(statements.setting, "name"), Stopping)
        await thread.start()
        await thread.stop(True)
        await self.assertFailure(thread.write(statements.set_setting, "name", "x"), Stopping)
        await thread.stop(True)

    async def test_stop_finishes_what_was_asked(self) -> None:
        thread = StoreThread(CountingReactor(), Database(None, "normal", lambda: 0.0))
        await thread.start()
        event = threading.Event()
        thread.read(lambda connection: event.wait())
        writes = [thread.write(statements.set_setting, f"{i}", "x") for i in range(2000)]
        stopped = Deferred.fromCoroutine(thread.stop(True))
        event.set()
        await stopped
        self.assertTrue(all(write.called for write in writes))
        self.assertNotIn("store", [t.name for t in threading.enumerate() if t.is_alive()])

    async def test_cancelled_start(self) -> None:
        """The thread of a start that nobody waits for closes and ends by itself."""
        folder = Path(self.mktemp()).absolute()
        thread = StoreThread(CountingReactor(), Database(folder, "normal", lambda: 0.0))
        start = Deferred.fromCoroutine(thread.start())
        start.cancel()
        await self.assertFailure(start, CancelledError)
        for other in threading.enumerate():
            if other.name == "store":
                other.join()
        again = Database(folder, "normal", lambda: 0.0)
        again.open()
        again.close(True)


def note(answered: list[int], number: int, ignored: object) -> None:
    answered.append(number)


class SlowAnswers(Clock):
    """Each look at the clock takes a third of a slice."""

    def seconds(self) -> float:
        self.rightNow += SLICE / 3
        return self.rightNow


class AnswerTests(SynchronousTestCase):
    def test_answers_in_slices(self) -> None:
        """A large group is not one long turn of the reactor; the order holds across groups."""
        clock = SlowAnswers()
        thread = StoreThread(clock, Database(None, "normal", lambda: 0.0))  # type: ignore[arg-type]
        answered: list[int] = []
        jobs = [Job(Kind.WRITE, print, (), 0.0) for _ in range(10)]
        for number, job in enumerate(jobs):
            job.deferred.addCallback(partial(note, answered, number))
        thread._answer(jobs[:8])
        self.assertEqual(answered, [0, 1, 2])
        thread._answer(jobs[8:])
        self.assertEqual(answered, [0, 1, 2])
        for _ in range(3):
            clock.advance(0)
        self.assertEqual(answered, list(range(10)))
        self.assertEqual(clock.getDelayedCalls(), [])
