"""The database on its own thread's side, with time as a number: upkeep, full disks, failing disks, exits."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import EngineError, StateDiskFull
from resttorrent.store import statements
from resttorrent.store.database import RETRY_AFTER, Database, OpenReport
from resttorrent.store.group import Task
from resttorrent.store.refusals import StateDirInUse, StateDirUnusable
from tests.store.support import SESSION, infohash, session_record, torrent_record


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
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["lock", "state.db"])
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
        self.assertEqual(modes, dict.fromkeys(["lock", "state.db", "state.db-wal", "state.db-shm"], 0o600))
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


class FullDiskTests(DatabaseCase):
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
        self.run_write(add, record, b"m" * 90_000)
        self.database.tick()
        self.assertIsNone(self.database.degraded)
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
