"""A copy of the state while the daemon runs, and a daemon that starts on the copy."""

import os
import sqlite3
import tempfile
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from shutil import copy2, rmtree
from types import SimpleNamespace
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from resttorrent.errors import EngineError, StateDiskFull, StateIsMemoryOnly, Stopping, TooMany
from resttorrent.store.backup import Backups, copy_database
from resttorrent.store.migrate import load_migrations
from resttorrent.store.opening import open_file
from resttorrent.store.store import Store
from tests.harness import Daemon, tiny_torrent, until

NOW = datetime(2026, 11, 23, 12, 30, 15, 7, UTC)
NAME = "state-20261123T123015.000007Z.db"


def nothing() -> None:
    """Let the copy go on."""


class CopyCase(SynchronousTestCase):
    """A database of ours with two small tables of pairs that must always be equal."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="backup-"))
        self.addCleanup(rmtree, self.folder)
        self.database = self.folder / "state.db"
        self.connection, _ = open_file(self.database, load_migrations(), "normal", NOW)
        self.addCleanup(self.connection.close)
        self.connection.execute("CREATE TABLE bulk (content BLOB)")
        for _ in range(40):
            self.connection.execute("INSERT INTO bulk VALUES (randomblob(100000))")
        self.write("0")

    def write(self, value: str) -> None:
        """One transaction over two rows, far apart in the file."""
        self.connection.execute("BEGIN")
        for name in ("one", "other"):
            self.connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))
            self.connection.execute("INSERT INTO bulk VALUES (randomblob(50000))")
        self.connection.execute("COMMIT")

    def pair(self, path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT value FROM settings WHERE name IN ('one', 'other')")
            return [str(value) for (value,) in rows]

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "backups").iterdir())


class CopyTests(CopyCase):
    def test_copy(self) -> None:
        copy = copy_database(self.database, NOW, nothing)
        self.assertEqual(copy.path, self.folder / "backups" / NAME)
        self.assertEqual(copy.size, copy.path.stat().st_size)
        self.assertEqual(self.left(), [NAME])
        self.assertEqual(copy.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(copy.path.parent.stat().st_mode & 0o777, 0o700)
        self.assertEqual(self.pair(copy.path), ["0", "0"])

    def test_commits_go_on_and_the_copy_shows_one_moment(self) -> None:
        """Each step of the copy is followed by a commit; none of them waits, none shows half."""
        commits = 0

        def commit() -> None:
            nonlocal commits
            commits += 1
            self.write(str(commits))

        copy = copy_database(self.database, NOW, commit)
        self.assertGreater(commits, 3)
        # commits that start it anew would make it longer with each
        self.assertLess(commits, 40)
        self.assertEqual(self.pair(copy.path), ["0", "0"])
        self.assertEqual(self.pair(self.database), [str(commits)] * 2)

    def test_needs_no_log_beside_it(self) -> None:
        copy = copy_database(self.database, NOW, nothing)
        with closing(sqlite3.connect(copy.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("delete",))

    def test_nothing_is_left_of_one_that_fails(self) -> None:
        def stop() -> None:
            raise Stopping("x")

        with self.assertRaises(Stopping):
            copy_database(self.database, NOW, stop)
        self.assertEqual(self.left(), [])

    def test_draft_of_a_killed_daemon_goes(self) -> None:
        (self.folder / "backups").mkdir()
        (self.folder / "backups" / "state-1.db.draft").touch()
        copy_database(self.database, NOW, nothing)
        self.assertEqual(self.left(), [NAME])

    def test_disk_without_room(self) -> None:
        size = self.database.stat().st_size
        disk = SimpleNamespace(f_bavail=size // 4096, f_frsize=4096)
        with (
            mock.patch("os.statvfs", return_value=disk),
            self.assertRaisesRegex(StateDiskFull, "a backup needs"),
        ):
            copy_database(self.database, NOW, nothing)
        self.assertEqual(self.left(), [])

    def test_damaged_database_gives_no_copy(self) -> None:
        copy_database(self.database, NOW, nothing)
        page = 4096
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self.database.open("r+b") as file:
            file.seek(page * 3)
            file.write(os.urandom(page * 8))
        with self.assertRaises((EngineError, sqlite3.DatabaseError)):
            copy_database(self.database, NOW.replace(year=2027), nothing)
        self.assertEqual(self.left(), [NAME])


class FakeReactor:
    """Calls from the thread wait until the test lets them through."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.called = threading.Event()

    def callFromThread(self, callable: Any, *args: Any) -> None:
        self.calls.append((callable, *args))
        self.called.set()

    def let_through(self) -> None:
        assert self.called.wait(30)
        self.called.clear()
        for callable, *args in self.calls:
            callable(*args)
        self.calls.clear()


class BackupsTests(CopyCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()
        self.backups = Backups(self.reactor, self.database)

    def test_one_at_a_time(self) -> None:
        first = self.backups.make(NOW)
        self.failureResultOf(self.backups.make(NOW), TooMany)
        self.reactor.let_through()
        self.assertEqual(self.successResultOf(first).path.name, NAME)
        second = self.backups.make(NOW.replace(year=2027))
        self.reactor.let_through()
        self.successResultOf(second)
        self.assertEqual(len(self.left()), 2)

    def test_state_in_memory(self) -> None:
        self.failureResultOf(Backups(self.reactor, None).make(NOW), StateIsMemoryOnly)

    def test_stop(self) -> None:
        made = self.backups.make(NOW)
        stopped = Deferred.fromCoroutine(self.backups.stop())
        self.assertNoResult(stopped)
        self.reactor.let_through()
        self.successResultOf(stopped)
        made.addErrback(lambda failure: failure.trap(Stopping))
        self.successResultOf(made)
        self.failureResultOf(self.backups.make(NOW), Stopping)

    def test_disk_errors_are_the_contracts(self) -> None:
        with mock.patch("resttorrent.store.backup.sync_path", side_effect=OSError(28, "full")):
            made = self.backups.make(NOW)
            self.reactor.let_through()
        self.failureResultOf(made, StateDiskFull)
        self.assertEqual(self.left(), [])


class StoreTests(TestCase):
    """With the real store: writes of its thread while a copy is made, and a close in the middle."""

    async def test_close_waits_for_a_copy(self) -> None:
        from twisted.internet import reactor

        folder = Path(tempfile.mkdtemp(prefix="backup-"))
        self.addCleanup(rmtree, folder)
        store = Store(folder, durability="normal", reactor=reactor)  # type: ignore[arg-type]
        await store.open()
        await store.set_setting("bulk", "x" * 8_000_000)
        made = store.backups.make(NOW).addErrback(lambda failure: failure.trap(Stopping))
        await store.set_setting("name", "value")
        await store.close()
        self.assertTrue(made.called)
        self.assertEqual([path for path in (folder / "backups").iterdir() if path.suffix == ".draft"], [])


class RestoreTests(SynchronousTestCase):
    """As docs/operate.rst says it is done."""

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="restore-"))
        self.addCleanup(rmtree, self.home)

    def daemon(self, home: Path, *options: str) -> Daemon:
        daemon = Daemon(home, *options)
        self.addCleanup(self.end, daemon)
        return daemon

    def end(self, daemon: Daemon) -> None:
        if daemon.is_running:
            daemon.kill()

    def test_daemon_starts_on_the_copy(self) -> None:
        daemon = self.daemon(self.home / "one").start()
        client = daemon.client()
        self.addCleanup(client.close)
        session = client.session(memory_only=0)
        torrents = f"/v1/sessions/{session}/torrents"
        infohashes = set()
        for number in range(5):
            added = client.upload(torrents, tiny_torrent(number), save_path="a", autostart="0")
            infohashes.add(added.json["torrent"]["infohash"])
        answer = client.ok("POST", "/v1/backup")
        copy = Path(answer["path"])
        self.assertEqual(copy.parent, daemon.state / "backups")
        self.assertEqual(answer["bytes"], copy.stat().st_size)
        # after the copy, and so not in it
        client.upload(torrents, tiny_torrent(9), save_path="a", autostart="0")
        daemon.kill()

        again = self.daemon(self.home / "two", "--root", str(daemon.root))
        again.state.mkdir(mode=0o700)
        copy2(copy, again.state / "state.db")
        again.start()
        client = again.client()
        self.addCleanup(client.close)
        until(lambda: client.ok("GET", "/v1")["loading"] == 0, "the torrents to be loaded")
        rows = client.ok("GET", f"/v1/sessions/{session}/torrents", fields="infohash,state")["torrents"]
        self.assertEqual({row["infohash"] for row in rows}, infohashes)
        self.assertEqual({row["state"] for row in rows}, {"stopped"})
        self.assertEqual(client.ok("GET", "/health")["health"], "ok")
        self.assertEqual(again.stop(), 0)
        self.assertEqual(again.tracebacks(), [])
