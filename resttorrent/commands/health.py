"""Whether the daemon is well, and why not."""

from collections.abc import Callable, Mapping
from typing import Any

from ..engine.engine import Engine, Reason
from ..store.store import Store
from ..turns import TurnMeter

STUCK = 30.0
"""Seconds without an answer after which the store's thread or libtorrent counts as stuck."""

_STORE_MESSAGES = {
    "state_disk_full": "the state disk is full: nothing can be added until there is room",
    "state_disk_error": "the state disk reports errors",
    "state_database_damaged": "the state database is damaged",
}


class Health:
    """
    Looks at the parts of the daemon.

    :param seconds: the reactor's time.
    """

    def __init__(self, engine: Engine, store: Store, meter: TurnMeter, seconds: Callable[[], float]) -> None:
        self._engine = engine
        self._store = store
        self._meter = meter
        self._seconds = seconds
        self._lasting: list[Reason] = []
        self._refusals: dict[str, Callable[[], Mapping[Any, int]]] = {}
        self.stopping = False

    def remember(self, reason: Reason) -> None:
        """Something that stays true for as long as the daemon runs."""
        self._lasting.append(reason)

    def watch_refusals(self, door: str, counts: Callable[[], Mapping[Any, int]]) -> None:
        """Tell of those whom a door turned away, by why."""
        self._refusals[door] = counts

    def refusals(self) -> dict[str, dict[str, int]]:
        """How many each door has turned away since the start, by why."""
        return {door: {str(why): n for why, n in counts().items()} for door, counts in self._refusals.items()}

    def is_serving(self) -> bool:
        """Whether requests are served: not while starting or stopping, nor while something is stuck."""
        return self._engine.is_listed and not self.stopping and not self._stuck()

    def reasons(self) -> list[Reason]:
        """Everything that is not as it should be."""
        reasons = [*self._lasting, *self._engine.reasons(), *self._stuck()]
        if self.stopping:
            reasons.append(Reason("stopping", "the daemon is stopping"))
        elif not self._engine.is_listed:
            reasons.append(Reason("starting", "the daemon is reading its state"))
        if word := self._store.degraded:
            reasons.append(Reason(word, _STORE_MESSAGES.get(word, word)))
        return reasons

    def _stuck(self) -> list[Reason]:
        reasons = []
        if self._store.oldest_waiting(self._seconds()) > STUCK:
            reasons.append(Reason("store_stuck", f"the store has not answered for {STUCK:.0f} s"))
        if self._engine.oldest_question() > STUCK:
            reasons.append(Reason("alerts_stuck", f"libtorrent has not answered for {STUCK:.0f} s"))
        return reasons

    def lag(self) -> dict[str, Any]:
        """How long the reactor's turns last."""
        return self._meter.summary()
