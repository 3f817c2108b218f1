"""Long polls: what matters at once, counters at their interval, and nothing is left behind."""

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.commands.waiting import changed
from resttorrent.engine.fields import initial_row
from resttorrent.engine.pulse import Pulse
from resttorrent.engine.table import StatusTable
from resttorrent.errors import EngineTimeout
from resttorrent.store.revisions import Revisions
from tests.engine.fakes import torrent


class FakeSession:
    """A session's table, and a refresh that brings what the test put into ``news``."""

    def __init__(self, clock: Clock) -> None:
        self.table = StatusTable(Revisions(1, 0))
        self.pulse = Pulse(clock, self.table, self.fresh)
        self.asked = 0
        self.news: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.held: Deferred[None] | None = None

    async def fresh(self) -> None:
        self.asked += 1
        if self.held is not None:
            await self.held
        if self.error is not None:
            raise self.error
        for values in self.news:
            self.put(**values)

    def put(self, **values: Any) -> None:
        self.table.put("a", initial_row(torrent(), **values))


class WaitingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.session = FakeSession(self.clock)
        self.session.put()
        self.rev = self.session.table.rev

    def wait(self, wait: float = 30, interval: float = 5, since: int | None = None) -> "Deferred[None]":
        ctx: Any = SimpleNamespace(pace=SimpleNamespace(clock=self.clock))
        session: Any = self.session
        return Deferred.fromCoroutine(
            changed(ctx, session, self.rev if since is None else since, wait, interval)
        )

    def assertNothingLeft(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.session.table._watchers, set())

    def test_changed_already(self) -> None:
        self.successResultOf(self.wait(since=self.rev - 1))
        self.assertEqual(self.session.asked, 0)
        self.assertNothingLeft()

    def test_state_at_once(self) -> None:
        waiting = self.wait()
        self.assertNoResult(waiting)
        self.session.put(state="downloading")
        self.clock.advance(0)
        self.successResultOf(waiting)
        self.assertEqual(self.session.asked, 0)
        self.assertNothingLeft()

    def test_row_that_comes_or_goes(self) -> None:
        waiting = self.wait()
        self.session.table.remove("a")
        self.clock.advance(0)
        self.successResultOf(waiting)
        self.assertNothingLeft()

    def test_counters_at_the_interval(self) -> None:
        waiting = self.wait()
        self.session.news = [{"total_done": 5}]
        self.clock.advance(4.9)
        self.assertEqual(self.session.asked, 0)
        self.assertNoResult(waiting)
        self.clock.advance(0.1)
        self.successResultOf(waiting)
        self.assertEqual(self.session.asked, 1)
        self.assertNothingLeft()

    def test_counter_that_somebody_else_asked_for(self) -> None:
        """It is no reason to answer before the interval."""
        waiting = self.wait()
        self.session.put(total_done=5)
        self.assertNoResult(waiting)
        self.clock.advance(5)
        self.successResultOf(waiting)

    def test_nothing_happens(self) -> None:
        waiting = self.wait(wait=12)
        self.clock.pump([5, 5])
        self.assertNoResult(waiting)
        self.assertEqual(self.session.asked, 2)
        self.clock.advance(2)
        self.successResultOf(waiting)
        self.assertEqual(self.session.asked, 3)
        self.assertNothingLeft()

    def test_state_that_changes_during_the_refresh(self) -> None:
        waiting = self.wait()
        self.session.held = Deferred()
        self.clock.advance(5)
        self.session.put(state="downloading")
        self.session.held.callback(None)
        self.successResultOf(waiting)
        self.assertNothingLeft()

    def test_session_is_deleted(self) -> None:
        waiting = self.wait()
        self.session.pulse.close("session_not_found")
        self.successResultOf(waiting)
        self.assertNothingLeft()

    def test_libtorrent_is_silent(self) -> None:
        waiting = self.wait()
        self.session.error = EngineTimeout("silent")
        self.clock.advance(5)
        self.failureResultOf(waiting, EngineTimeout)
        self.assertNothingLeft()

    def test_client_leaves(self) -> None:
        waiting = self.wait()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertNothingLeft()
        self.session.put(state="downloading")

    def test_session_is_closed_already(self) -> None:
        self.session.pulse.close("stopping")
        self.successResultOf(self.wait())
        self.assertNothingLeft()

    def test_those_who_wait_share_a_refresh(self) -> None:
        waiting = [self.wait() for _ in range(3)]
        self.session.news = [{"total_done": 5}]
        self.clock.advance(5)
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.session.asked, 1)
        self.assertNothingLeft()

    def test_client_leaves_during_the_refresh(self) -> None:
        waiting = self.wait()
        self.session.held = Deferred()
        self.clock.advance(5)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertNothingLeft()
