"""
The database as the store's thread sees it: open, groups of writes, reads, upkeep, close.

All is synchronous and belongs to one thread; only ``degraded`` may be read from another. Upkeep (``tick``)
is the flush of the WAL, and getting well again: after a full disk or a disk error a small write is tried
every few seconds until it succeeds. After a disk error the connection is distrusted as well: Linux reports a
failed write-back once and then forgets it, so that the next fsync succeeds without the lost pages. It is
closed, opened, checked, and all of the WAL moved into the database, before any further call is let in.

A full disk costs the ballast, and what that leaves is for vital writes alone until it can be made again.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from resttorrent.errors import EngineError, StateDiskFull
from resttorrent.store import statements
from resttorrent.store.ballast import VITAL, Ballast
from resttorrent.store.flush import WalFile, WalFlush
from resttorrent.store.group import Task, run_group
from resttorrent.store.migrate import load_migrations
from resttorrent.store.opening import Durability, fold_wal, open_file, open_memory, reopen_file
from resttorrent.store.refusals import StateDirUnusable
from resttorrent.store.statelock import StateLock, make_private_directory
from resttorrent.store.trouble import Trouble, answer_for, answer_to, classify

DATABASE_NAME = "state.db"
# Seconds between two tries to write while the disk is full or failing.
RETRY_AFTER = 5.0
_CLEAN_MARK = "store.clean_exit"
_PROBE = "store.probe"
# Bytes; enough that the WAL must grow or the disk be asked, little enough not to be the one who fills it.
_PROBE_SIZE = 64 * 1024


@dataclass(frozen=True, slots=True)
class OpenReport:
    """
    What was found at the start.

    :ivar set_aside: where a damaged database was moved to, or ``None``.
    :ivar clean: the last exit was an orderly one (also: there was none before).
    """

    set_aside: Path | None
    clean: bool


class Database:
    """
    :param state_dir: ``None`` keeps all in memory, without a lock.
    :param monotonic: seconds; only differences count.
    :param fdatasync: flushes the WAL's descriptor; replaced in tests.
    """

    def __init__(
        self,
        state_dir: Path | None,
        durability: Durability,
        monotonic: Callable[[], float],
        fdatasync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self._path = None if state_dir is None else state_dir / DATABASE_NAME
        self._durability = durability
        self._monotonic = monotonic
        self._wal = None if self._path is None else WalFile(self._path, fdatasync)
        # FULL has SQLite flush at each commit; memory has nothing to flush.
        flushes = self._wal is not None and durability == "normal"
        self._flush = WalFlush(self._wal.sync) if self._wal is not None and flushes else None
        self._ballast = None if state_dir is None else Ballast(state_dir)
        self._lock: StateLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._why_shut: Exception | None = None
        self._trouble: Trouble | None = None
        self._retry_at: float | None = None

    @property
    def degraded(self) -> str | None:
        """A stable word for what is wrong, or ``None``."""
        trouble = self._trouble
        return None if trouble is None else trouble.value

    def open(self) -> OpenReport:
        """
        :raises StateDirInUse: another daemon is at work there.
        :raises StateDirUnusable, DatabaseTooNew: see ``opening``.
        """
        if self._path is None:
            self._connection = open_memory(load_migrations())
            return OpenReport(None, True)
        make_private_directory(self._path.parent)
        self._lock = StateLock(self._path.parent)
        try:
            return self._open_file(self._path)
        except BaseException as error:
            self._release()
            if isinstance(error, (sqlite3.Error, OSError)):
                raise StateDirUnusable(self._path.parent, str(error)) from error
            raise

    def _open_file(self, path: Path) -> OpenReport:
        now = datetime.now(UTC)
        fresh = not path.exists()
        self._connection, set_aside = open_file(path, load_migrations(), self._durability, now)
        clean = statements.setting(self._connection, _CLEAN_MARK) == "1" or (fresh and set_aside is None)
        if not self._mark_unclean(self._connection):
            # now that the ballast is gone
            self._mark_unclean(self._connection)
        self._committed()
        if self._trouble is None:
            self._hold_ballast()
        return OpenReport(set_aside, clean)

    def _mark_unclean(self, connection: sqlite3.Connection) -> bool:
        """A full disk stops no start: what is stored can be read, and the store says that it is degraded."""
        try:
            statements.set_setting(connection, _CLEAN_MARK, "0")
        except sqlite3.Error as error:
            if classify(error) is not Trouble.DISK_FULL:
                raise
            self._note(Trouble.DISK_FULL)
            return False
        return True

    def _hold_ballast(self) -> None:
        """:raises OSError: the disk fails; one without room for the ballast counts as full."""
        if self._ballast is not None:
            try:
                self._ballast.make()
            except OSError as error:
                if classify(error) is not Trouble.DISK_FULL:
                    raise
                self._note(Trouble.DISK_FULL)

    def write(self, tasks: Sequence[Task]) -> None:
        """Run a group of writes; each task has its result or error afterwards, and none was left out."""
        try:
            connection = self._usable()
        except EngineError as error:
            for task in tasks:
                task.error = error
            return
        tasks = self._admitted(tasks)
        if not tasks:
            return
        had_room = self._trouble is not Trouble.DISK_FULL
        all_well = run_group(connection, tasks)
        self._committed()
        if not all_well:
            self._judge(tasks)
            if had_room:
                self._write_vital_again(connection, tasks)
        elif self._trouble is Trouble.DISK_FULL and self._ballast is None:
            # There seems to be space again; the next tick finds out.
            self._retry_at = self._monotonic()

    def _admitted(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """All tasks; while the disk is full the vital ones, the others having failed."""
        if self._trouble is not Trouble.DISK_FULL or self._ballast is None:
            return tasks
        for task in tasks:
            if task.call not in VITAL:
                task.error = answer_to(Trouble.DISK_FULL)
        return [task for task in tasks if task.error is None]

    def _write_vital_again(self, connection: sqlite3.Connection, tasks: Sequence[Task]) -> None:
        """The disk has just turned out to be full, and the ballast made room."""
        vital = [task for task in tasks if isinstance(task.error, StateDiskFull) and task.call in VITAL]
        if not vital or self._ballast is None:
            return
        for task in vital:
            task.error = None
        if not run_group(connection, vital):
            self._judge(vital)
        self._committed()

    def read(self, task: Task) -> None:
        try:
            task.result = task.call(self._usable(), *task.args)
        except Exception as error:
            task.error = error
            self._judge((task,))

    def pause(self) -> float | None:
        """How many seconds from now ``tick`` has something to do; ``None``: not before another write."""
        deadlines = [self._retry_at, None if self._flush is None else self._flush.deadline]
        known = [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(known) - self._monotonic()) if known else None

    def tick(self) -> None:
        """The upkeep that is due; never raises for the disk's errors, they show in ``degraded``."""
        now = self._monotonic()
        if self._flush is not None:
            try:
                self._flush.tick(now)
            except OSError as error:
                self._note(classify(error) or Trouble.DISK_ERROR)
                self._distrust(error)
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = now + RETRY_AFTER
            self._try_again()

    def close(self, clean: bool) -> None:
        """
        Leave everything on the disk; the lock is released whatever happens.

        :raises sqlite3.Error, OSError, EngineError: something could not be written; the next start sees an
            unclean exit.
        """
        try:
            if self._path is not None:
                try:
                    self._settle(clean)
                except sqlite3.Error as error:
                    room = classify(error) is Trouble.DISK_FULL and self._ballast and self._ballast.give_up()
                    if not room:
                        raise
                    self._settle(clean)
        finally:
            self._release()

    def _settle(self, clean: bool) -> None:
        connection = self._usable()
        if clean:
            statements.set_setting(connection, _CLEAN_MARK, "1")
        # Says busy (a shell reads the database) in its row: the WAL then stays, which loses nothing.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if self._wal is not None:
            self._wal.sync()

    def _release(self) -> None:
        try:
            self._shut()
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _shut(self) -> None:
        if self._wal is not None:
            self._wal.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _usable(self) -> sqlite3.Connection:
        """:raises EngineError: the connection is distrusted, see ``degraded``."""
        if self._connection is None:
            why = EngineError(f"The disk that holds the daemon's state failed ({self._why_shut}).")
            raise why from self._why_shut
        return self._connection

    def _committed(self) -> None:
        if self._flush is not None:
            self._flush.committed(self._monotonic())

    def _judge(self, tasks: Sequence[Task]) -> None:
        """Turn raw errors into the callers' ones, and act on what they say about the disk."""
        errors = {id(task.error): task.error for task in tasks if task.error is not None}
        for task in tasks:
            if task.error is not None:
                task.error = answer_for(task.error)
        for error in errors.values():
            self._heed(error)

    def _heed(self, error: Exception) -> None:
        trouble = classify(error)
        if trouble is not None:
            self._note(trouble)
        if trouble is Trouble.DISK_ERROR:
            self._distrust(error)

    def _note(self, trouble: Trouble) -> None:
        """Damage stays noted until the next start sets the database aside: it doesn't heal."""
        if self._trouble is not Trouble.DAMAGED:
            self._trouble = trouble
            self._retry_at = None if trouble is Trouble.DAMAGED else self._monotonic() + RETRY_AFTER
        if trouble is Trouble.DISK_FULL and self._ballast is not None:
            self._ballast.give_up()

    def _distrust(self, error: Exception) -> None:
        if self._path is None:
            return
        self._shut()
        self._why_shut = error
        if self._flush is not None:
            self._flush.deadline = None
        self._reopen(self._path)

    def _reopen(self, path: Path) -> None:
        try:
            self._connection = reopen_file(path, self._durability)
        except (sqlite3.Error, OSError, StateDirUnusable) as error:
            self._why_shut = error

    def _try_again(self) -> None:
        if self._connection is None and self._path is not None:
            self._reopen(self._path)
        if self._connection is None:
            return
        try:
            # first, for the log may hold the ballast's room
            fold_wal(self._connection)
            if self._ballast is not None:
                self._ballast.make()
            _prove_writable(self._connection)
        except (sqlite3.Error, OSError) as error:
            self._heed(error)
        else:
            self._committed()
            self._trouble = self._retry_at = None


def _prove_writable(connection: sqlite3.Connection) -> None:
    """:raises sqlite3.Error: the disk is still full or failing."""
    # A start on a full disk could not write it.
    statements.set_setting(connection, _CLEAN_MARK, "0")
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, zeroblob(?))", (_PROBE, _PROBE_SIZE))
    connection.execute("DELETE FROM settings WHERE name = ?", (_PROBE,))
