"""One timer for an interval, one wake for all that happens in a turn, and nothing when nobody watches."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.pulse import Pulse
from resttorrent.errors import EngineTimeout


class FakeSource:
    """A source whose refresh can be held up, fail, or bring something."""

    def __init__(self) -> None:
        self.rev = 0
        self.watchers: list[Any] = []
        self.asked = 0
        self.brings = 0
        self.held: Deferred[None] | None = None
        self.error: Exception | None = None

    def watch(self, urgent: Any) -> Any:
        self.watchers.append(urgent)
        return lambda: self.watchers.remove(urgent)

    def change(self) -> None:
        """Something urgent."""
        self.rev += 1
        for watcher in self.watchers:
            watcher()

    async def fresh(self) -> None:
        self.asked += 1
        if self.held is not None:
            await self.held
        if self.error is not None:
            raise self.error
        self.rev += self.brings


class PulseCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.source = FakeSource()
        self.pulse = Pulse(self.clock, self.source, self.source.fresh)
        self.woken: list[str] = []

    def watch(self, interval: float = 1, name: str = "a") -> Any:
        return self.pulse.watch(interval, lambda: self.woken.append(name))

    def take_woken(self) -> list[str]:
        woken, self.woken = self.woken, []
        return woken

    def assertAtRest(self) -> None:
        self.assertEqual((self.clock.getDelayedCalls(), self.source.watchers), ([], []))


class UrgentTests(PulseCase):
    def test_once_for_a_turn(self) -> None:
        unwatch = self.watch()
        for _ in range(3):
            self.source.change()
        self.assertEqual(self.take_woken(), [])
        self.clock.advance(0)
        self.assertEqual(self.take_woken(), ["a"])
        self.clock.advance(0)
        self.assertEqual(self.take_woken(), [])
        self.assertEqual(self.source.asked, 0)
        unwatch()
        self.assertAtRest()

    def test_all_intervals(self) -> None:
        for interval in (1, 60):
            self.watch(interval, str(interval))
        self.source.change()
        self.clock.advance(0)
        self.assertEqual(self.take_woken(), ["1", "60"])

    def test_those_who_know_already(self) -> None:
        """A tick in between told those of its interval."""
        self.watch(1, "often")
        self.watch(60, "seldom")
        self.clock.advance(1)
        self.take_woken()
        self.source.brings = 1
        self.clock.advance(1)
        self.assertEqual(self.take_woken(), ["often"])
        self.pulse.ring()
        self.clock.advance(0)
        self.assertEqual(self.take_woken(), ["seldom"])

    def test_one_that_joined_meanwhile(self) -> None:
        """It does not miss what the others were told."""
        self.watch(name="a")
        self.source.change()
        self.clock.advance(0)
        self.take_woken()
        self.watch(name="b")
        self.pulse.ring()
        self.clock.advance(0)
        self.assertIn("b", self.take_woken())

    def test_one_that_ends_another(self) -> None:
        unwatch: list[Any] = []
        self.pulse.watch(1, lambda: unwatch[0]())
        unwatch.append(self.watch(name="ended"))
        self.source.change()
        self.clock.advance(0)
        self.assertEqual(self.take_woken(), [])

    def test_one_that_fails(self) -> None:
        self.pulse.watch(1, lambda: 1 // 0)  # type: ignore[arg-type]
        self.watch()
        self.source.change()
        self.clock.advance(0)
        self.assertEqual(self.take_woken(), ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class IntervalTests(PulseCase):
    def test_together(self) -> None:
        self.clock.advance(10.3)
        self.watch(name="a")
        self.clock.advance(0.4)
        self.watch(name="b")
        self.source.brings = 1
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0.25)
        self.assertEqual(self.take_woken(), [])
        self.clock.advance(0.05)
        self.assertEqual((self.take_woken(), self.source.asked), (["a", "b"], 1))
        self.clock.advance(1)
        self.assertEqual((self.take_woken(), self.source.asked), (["a", "b"], 2))

    def test_unchanged(self) -> None:
        self.watch()
        self.clock.advance(1)
        self.take_woken()
        self.clock.pump([1, 1])
        self.assertEqual((self.take_woken(), self.source.asked), ([], 3))

    def test_early_timer(self) -> None:
        """A tick a hair too early is followed by the next one, not by itself."""
        self.watch()
        self.clock.rightNow = 0.9999
        self.clock.getDelayedCalls()[0].reset(0)
        self.clock.advance(0)
        self.clock.advance(0.001)
        self.assertEqual(self.source.asked, 1)
        self.clock.advance(1)
        self.assertEqual(self.source.asked, 2)

    def test_slow_refresh(self) -> None:
        """While one is under way, no other is begun."""
        self.watch()
        self.source.held = Deferred()
        self.source.brings = 1
        self.clock.pump([1, 1, 1])
        self.assertEqual((self.take_woken(), self.source.asked), ([], 1))
        held, self.source.held = self.source.held, None
        held.callback(None)
        self.assertEqual(self.take_woken(), ["a"])
        self.clock.advance(1)
        self.assertEqual(self.source.asked, 2)

    def test_refresh_that_fails(self) -> None:
        self.watch()
        self.source.error = EngineTimeout("silent")
        self.clock.pump([1, 1, 1])
        self.assertIsInstance(self.pulse.error, EngineTimeout)
        self.assertEqual(self.take_woken(), ["a", "a", "a"])
        self.source.error = None
        self.clock.advance(1)
        self.assertIsNone(self.pulse.error)
        self.assertEqual(self.flushLoggedErrors(), [])


class EndTests(PulseCase):
    def test_nobody(self) -> None:
        self.assertAtRest()
        first, second = self.watch(1), self.watch(2)
        first()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        second()
        second()
        self.assertAtRest()
        self.source.change()
        self.assertAtRest()

    def test_between_change_and_wake(self) -> None:
        unwatch = self.watch()
        self.source.change()
        unwatch()
        self.assertAtRest()

    def test_during_a_refresh(self) -> None:
        unwatch = self.watch()
        self.source.held = Deferred()
        self.clock.advance(1)
        unwatch()
        self.assertAtRest()
        self.assertEqual(self.woken, [])

    def test_again(self) -> None:
        self.watch()()
        self.watch(name="b")
        self.source.change()
        self.clock.advance(0)
        self.assertEqual(self.take_woken(), ["b"])

    def test_close(self) -> None:
        unwatch = self.watch(1, "a")
        self.watch(2, "b")
        self.source.change()
        self.pulse.close("stopping")
        self.assertEqual((self.take_woken(), self.pulse.ended), (["a", "b"], "stopping"))
        self.assertAtRest()
        unwatch()
        self.pulse.close("again")
        self.assertEqual((self.take_woken(), self.pulse.ended), ([], "stopping"))

    def test_watched_when_closed(self) -> None:
        self.pulse.close("stopping")
        self.watch()
        leaver = self.watch(name="left")
        leaver()
        self.clock.advance(0)
        self.assertEqual(self.take_woken(), ["a"])
        leaver()
        self.assertAtRest()
