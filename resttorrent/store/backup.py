"""
A whole copy of the state database, made while the daemon works on it.

SQLite's backup API copies page by page, here from one read transaction of a connection of its own, in a
thread of its own. Commits go on beside it: in WAL mode a reader is in nobody's way, and the copy shows the
moment at which it was begun. On the store's thread each commit would wait for a step, and all of them for the
flush of the copy at its end.

Source: https://www.sqlite.org/backup.html, https://www.sqlite.org/isolation.html
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from ..errors import EngineError, StateDiskFull, StateIsMemoryOnly, Stopping, TooMany
from .migrate import sync_path
from .statelock import create_private_file, make_private_directory
from .trouble import answer_for

FOLDER = "backups"
PAGES = 256
"""Pages that are copied at a stretch."""
SPARE = 4 * 1024 * 1024
"""Bytes that a copy must leave free on the disk: the daemon itself has to go on writing there."""


class Reactor(Protocol):
    """What is needed of Twisted's reactor."""

    def callFromThread(self, callable: Callable[..., object], *args: object) -> object: ...


@dataclass(frozen=True, slots=True)
class Copy:
    """A finished copy; ``size`` in bytes."""

    path: Path
    size: int


class Backups:
    """
    Makes copies, one at a time, below the state directory.

    :param database: the database; ``None`` if all is kept in memory.
    """

    def __init__(self, reactor: Reactor, database: Path | None) -> None:
        self._reactor = reactor
        self._database = database
        self._stopping = Event()
        self._running: Thread | None = None
        self._waiting: list[Deferred[None]] = []

    def make(self, now: datetime) -> "Deferred[Copy]":
        """
        Copy the database as it is now, to ``backups/state-<UTC time>.db``.

        Fails with StateIsMemoryOnly, with TooMany while another copy is made, with StateDiskFull if it would
        not fit, with EngineError for any other trouble of the disk, and with Stopping.

        :param now: UTC, for the name.
        """
        if self._database is None:
            return fail(StateIsMemoryOnly("the daemon keeps its state in memory: there is nothing to copy"))
        if self._stopping.is_set():
            return fail(Stopping("the daemon is stopping"))
        if self._running is not None:
            return fail(TooMany("a backup is being made already"))
        made: Deferred[Copy] = Deferred()
        self._running = Thread(
            target=self._work, args=(self._database, now, made), name="backup", daemon=True
        )
        self._running.start()
        return made

    async def stop(self) -> None:
        """Break a copy off, and wait until its thread has let go of the database."""
        self._stopping.set()
        if self._running is not None:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            await waiter

    def _finished(self, made: "Deferred[Copy]", outcome: Copy | Failure) -> None:
        self._running = None
        if isinstance(outcome, Failure):
            made.errback(outcome)
        else:
            made.callback(outcome)
        while self._waiting:
            self._waiting.pop().callback(None)

    def _work(self, database: Path, now: datetime, made: "Deferred[Copy]") -> None:
        """Runs in the thread."""
        outcome: Copy | Failure
        try:
            outcome = copy_database(database, now, self._go_on)
        except Exception as error:
            outcome = Failure(answer_for(error))
        self._reactor.callFromThread(self._finished, made, outcome)

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise Stopping("the daemon is stopping")


def copy_database(database: Path, now: datetime, go_on: Callable[[], None]) -> Copy:
    """
    Copy a database that others may be writing to; nothing is left of a copy that fails.

    :param go_on: called every few pages; what it raises breaks the copy off.
    :raises StateDiskFull, EngineError, sqlite3.Error, OSError: there is no copy.
    """
    folder = database.with_name(FOLDER)
    make_private_directory(folder)
    for left in folder.glob("*.draft"):
        left.unlink()
    _demand_room(database, folder)
    target = folder / f"{database.stem}-{now:%Y%m%dT%H%M%S.%fZ}{database.suffix}"
    draft = target.with_name(f"{target.name}.draft")
    try:
        create_private_file(draft)
        _copy_pages(database, draft, go_on)
        sync_path(draft)
        draft.rename(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_path(folder)
    return Copy(target, target.stat().st_size)


def _demand_room(database: Path, folder: Path) -> None:
    wal = database.with_name(f"{database.name}-wal")
    needed = database.stat().st_size + (wal.stat().st_size if wal.exists() else 0) + SPARE
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise StateDiskFull(f"a backup needs {needed} bytes of room, there are {free}; nothing was changed")


def _copy_pages(database: Path, draft: Path, go_on: Callable[[], None]) -> None:
    def progress(_status: int, _remaining: int, _total: int) -> None:
        go_on()

    with (
        closing(sqlite3.connect(database, isolation_level=None)) as source,
        closing(sqlite3.connect(draft, isolation_level=None)) as copy,
    ):
        source.execute("PRAGMA query_only = ON")
        # synced as a whole at the end; a draft that a crash leaves is nobody's
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("PRAGMA journal_mode = OFF")
        source.execute("BEGIN")
        # only a read takes the snapshot, without which each commit would start the copy anew
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        source.backup(copy, pages=PAGES, progress=progress)
        # one file, that needs no log beside it
        copy.execute("PRAGMA journal_mode = DELETE")
        if copy.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise EngineError("the copy was not sound and was thrown away; is the database damaged?")
