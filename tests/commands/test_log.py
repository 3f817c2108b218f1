"""GET /v1/log: pages, filters, gaps, and a wait that leaves nothing behind."""

import json
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.commands.events import LogAnswer, get_log
from resttorrent.engine.eventlog import EventLog
from resttorrent.errors import BadParameter

FIRST = 1000


class LogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log = EventLog(self.clock, lambda: 0.0)
        self.log.begin(FIRST)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def add(self, *texts: str, **values: Any) -> None:
        for text in texts:
            self.log.add("torrent_added", text, **values)

    def begin(self, **parameters: Any) -> "Deferred[LogAnswer]":
        async def ready() -> None:
            pass

        ctx = SimpleNamespace(engine=SimpleNamespace(log=self.log, ready=ready))
        return Deferred.fromCoroutine(get_log.run(ctx, list(parameters.items())))

    def ask(self, **parameters: Any) -> tuple[str, int, bool]:
        """The messages in one word, ``rev`` after the first id, and whether there is a gap."""
        return self.told(self.successResultOf(self.begin(**parameters)))

    def told(self, answer: LogAnswer) -> tuple[str, int, bool]:
        entries = json.loads(bytes(answer.entries))
        return "".join(e["message"] for e in entries), answer.rev - FIRST, answer.gap

    def test_last_entries(self) -> None:
        self.assertEqual(self.ask(), ("", 0, False))
        self.add(*"abcde")
        self.assertEqual(self.ask(), ("abcde", 5, False))
        self.assertEqual(self.ask(limit=2), ("de", 5, False))

    def test_since(self) -> None:
        self.add(*"abcde")
        self.assertEqual(self.ask(since=FIRST + 3), ("de", 5, False))
        self.assertEqual(self.ask(since=FIRST + 5), ("", 5, False))
        self.assertEqual(self.ask(since=FIRST, limit=2), ("ab", 2, False))
        self.assertEqual(self.ask(since=FIRST + 2, limit=2), ("cd", 4, False))

    def test_gap(self) -> None:
        self.add(*"ab")
        self.assertEqual(self.ask(since=1), ("ab", 2, True))
        self.assertEqual(self.ask(since=FIRST + 3, wait=60), ("ab", 2, True))

    def test_filters(self) -> None:
        self.add("a", session_id="ab")
        self.add("b", level="error")
        self.add("c", session_id="ab", level="warning")
        self.assertEqual(self.ask(session_id="AB"), ("ac", 3, False))
        self.assertEqual(self.ask(level="warning"), ("bc", 3, False))
        self.assertEqual(self.ask(level="error", session_id="ab"), ("", 3, False))

    def test_bad_parameters(self) -> None:
        for name, parameters in (
            ("wait", {"wait": 1}),
            ("level", {"level": "debug"}),
            ("limit", {"limit": 0}),
            ("limit", {"limit": 10_001}),
            ("since", {"since": -1}),
        ):
            error = self.failureResultOf(self.begin(**parameters), BadParameter).value
            self.assertEqual(error.field, name)

    # -- waiting ---------------------------------------------------------

    def test_wait(self) -> None:
        waiting = self.begin(since=FIRST, wait=30)
        self.clock.advance(10)
        self.assertNoResult(waiting)
        self.add("a", "b")
        self.clock.advance(0)
        self.assertEqual(self.told(self.successResultOf(waiting)), ("ab", 2, False))

    def test_nothing_comes(self) -> None:
        waiting = self.begin(since=FIRST, wait=30)
        self.clock.advance(29.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        self.assertEqual(self.told(self.successResultOf(waiting)), ("", 0, False))

    def test_entries_that_do_not_fit(self) -> None:
        """They don't end the wait, nor prolong it."""
        waiting = self.begin(since=FIRST, wait=30, level="error")
        self.add("a")
        self.clock.advance(20)
        self.add("b")
        self.clock.advance(9)
        self.assertNoResult(waiting)
        self.clock.advance(1)
        self.assertEqual(self.told(self.successResultOf(waiting)), ("", 2, False))

    def test_client_gone(self) -> None:
        waiting = self.begin(since=FIRST, wait=30)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.add("a")
