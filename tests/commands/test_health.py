"""/health: degraded with a reason while requests are served, 503 only where they are not."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access.principals import OWNER, STRANGER
from resttorrent.commands.daemon import get_about, get_health
from resttorrent.commands.health import STUCK, Health
from resttorrent.engine.engine import Reason
from resttorrent.errors import Unhealthy
from resttorrent.turns import TurnMeter


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.question = self.waiting = 0.0
        self.engine_reasons: list[Reason] = []
        self.engine: Any = SimpleNamespace(
            is_listed=True,
            reasons=lambda: self.engine_reasons,
            oldest_question=lambda: self.question,
            loading=3,
        )
        self.store: Any = SimpleNamespace(degraded=None, oldest_waiting=self.oldest_waiting)
        engine: Any = self.engine
        store: Any = self.store
        self.health = Health(engine, store, TurnMeter(lambda: 0.0), lambda: 100.0)
        self.context: Any = SimpleNamespace(
            health=self.health, engine=self.engine, seconds=lambda: 100.9, started=90.0, principal=OWNER
        )

    def oldest_waiting(self, now: float) -> float:
        self.assertEqual(now, 100.0)
        return self.waiting

    def ask(self) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(get_health.run(self.context, [])))

    def codes(self) -> list[str]:
        answer = self.ask()
        self.assertEqual(answer.health, "degraded")
        return [reason.code for reason in answer.reasons]

    def refused(self) -> str:
        asked = Deferred.fromCoroutine(get_health.run(self.context, []))
        error = self.failureResultOf(asked, Unhealthy).value
        self.assertEqual(error.http_status, 503)
        return str(error)

    def test_well(self) -> None:
        answer = self.ask()
        self.assertEqual((answer.status, answer.health, answer.reasons), ("success", "ok", []))
        self.assertEqual(answer.lag["long_turns"], 0)

    def test_degraded(self) -> None:
        self.engine_reasons.append(Reason("session_not_listening", "x"))
        self.health.remember(Reason("database_set_aside", "y"))
        for word in ("state_disk_full", "state_disk_error", "state_database_damaged"):
            self.store.degraded = word
            self.assertEqual(self.codes(), ["database_set_aside", "session_not_listening", word])

    def test_starting(self) -> None:
        self.engine.is_listed = False
        self.assertIn("reading its state", self.refused())

    def test_stopping(self) -> None:
        self.health.stopping = True
        self.assertIn("stopping", self.refused())

    def test_stuck(self) -> None:
        self.waiting = self.question = STUCK
        self.ask()
        self.waiting = STUCK + 1
        self.assertIn("store", self.refused())
        self.waiting, self.question = 0.0, STUCK + 1
        self.assertIn("libtorrent", self.refused())

    def test_refusals(self) -> None:
        """Those who may read are told whom each door turned away; strangers are not."""
        self.assertEqual(self.ask().refusals, {})
        self.health.watch_refusals("http", lambda: Counter({429: 2, "slow": 1}))
        self.assertEqual(self.ask().refusals, {"http": {"429": 2, "slow": 1}})
        self.context.principal = STRANGER
        self.assertEqual((self.ask().refusals, self.ask().lag), (UNSET, UNSET))

    def test_about(self) -> None:
        answer = self.successResultOf(Deferred.fromCoroutine(get_about.run(self.context, [])))
        self.assertEqual((answer.uptime, answer.loading, answer.name), (10, 3, "RestTorrent"))
