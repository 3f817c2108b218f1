"""A daemon killed under load loses nothing that it answered. ``make soak`` has many more rounds of this."""

import random
import secrets
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.journal import Found, Journal, TorrentState
from tests.crash.ordeal import Ordeal, Round

ROUNDS = 3
LONGEST = 1.2
"""Seconds of load before each death, at most."""
UP_WITHIN = 30.0
"""Seconds; the soak is stricter, it has the machine for itself."""


class KillTests(SynchronousTestCase):
    def setUp(self) -> None:
        seed = secrets.randbelow(10**6)
        folder = tempfile.TemporaryDirectory(prefix="resttorrent-kill-")
        self.addCleanup(folder.cleanup)
        self.note = f"seed {seed}"
        self.ordeal = Ordeal(Path(folder.name), random.Random(seed), up_within=UP_WITHIN)
        self.addCleanup(self.ordeal.end)
        self.ordeal.begin()

    def passed(self, result: Round) -> None:
        log = self.ordeal.daemon.log_text() if result.faults else ""
        self.assertEqual(result.faults, [], f"{self.note}: {result}\n{log}")

    def test_kill(self) -> None:
        for _ in range(ROUNDS):
            result = self.ordeal.kill(LONGEST, at_least=10)
            self.passed(result)
            self.assertGreater(result.damaged, 0, self.note)

    def test_stop_under_load(self) -> None:
        """SIGTERM loses nothing that was answered, and the next start knows that the end was in order."""
        self.passed(self.ordeal.stop(LONGEST, at_least=10))


class JournalTests(SynchronousTestCase):
    """What the rounds judge by."""

    KEY = ("s", "a" * 40)
    RUNS = TorrentState("/root", "sparse", stopped=False)
    STOPPED = TorrentState("/root", "sparse", stopped=True)

    def setUp(self) -> None:
        self.journal = Journal()
        self.journal.ask_session((1, 2))
        self.journal.created((1, 2), "s")
        self.journal.ask({self.KEY: self.RUNS})

    def found(self, state: TorrentState | None = None) -> Found:
        return Found({"s": (1, 2)}, {"s": {} if state is None else {self.KEY[1]: state}})

    def faults(self, found: Found) -> int:
        self.journal.died()
        return len(self.journal.unexplained(found))

    def test_not_answered(self) -> None:
        self.assertEqual([self.faults(self.found()), self.faults(self.found(self.RUNS))], [0, 0])
        self.assertEqual(self.faults(self.found(self.STOPPED)), 1)

    def test_answered(self) -> None:
        self.journal.answered(self.KEY, self.RUNS)
        self.assertEqual([self.faults(self.found()), self.faults(self.found(self.RUNS))], [1, 0])
        self.journal.ask({self.KEY: self.STOPPED})
        self.assertEqual([self.faults(self.found(s)) for s in (self.RUNS, self.STOPPED)], [0, 0])
        self.assertEqual(self.faults(self.found()), 1)

    def test_found_out(self) -> None:
        self.journal.found_out(self.KEY, present=True)
        self.assertEqual([self.faults(self.found()), self.faults(self.found(self.RUNS))], [1, 0])
        self.journal.ask({self.KEY: None})
        self.journal.found_out(self.KEY, present=False)
        self.assertEqual([self.faults(self.found()), self.faults(self.found(self.RUNS))], [0, 1])

    def test_refused(self) -> None:
        self.journal.refused(self.KEY)
        self.assertEqual([self.faults(self.found()), self.faults(self.found(self.RUNS))], [0, 1])

    def test_not_lasting(self) -> None:
        fleeting = TorrentState("/root", "sparse", stopped=False, lasting=False)
        self.journal.answered(self.KEY, fleeting)
        self.assertEqual([self.faults(self.found()), self.faults(self.found(fleeting))], [0, 1])

    def test_unknown_torrent(self) -> None:
        self.journal.refused(self.KEY)
        self.assertEqual(self.faults(Found({"s": (1, 2)}, {"s": {"b" * 40: self.RUNS}})), 1)

    def test_sessions(self) -> None:
        nothing = Found({}, {})
        self.assertEqual(self.faults(nothing), 1)
        self.journal.ask_deletion("s")
        self.assertEqual([self.faults(nothing), self.faults(self.found(self.RUNS))], [0, 0])
        extra = Found({"s": (1, 2), "t": (3, 4)}, {"s": {}, "t": {}})
        self.assertEqual(self.faults(extra), 1)
        self.journal.ask_session((3, 4))
        self.assertEqual(self.faults(extra), 0)

    def test_complete(self) -> None:
        """A list that was asked for before a change says nothing of what is there after it."""
        self.journal.answered(self.KEY, self.RUNS)
        before = self.journal.versions()
        self.journal.ask({self.KEY: None})
        self.journal.answered(self.KEY, None)
        self.journal.ask({self.KEY: self.RUNS})
        self.journal.answered(self.KEY, self.RUNS)
        self.journal.saw_complete([self.KEY], before)
        self.assertFalse(self.journal.is_complete(self.KEY))
        self.journal.saw_complete([self.KEY], self.journal.versions())
        self.assertEqual(self.journal.complete(before=float("inf")), {self.KEY})
        self.journal.ask({self.KEY: None})
        self.journal.saw_complete([self.KEY], self.journal.versions())
        self.journal.answered(self.KEY, None)
        self.assertFalse(self.journal.is_complete(self.KEY))
