"""One question for all who ask; a writer waits for a question that came after its change."""

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.refresh import SLICE, TIMEOUT, Refresher
from resttorrent.errors import EngineTimeout, Stopping


class RefresherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.posted = 0
        self.put: list[Any] = []
        self.refresher = Refresher(self.clock, self._post, self.put.append)

    def _post(self) -> None:
        self.posted += 1

    def answer(self, *statuses: Any) -> None:
        self.refresher.on_state_update(SimpleNamespace(status=list(statuses)))  # type: ignore[arg-type]

    def test_answer(self) -> None:
        asked = self.refresher.recent()
        self.assertNoResult(asked)
        self.answer("a", "b")
        self.successResultOf(asked)
        self.assertEqual((self.posted, self.put), (1, ["a", "b"]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_readers_share_a_question(self) -> None:
        first, second = self.refresher.recent(), self.refresher.recent()
        self.assertEqual(self.posted, 1)
        self.answer()
        self.successResultOf(first)
        self.successResultOf(second)

    def test_writers_wait_for_a_question_of_their_own(self) -> None:
        reader = self.refresher.recent()
        writer, another = self.refresher.fresh(), self.refresher.fresh()
        self.assertEqual(self.posted, 1)
        self.answer("before")
        self.successResultOf(reader)
        self.assertNoResult(writer)
        self.assertEqual(self.posted, 2)
        self.answer("after")
        self.successResultOf(writer)
        self.successResultOf(another)
        self.assertEqual(self.posted, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lone_writer_asks_at_once(self) -> None:
        writer = self.refresher.fresh()
        self.assertEqual(self.posted, 1)
        self.answer()
        self.successResultOf(writer)

    def test_big_answer_is_worked_off_in_slices(self) -> None:
        asked = self.refresher.recent()
        self.answer(*range(SLICE * 2 + 1))
        self.assertEqual(len(self.put), SLICE)
        self.assertNoResult(asked)
        self.clock.pump([0, 0])
        self.successResultOf(asked)
        self.assertEqual(self.put, list(range(SLICE * 2 + 1)))

    def test_timeout(self) -> None:
        asked = self.refresher.recent()
        self.clock.advance(TIMEOUT - 1)
        self.assertEqual(self.refresher.oldest(), TIMEOUT - 1)
        self.clock.advance(1)
        self.failureResultOf(asked, EngineTimeout)
        self.answer()
        self.assertEqual(self.refresher.oldest(), 0)

    def test_dropped_alerts_do_not_leave_anybody_waiting(self) -> None:
        reader, writer = self.refresher.recent(), self.refresher.fresh()
        self.refresher.resynchronised(self.refresher.last_question)
        self.successResultOf(reader)
        self.answer()
        self.successResultOf(writer)

    def test_reader_that_left(self) -> None:
        asked = self.refresher.recent()
        asked.addErrback(lambda _: None)
        asked.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.answer()

    def test_stop(self) -> None:
        asked = self.refresher.recent()
        self.refresher.stop(Stopping("going"))
        self.failureResultOf(asked, Stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for ask in (self.refresher.fresh, self.refresher.recent):
            self.failureResultOf(ask(), Stopping)
        self.answer("late")
        self.assertEqual((self.posted, self.put, self.clock.getDelayedCalls()), (1, [], []))

    def test_stop_between_two_slices(self) -> None:
        """Nothing is asked of a session that is closed, though somebody waits for a question more."""
        reader, writer = self.refresher.recent(), self.refresher.fresh()
        self.answer(*range(SLICE + 1))
        self.refresher.stop(Stopping("going"))
        self.clock.advance(0)
        self.failureResultOf(reader, Stopping)
        self.failureResultOf(writer, Stopping)
        self.assertEqual((self.posted, len(self.put)), (1, SLICE))

    def test_dropped_alerts_while_another_question_is_open(self) -> None:
        """The answer came after all, and the next question is not taken for answered."""
        first = self.refresher.recent()
        question = self.refresher.last_question
        self.answer()
        self.successResultOf(first)
        second = self.refresher.recent()
        self.refresher.resynchronised(question)
        self.assertNoResult(second)
        self.answer()
        self.successResultOf(second)
