"""What the engine's tests share: an engine in this process, on a store that can be held up or fail."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import libtorrent as lt
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from resttorrent.engine.engine import Engine
from resttorrent.engine.eventlog import EventLog
from resttorrent.engine.metainfo import Metainfo, load_file, load_magnet
from resttorrent.engine.pace import Pace
from resttorrent.engine.session import Session
from resttorrent.engine.shared import Addition, Shared
from resttorrent.engine.torrent import Torrent
from resttorrent.paths import Roots
from resttorrent.store.records import Deletion, TorrentRecord
from resttorrent.store.revisions import Revisions
from resttorrent.store.store import Store
from resttorrent.turns import TurnMeter
from tests.harness import FIRST_PORT, tiny_torrent

LONG = 9.0
"""Seconds from which on a timer belongs to the test's clock."""


class Timers:
    """The real reactor, but for timers of ``LONG`` seconds and more: those go by ``clock``."""

    def __init__(self) -> None:
        self.clock = Clock()

    def callLater(self, delay: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        chosen: Any = self.clock if delay >= LONG else reactor
        return chosen.callLater(delay, function, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class TryingStore(Store):
    """
    A store in memory that tries its callers.

    :ivar failing: method names with the error that they fail with; nothing is written then.
    :ivar gates: method names with a Deferred that their answers wait for.
    :ivar calls: the names of the methods that were called.
    """

    def __init__(self) -> None:
        super().__init__(None, durability="normal", reactor=reactor)  # type: ignore[arg-type]
        self.failing: dict[str, Exception] = {}
        self.gates: dict[str, Deferred[None]] = {}
        self.calls: list[tuple[str, Any]] = []

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        if name.startswith("_") or name in ("open", "close", "failing", "gates", "calls", "oldest_waiting"):
            return method
        return (lambda *args: self._try(name, method, args)) if callable(method) else method

    def _try(self, name: str, method: Callable[..., "Deferred[Any]"], args: Any) -> "Deferred[Any]":
        self.calls.append((name, args))
        if name in self.failing:
            return fail(self.failing[name])
        answer = method(*args)
        if name in self.gates:
            gate: Deferred[None] = Deferred()
            self.gates[name].addCallback(lambda _: gate.callback(None))
            return gate.addCallback(lambda _: answer)
        return answer

    def count(self, name: str) -> int:
        return [called for called, _ in self.calls].count(name)


async def outcomes(work: Iterable[Any]) -> list[Any]:
    """Begin all these coroutines; what each comes to: its result, or the exception that it raised."""
    begun = [Deferred.fromCoroutine(one) for one in work]
    found: list[Any] = []
    for one in begun:
        try:
            found.append(await one)
        except Exception as error:
            found.append(error)
    return found


class EngineCase(TestCase):
    """A test with an engine on loopback; everything is closed at its end."""

    timeout = 60
    memory_only = False

    async def setUp(self) -> None:  # type: ignore[override]
        self.root = Path(self.mktemp()).resolve()
        self.root.mkdir(parents=True)
        self.timers = Timers()
        self.store = TryingStore()
        await self.store.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.store.close()))
        self.engine = self.make_engine()
        await self.engine.start(clean=True)

    def make_engine(self) -> Engine:
        revisions = Revisions(int(time.time() * 1_000_000), 0)
        real: Any = self.timers
        pace, log = Pace(real, TurnMeter()), EventLog(real, time.time)
        shared = Shared(real, self.store, revisions, Roots([self.root]), pace, time.time, log)
        engine = Engine(shared, interfaces=("127.0.0.1",), discovery=False)
        self.revived = False
        begin = engine._leftovers.begin

        def all_are_here(left: Iterable[Deletion]) -> None:
            begin(left)
            self.revived = True

        self.patch(engine._leftovers, "begin", all_are_here)
        self.addCleanup(lambda: Deferred.fromCoroutine(engine.stop()))
        return engine

    async def make_session(self, **changes: Any) -> Session:
        options: dict[str, Any] = {"port_range": (FIRST_PORT, 40000), "memory_only": self.memory_only}
        return await self.engine.create_session(**(options | changes))

    async def restart(
        self, *, clean: bool = True, alter: Callable[[], "Deferred[Any]"] | None = None
    ) -> Session:
        """Stop the engine and start another on the same store; its only session, not loaded yet."""
        await self.engine.stop()
        if alter is not None:
            await alter()
        self.engine = self.make_engine()
        await self.engine.start(clean=clean)
        (session,) = self.engine
        return session

    def addition(
        self,
        source: Metainfo | int | bytes | str,
        *,
        stopped: bool = True,
        memory_only: bool | None = None,
        save_path: str = ".",
    ) -> Addition:
        if isinstance(source, int):
            source = tiny_torrent(source)
        if isinstance(source, bytes):
            source = load_file(source)
        elif isinstance(source, str):
            source = load_magnet(source)
        return Addition(
            metainfo=source,
            save_path=str((self.root / save_path).resolve()),
            storage_mode="sparse",
            stopped=stopped,
            memory_only=self.memory_only if memory_only is None else memory_only,
        )

    async def add(self, session: Session, source: Metainfo | int | bytes | str, **changes: Any) -> Torrent:
        return await self.engine.add_torrent(session, self.addition(source, **changes))

    async def records(self, session: Session) -> list[TorrentRecord]:
        return await self.store.torrents(session.options.id)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until this is so; the test's own timeout ends it otherwise."""
        while not condition():
            await deferLater(reactor, 0.01)

    async def until_revived(self) -> None:
        """Wait until the restored sessions have been tried: what a leap of the clock would cut short."""
        await self.until(lambda: self.revived)

    async def until_loaded(self, session: Session) -> None:
        await self.until(lambda: not len(session.restorer.loader) and session.port is not None)
        await session.fresh()

    def state(self, session: Session, infohash: str) -> str:
        return str(session.table.value(infohash, "state"))

    async def libtorrents(self, session: Session) -> list[lt.torrent_handle]:
        """What libtorrent itself has."""
        return await session._link.worker.call(session._link.live.get_torrents)

    async def fails(self, awaitable: Any, error: type[Exception]) -> Exception:
        """The error that this must end with."""
        try:
            await awaitable
        except error as raised:
            return raised
        raise AssertionError(f"no {error.__name__}")
