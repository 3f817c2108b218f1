"""The plain values that sessions are made of, and what all of them share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..paths import Roots
from ..store.records import SessionRecord
from ..store.store import Store
from .eventlog import EventLog
from .metainfo import Metainfo
from .pace import Pace
from .table import Counter
from .web_seeds import WebSeeds

_LOOPBACK = ("127.", "::1")


@dataclass(frozen=True, slots=True)
class Shared:
    """
    What all sessions of a daemon share.

    :ivar now: gives epoch seconds; :ivar log: the event log; :ivar web_seeds: which of them may be used.
    """

    reactor: Any
    store: Store
    revisions: Counter
    roots: Roots
    pace: Pace
    now: Callable[[], float]
    log: EventLog
    web_seeds: WebSeeds = field(default_factory=WebSeeds)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """
    What a session was created with.

    :ivar port_range: (first, last), both included.
    :ivar interfaces: addresses or devices for peers; empty means all.
    :ivar memory_only: gone when the daemon stops.
    """

    id: str
    port_range: tuple[int, int]
    interfaces: tuple[str, ...]
    discovery: bool
    memory_only: bool

    @classmethod
    def of_record(cls, record: SessionRecord) -> "SessionOptions":
        """The options of a session that the store remembers."""
        return cls(
            id=record.id,
            port_range=record.port_range,
            interfaces=record.interfaces,
            discovery=record.discovery,
            memory_only=False,
        )

    def record(self, port: int | None) -> SessionRecord:
        """What the store is to remember; ``port`` is the one bound."""
        return SessionRecord(
            id=self.id,
            port_range=self.port_range,
            port=port,
            interfaces=self.interfaces,
            discovery=self.discovery,
        )

    @property
    def loopback(self) -> bool:
        """Whether peers are served on loopback alone."""
        return bool(self.interfaces) and all(i.startswith(_LOOPBACK) or i == "lo" for i in self.interfaces)


@dataclass(frozen=True, slots=True)
class Addition:
    """A torrent to be added, and how; ``save_path`` is confined already."""

    metainfo: Metainfo
    save_path: str
    storage_mode: str
    stopped: bool
    memory_only: bool
