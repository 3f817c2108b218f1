"""A thread for what blocks, and answers that are shared and good for a moment."""

import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from resttorrent.engine.worker import Memo, Worker
from resttorrent.errors import EngineError, Stopping


class MemoTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.memo = Memo(self.clock.seconds, 1.0)
        self.asked: list[Deferred[str]] = []

    def ask(self) -> "Deferred[str]":
        self.asked.append(Deferred())
        return self.asked[-1]

    def test_those_who_ask_meanwhile_share_one_question(self) -> None:
        first, second = self.memo.get("k", self.ask), self.memo.get("k", self.ask)
        self.assertEqual(len(self.asked), 1)
        self.asked[0].callback("answer")
        self.assertEqual([self.successResultOf(d) for d in (first, second)], ["answer", "answer"])

    def test_answer_is_good_for_its_lifetime(self) -> None:
        self.memo.get("k", self.ask)
        self.asked[0].callback("old")
        self.clock.advance(0.9)
        self.assertEqual(self.successResultOf(self.memo.get("k", self.ask)), "old")
        self.clock.advance(0.2)
        later = self.memo.get("k", self.ask)
        self.assertNoResult(later)
        self.asked[1].callback("new")
        self.assertEqual(self.successResultOf(later), "new")

    def test_failure_is_shared_but_not_kept(self) -> None:
        first, second = self.memo.get("k", self.ask), self.memo.get("k", self.ask)
        self.asked[0].errback(EngineError("no"))
        self.failureResultOf(first, EngineError)
        self.failureResultOf(second, EngineError)
        self.memo.get("k", self.ask)
        self.assertEqual(len(self.asked), 2)

    def test_question_that_can_not_be_asked(self) -> None:
        def ask() -> "Deferred[str]":
            raise EngineError("closed")

        self.failureResultOf(self.memo.get("k", ask), EngineError)

    def test_one_who_left_takes_nothing_from_the_others(self) -> None:
        first, second = self.memo.get("k", self.ask), self.memo.get("k", self.ask)
        first.addErrback(lambda _: None)
        first.cancel()
        self.asked[0].callback("answer")
        self.assertEqual(self.successResultOf(second), "answer")

    def test_keys_are_apart(self) -> None:
        self.memo.get("a", self.ask)
        self.memo.get("b", self.ask)
        self.assertEqual(len(self.asked), 2)


class WorkerTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        real: Any = reactor
        self.worker = Worker(real, "test")
        self.addCleanup(self.worker.stop)

    async def test_one_call_at_a_time_in_another_thread(self) -> None:
        calls = [self.worker.call(threading.get_ident) for _ in range(3)]
        threads = {await call for call in calls}
        self.assertEqual(len(threads), 1)
        self.assertNotIn(threading.get_ident(), threads)

    async def test_error(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            await self.worker.call(lambda: 1 // 0)

    async def test_stop_waits_for_what_was_asked_and_takes_no_more(self) -> None:
        gate = threading.Event()
        first, second = self.worker.call(gate.wait, 20), self.worker.call(int, "5")
        stopped = self.worker.stop()
        with self.assertRaises(Stopping):
            await self.worker.call(int, "6")
        self.assertFalse(stopped.called)
        gate.set()
        await stopped
        self.assertEqual((await first, await second), (True, 5))
        self.assertFalse(self.worker._pool.started)

    async def test_caller_that_left(self) -> None:
        """Its call goes on in the thread: stopping waits for it all the same."""
        gate = threading.Event()
        call = self.worker.call(gate.wait, 20)
        call.addErrback(lambda failure: None)
        call.cancel()
        stopped = self.worker.stop()
        self.assertFalse(stopped.called)
        gate.set()
        await stopped

    async def test_never_used(self) -> None:
        await self.worker.stop()

    async def test_call_that_never_ends_does_not_keep_the_process(self) -> None:
        self.assertTrue(await self.worker.call(lambda: threading.current_thread().daemon))
