"""Turns of the reactor: counted by length, long ones told with what ran."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.pace import TURN, Pace, gather
from resttorrent.turns import TurnMeter, TurnWatch


class TurnMeterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.meter = TurnMeter(lambda: self.now)

    def turn(self, seconds: float, *notes: str) -> None:
        self.meter.begin()
        for note in notes:
            self.meter.note(note)
        self.now += seconds
        self.meter.end()

    def test_short_turns(self) -> None:
        for _ in range(99):
            self.turn(0.0004)
        self.turn(0.03)
        self.assertEqual((self.meter.turns, self.meter.long_turns), (100, 0))
        self.assertEqual(self.meter.quantile(0.5), 0.0005)
        self.assertEqual(self.meter.quantile(0.99), 0.0005)
        self.assertEqual(self.meter.quantile(1.0), 0.05)
        self.assertAlmostEqual(self.meter.longest, 0.03)

    def test_long_turn_is_told_with_what_ran(self) -> None:
        told: list[dict[str, Any]] = []
        self.patch(
            self.meter, "log", type("Log", (), {"warn": lambda _, text, **values: told.append(values)})()
        )
        self.turn(0.001, "something quick")
        self.turn(0.08, "adding torrents", "adding torrents", "a list")
        self.assertEqual([t["ran"] for t in told], ["adding torrents (2 times), a list"])
        self.assertEqual(self.meter.summary()["long_turns"], 1)

    def test_longest_bucket(self) -> None:
        self.patch(self.meter, "log", type("Log", (), {"warn": lambda *_, **__: None})())
        self.turn(60)
        self.assertEqual(self.meter.quantile(0.99), 60)


class TurnWatchTests(SynchronousTestCase):
    """The watch on a reactor that polls as epoll's does."""

    def test_polls_are_timed_and_the_poller_given_back(self) -> None:
        class Poller:
            polls = 0
            register = unregister = modify = fileno = close = None

            def poll(self, *args: float) -> list[int]:
                Poller.polls += 1
                return [3]

        reactor = Clock()
        poller = reactor._poller = Poller()  # type: ignore[attr-defined]
        now = [0.0]
        meter = TurnMeter(lambda: now[0])
        watch = TurnWatch(reactor, meter)
        watch.start()
        now[0] += 0.02
        self.assertEqual(reactor._poller.poll(1.0), [3])  # type: ignore[attr-defined]
        self.assertEqual((Poller.polls, meter.turns), (1, 1))
        self.assertAlmostEqual(meter.longest, 0.02)
        watch.stop()
        self.assertIs(reactor._poller, poller)  # type: ignore[attr-defined]
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_probe_sees_lateness(self) -> None:
        reactor = Clock()
        meter = TurnMeter(lambda: 0.0)
        watch = TurnWatch(reactor, meter)
        watch.start()
        reactor.advance(1)
        self.assertEqual(meter.probe_late, 0)
        reactor.advance(1.25)
        self.assertAlmostEqual(meter.probe_late, 0.25)
        watch.stop()


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.now = 0.0
        self.pace = Pace(self.clock, TurnMeter(lambda: self.now))

    def test_work_is_cut_where_the_turn_grows_long(self) -> None:
        done: list[int] = []

        async def one(number: int) -> int:
            done.append(number)
            self.now += TURN * 0.4
            return number

        from twisted.internet.defer import Deferred

        results = Deferred.fromCoroutine(gather(self.pace, "work", (one(n) for n in range(5))))
        self.assertEqual(done, [0, 1, 2])
        self.assertNoResult(results)
        self.pace._meter.begin()
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(results), [0, 1, 2, 3, 4])
