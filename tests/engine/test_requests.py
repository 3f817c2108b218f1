"""Questions to libtorrent: each ends by answer, failure, timeout or cancellation, and leaves no timer."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.requests import PendingRequests
from resttorrent.errors import EngineTimeout, Stopping


class PendingRequestsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pending: PendingRequests[str, int] = PendingRequests(self.clock)

    def assertNothingLeft(self) -> None:
        self.assertEqual(len(self.pending), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answer(self) -> None:
        asked = self.pending.expect("a", 5)
        self.assertNoResult(asked)
        self.assertTrue(self.pending.answer("a", 7))
        self.assertEqual(self.successResultOf(asked), 7)
        self.assertNothingLeft()

    def test_answer_that_nobody_asked_for(self) -> None:
        self.assertFalse(self.pending.answer("a", 7))
        self.assertFalse(self.pending.fail("a", Stopping("x")))

    def test_failure(self) -> None:
        asked = self.pending.expect("a", 5)
        self.assertTrue(self.pending.fail("a", Stopping("going")))
        self.failureResultOf(asked, Stopping)
        self.assertNothingLeft()

    def test_timeout(self) -> None:
        asked = self.pending.expect("a", 5)
        self.clock.advance(4.9)
        self.assertNoResult(asked)
        self.clock.advance(0.2)
        self.failureResultOf(asked, EngineTimeout)
        self.assertNothingLeft()

    def test_cancelled(self) -> None:
        asked = self.pending.expect("a", 5)
        asked.addErrback(lambda _: None)
        asked.cancel()
        self.assertNothingLeft()
        self.assertFalse(self.pending.answer("a", 7))

    def test_second_question_under_the_same_key(self) -> None:
        asked = self.pending.expect("a", 5)
        self.assertRaises(KeyError, self.pending.expect, "a", 5)
        self.pending.answer("a", 1)
        self.assertEqual(self.successResultOf(asked), 1)

    def test_fail_all(self) -> None:
        asked = [self.pending.expect(key, 5) for key in "abc"]
        self.pending.fail_all(Stopping("going"))
        for deferred in asked:
            self.failureResultOf(deferred, Stopping)
        self.assertNothingLeft()

    def test_key_can_be_asked_again_from_the_answer(self) -> None:
        again = []
        self.pending.expect("a", 5).addCallback(lambda _: again.append(self.pending.expect("a", 5)))
        self.pending.answer("a", 1)
        self.assertNoResult(again[0])
        self.pending.answer("a", 2)
        self.assertEqual(self.successResultOf(again[0]), 2)
