"""Answers that are shared and good for a moment."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.worker import Memo
from resttorrent.errors import EngineError


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
