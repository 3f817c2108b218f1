"""The reactor's time."""

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.steady import make_steady


class SteadyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.monotonic, self.wall = 1000.0, 1.7e9
        self.reactor = EPollReactor()
        self.addCleanup(self.reactor.removeAll)
        self.addCleanup(self.reactor._poller.close)
        self.reactor.seconds = lambda: self.wall
        self.due: list[str] = []
        self.reactor.callLater(10, self.due.append, "before")
        make_steady(self.reactor, seconds=lambda: self.monotonic)
        self.reactor.callLater(20, self.due.append, "after")

    def test_waits_go_on(self) -> None:
        for passed, due in ((9, []), (2, ["before"]), (8, ["before"]), (2, ["before", "after"])):
            self.monotonic += passed
            self.reactor.runUntilCurrent()
            self.assertEqual(self.due, due)

    def test_wall_clock_moves_nothing(self) -> None:
        self.wall += 86_400
        self.reactor.runUntilCurrent()
        self.assertEqual(self.due, [])
        self.wall -= 2 * 86_400
        self.monotonic += 21
        self.reactor.runUntilCurrent()
        self.assertEqual(self.due, ["before", "after"])
