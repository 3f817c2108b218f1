"""The database on its own thread's side, with time as a number: upkeep, full disks, failing disks, exits."""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import EngineError, StateDiskFull
from resttorrent.store import statements
from resttorrent.store.ballast import BALLAST_NAME, BALLAST_SIZE, Ballast
from resttorrent.store.database import RETRY_AFTER, Database, OpenReport
from resttorrent.store.group import Task
from resttorrent.store.refusals import StateDirInUse, StateDirUnusable
from tests.store.support import SESSION, infohash, session_record, torrent_record

MADE = ("ballast", "lock", "state.db", "state.db-wal", "state.db-shm")


class DatabaseCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.now = 100.0
        self.syncs = 0
        self.sync_error: OSError | None = None
        self.database = self.make()
        self.addCleanup(lambda: self.database.close(False))

    def make(self) -> Database:
        return Database(self.folder, "normal", lambda: self.now, self.sync)

    def sync(self, fd: int) -> None:
        self.syncs += 1
        if self.sync_error is not None:
            raise self.sync_error

    def run_write(self, call: Callable[..., Any], *args: Any) -> Any:
        task = Task(call, args)
        self.database.write([task])
        if task.error is not None:
            raise task.error
        return task.result

    def run_read(self, call: Callable[..., Any], *args: Any) -> Any:
        task = Task(call, args)
        self.database.read(task)
        if task.error is not None:
            raise task.error
        return task.result

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.database.tick()


class ExitTests(DatabaseCase):
    def reopened(self, clean: bool | None) -> OpenReport:
        """Close, or die (the lock's descriptor and the connection go with the process), and open again."""
        if clean is None:
            self.database._release()
        else:
            self.database.close(clean)
        self.database = self.make()
        return self.database.open()

    def test_clean(self) -> None:
        self.assertEqual(self.database.open(), OpenReport(None, True))
        self.assertEqual(self.reopened(True), OpenReport(None, True))
        self.assertEqual(self.reopened(False), OpenReport(None, False))
        self.assertEqual(self.reopened(True), OpenReport(None, True))
        self.assertEqual(self.reopened(None), OpenReport(None, False))

    def test_nothing_left_beside(self) -> None:
        self.database.open()
        self.database.close(True)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["ballast", "lock", "state.db"])
        self.database.open()

    def test_set_aside_is_not_clean(self) -> None:
        self.folder.mkdir()
        (self.folder / "state.db").write_bytes(b"garbage")
        report = self.database.open()
        self.assertFalse(report.clean)
        assert report.set_aside is not None
        self.assertEqual(report.set_aside.read_bytes(), b"garbage")

    def test_private_under_any_umask(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.database.open()
        self.run_write(statements.set_setting, "name", "value")
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.folder.iterdir()}
        self.assertEqual(modes, dict.fromkeys(MADE, 0o600))
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)

    def test_refused_start_lets_go(self) -> None:
        self.folder.mkdir()
        (self.folder / "state.db").mkdir()
        self.assertRaises(StateDirUnusable, self.database.open)
        (self.folder / "state.db").rmdir()
        self.database.open()

    def test_locked(self) -> None:
        self.database.open()
        self.assertRaises(StateDirInUse, self.make().open)
        self.run_write(statements.set_setting, "name", "still served")


class UpkeepTests(DatabaseCase):
    def setUp(self) -> None:
        super().setUp()
        self.database.open()
        self.pass_time(1)
        self.syncs = 0

    def test_idle(self) -> None:
        self.assertIsNone(self.database.pause())
        self.pass_time(3600)
        self.assertEqual(self.syncs, 0)

    def test_flushed_within_a_second(self) -> None:
        self.run_write(statements.set_setting, "name", "value")
        pause = self.database.pause()
        assert pause is not None
        self.assertLess(pause, 1.0)
        self.pass_time(pause)
        self.assertEqual(self.syncs, 1)
        self.assertIsNone(self.database.pause())

    def test_reads_dirty_nothing(self) -> None:
        self.assertIsNone(self.run_read(statements.setting, "name"))
        self.assertIsNone(self.database.pause())

    def test_failed_flush(self) -> None:
        """What was acknowledged gets to the disk another way; the store is degraded until a write held."""
        self.run_write(statements.set_setting, "name", "value")
        self.sync_error = OSError(5, "Input/output error")
        self.pass_time(1)
        self.assertEqual(self.database.degraded, "state_disk_error")
        self.assertEqual((self.folder / "state.db-wal").stat().st_size, 0)
        self.assertEqual(self.run_read(statements.setting, "name"), "value")
        self.sync_error = None
        self.pass_time(RETRY_AFTER)
        self.assertIsNone(self.database.degraded)
        self.run_write(statements.set_setting, "name", "other")
        self.pass_time(1)
        self.assertEqual(self.run_read(statements.setting, "name"), "other")

    def test_distrusted(self) -> None:
        """While the database can't be opened again no call is let in, and none hangs."""
        self.run_write(statements.set_setting, "name", "value")
        self.sync_error = OSError(5, "Input/output error")
        (self.folder / "state.db").rename(self.folder / "elsewhere")
        (self.folder / "state.db").mkdir()
        self.pass_time(1)
        error = self.assertRaises(EngineError, self.run_write, statements.set_setting, "name", "lost")
        self.assertIn("disk", error.message)
        self.assertRaises(EngineError, self.run_read, statements.setting, "name")
        self.pass_time(RETRY_AFTER)
        self.assertEqual(self.database.degraded, "state_disk_error")
        (self.folder / "state.db").rmdir()
        (self.folder / "elsewhere").rename(self.folder / "state.db")
        self.sync_error = None
        self.pass_time(RETRY_AFTER)
        self.assertIsNone(self.database.degraded)
        self.assertEqual(self.run_read(statements.setting, "name"), "value")


class FullDiskCase(DatabaseCase):
    def setUp(self) -> None:
        super().setUp()
        self.database.open()
        self.run_write(statements.add_session, session_record())

    def limit_pages(self, more: int) -> None:
        """SQLite's own limit raises the same error as a full disk."""

        def limit(connection: sqlite3.Connection) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + more}")

        self.run_read(limit)


class FullDiskTests(FullDiskCase):
    def test_all_of_the_group_fail(self) -> None:
        self.limit_pages(4)
        tasks = [Task(statements.add_torrent, (torrent_record(i), b"m" * 9000)) for i in range(5)]
        self.database.write(tasks)
        for task in tasks:
            self.assertIsInstance(task.error, StateDiskFull)
        self.assertEqual(self.database.degraded, "state_disk_full")
        self.assertEqual(self.run_read(statements.torrents, SESSION), [])

    def test_heals(self) -> None:
        self.limit_pages(4)
        record = torrent_record()
        add = statements.add_torrent
        self.assertRaises(StateDiskFull, self.run_write, add, record, b"m" * 90_000)
        self.pass_time(RETRY_AFTER)
        self.assertEqual(self.database.degraded, "state_disk_full")
        self.limit_pages(10_000)
        self.pass_time(RETRY_AFTER)
        self.assertIsNone(self.database.degraded)
        self.run_write(add, record, b"m" * 90_000)
        blobs = self.run_read(statements.blobs, SESSION, [infohash(1)])
        self.assertEqual(blobs[infohash(1)].metainfo, b"m" * 90_000)

    def test_heals_without_writes(self) -> None:
        self.limit_pages(4)
        add = statements.add_torrent
        self.assertRaises(StateDiskFull, self.run_write, add, torrent_record(), b"m" * 90_000)
        self.limit_pages(10_000)
        pause = self.database.pause()
        assert pause is not None
        self.pass_time(RETRY_AFTER)
        self.assertIsNone(self.database.degraded)
        self.assertIsNone(self.run_read(statements.setting, "store.probe"))


class BallastTests(FullDiskCase):
    """A disk that has room for the ballast or for nothing: SQLite's limit goes up when the ballast goes."""

    def setUp(self) -> None:
        super().setUp()
        self.ballast = self.folder / BALLAST_NAME
        self.run_write(statements.add_torrent, torrent_record(1), b"m" * 9000)

    def fill(self) -> None:
        """No room for the ballast either, once it is given up."""
        self.limit_pages(0)
        give_up, limit = Ballast.give_up, self.limit_pages

        def making_room(ballast: Ballast) -> bool:
            limit(100)
            return give_up(ballast)

        self.patch(Ballast, "give_up", making_room)
        self.patch(os, "posix_fallocate", no_room)

    def test_allocated(self) -> None:
        status = self.ballast.stat()
        self.assertEqual(status.st_size, BALLAST_SIZE)
        self.assertGreaterEqual(status.st_blocks * 512, BALLAST_SIZE)

    def test_what_goes_is_written(self) -> None:
        self.fill()
        tasks = [
            Task(statements.add_torrent, (torrent_record(2), b"m" * 9000)),
            Task(statements.remove_torrent, (SESSION, infohash(1), None)),
            Task(statements.set_setting, ("mark", "x" * 9000)),
        ]
        self.database.write(tasks)
        self.assertIsInstance(tasks[0].error, StateDiskFull)
        self.assertEqual([tasks[1].error, tasks[2].error], [None, None])
        self.assertFalse(self.ballast.exists())
        self.assertEqual(self.database.degraded, "state_disk_full")
        self.assertEqual(self.run_read(statements.torrents, SESSION), [])
        self.assertEqual(self.run_read(statements.setting, "mark"), "x" * 9000)

    def test_what_is_left_is_for_what_goes(self) -> None:
        self.fill()
        self.refused(2)
        # there would be room for it now
        self.refused(2)
        self.run_write(statements.set_stopped, SESSION, infohash(1), False, None)
        self.pass_time(RETRY_AFTER)
        self.assertEqual(self.database.degraded, "state_disk_full")
        self.run_write(statements.delete_session, SESSION)
        self.assertEqual(self.run_read(statements.sessions), [])

    def refused(self, number: int) -> None:
        add = statements.add_torrent
        self.assertRaises(StateDiskFull, self.run_write, add, torrent_record(number), b"m" * 9000)

    def test_made_again(self) -> None:
        self.fill()
        self.refused(2)
        self.patch(os, "posix_fallocate", POSIX_FALLOCATE)
        self.pass_time(RETRY_AFTER)
        self.assertIsNone(self.database.degraded)
        self.test_allocated()
        self.run_write(statements.add_torrent, torrent_record(2), b"m" * 9000)

    def refuse_while_it_is_there(self) -> None:
        """Marks can't be written before the ballast has gone."""
        write = statements.set_setting

        def refusing(connection: sqlite3.Connection, name: str, value: str) -> None:
            if self.ballast.exists():
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            write(connection, name, value)

        self.patch(statements, "set_setting", refusing)

    def test_orderly_exit_on_a_full_disk(self) -> None:
        self.refuse_while_it_is_there()
        self.database.close(True)
        self.database = self.make()
        self.assertTrue(self.database.open().clean)

    def test_start_on_a_full_disk(self) -> None:
        self.database.close(True)
        self.refuse_while_it_is_there()
        self.database = self.make()
        self.assertTrue(self.database.open().clean)
        self.assertEqual(self.database.degraded, "state_disk_full")
        self.database._release()
        self.database = self.make()
        self.assertFalse(self.database.open().clean, "a start that was no clean end is remembered")

    def test_start_without_room(self) -> None:
        """What is there can be read and removed; nothing is begun that could not be ended."""
        self.database.close(True)
        self.ballast.unlink()
        self.patch(os, "posix_fallocate", no_room)
        self.database = self.make()
        self.database.open()
        self.assertEqual(self.database.degraded, "state_disk_full")
        self.assertFalse(self.ballast.exists())
        self.refused(2)
        self.run_write(statements.remove_torrent, SESSION, infohash(1), None)

    def test_file_system_that_reserves_nothing(self) -> None:
        self.database.close(True)
        self.ballast.unlink()
        self.patch(os, "posix_fallocate", not_supported)
        self.database = self.make()
        self.database.open()
        self.test_allocated()

    def test_none_in_memory(self) -> None:
        database = Database(None, "normal", lambda: self.now)
        database.open()
        database.close(True)
        self.assertEqual(len(list(self.folder.parent.rglob(BALLAST_NAME))), 1)


POSIX_FALLOCATE = os.posix_fallocate


def no_room(fd: int, offset: int, length: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def not_supported(fd: int, offset: int, length: int) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


class DamageAtRunTimeTests(DatabaseCase):
    def test_error_of_the_call(self) -> None:
        self.database.open()
        self.run_write(statements.add_session, session_record())
        for number in range(20):
            self.run_write(statements.add_torrent, torrent_record(number), b"m" * 20_000)
        self.database.close(True)
        self.database = self.make()
        self.database.open()
        page = self.run_read(root_page, "metainfo")
        with (self.folder / "state.db").open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xa5" * 4096)
        error = self.assertRaises(EngineError, self.run_read, statements.blobs, SESSION, [infohash(1)])
        self.assertIn("damaged", error.message)
        self.assertIsInstance(error.__cause__, sqlite3.DatabaseError)
        self.assertEqual(self.database.degraded, "state_database_damaged")
        self.run_write(statements.set_setting, "name", "value")
        self.assertEqual(self.run_read(statements.setting, "name"), "value")
        self.pass_time(RETRY_AFTER)
        self.assertEqual(self.database.degraded, "state_database_damaged")


def root_page(connection: sqlite3.Connection, table: str) -> int:
    query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    return int(connection.execute(query, (table,)).fetchone()[0])
