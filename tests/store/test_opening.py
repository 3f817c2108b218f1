"""What stands at the database's path, and what becomes of it."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.store.migrate import load_migrations, upgrade, version_of
from resttorrent.store.opening import APPLICATION_ID, open_file, open_memory
from resttorrent.store.refusals import DatabaseTooNew, StateDirUnusable
from resttorrent.store.statements import set_setting, setting

NOW = datetime(2026, 11, 3, 12, 30, 59, tzinfo=UTC)
ASIDE = "state.db.corrupt-20261103T123059Z"
SECOND_STEP = "CREATE TABLE later (x); INSERT INTO later SELECT value FROM settings"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class OpeningCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "state.db"

    def open(self, migrations: Sequence[str] | None = None) -> tuple[sqlite3.Connection, Path | None]:
        connection, aside = open_file(self.path, migrations or load_migrations(), "normal", NOW)
        self.addCleanup(connection.close)
        return connection, aside

    def make(self, value: str = "kept") -> None:
        """A database with something in it, closed in order: no WAL beside it."""
        connection, _ = self.open()
        set_setting(connection, "name", value)
        for number in range(50):
            set_setting(connection, f"filler{number}", "x" * 3000)
        connection.close()

    def make_hot(self) -> None:
        """As after kill -9: the value stands in the WAL alone."""
        self.make("old")
        connection, _ = self.open()
        set_setting(connection, "name", "in the WAL")
        hot = contents(self.folder)
        connection.close()
        for name, data in hot.items():
            (self.folder / name).write_bytes(data)


class OpeningTests(OpeningCase):
    def test_fresh(self) -> None:
        connection, aside = self.open()
        self.assertIsNone(aside)
        pragmas = {
            "journal_mode": "wal",
            "synchronous": 1,
            "foreign_keys": 1,
            "trusted_schema": 0,
            "busy_timeout": 5000,
            "journal_size_limit": 16 * 1024 * 1024,
            "application_id": APPLICATION_ID,
            "user_version": len(load_migrations()),
        }
        for name, value in pragmas.items():
            self.assertEqual(connection.execute(f"PRAGMA {name}").fetchone()[0], value, name)
        self.assertNotIn("state.db.draft", contents(self.folder))

    def test_full_durability(self) -> None:
        connection, _ = open_file(self.path, load_migrations(), "full", NOW)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA synchronous").fetchone()[0], 2)

    def test_again(self) -> None:
        self.make()
        connection, aside = self.open()
        self.assertEqual((setting(connection, "name"), aside), ("kept", None))

    def test_hot(self) -> None:
        self.make_hot()
        connection, aside = self.open()
        self.assertEqual((setting(connection, "name"), aside), ("in the WAL", None))

    def test_odd_path(self) -> None:
        self.path = self.folder / "50% #1?mode=memory&ü" / "state.db"
        self.path.parent.mkdir()
        self.make()
        connection, aside = self.open()
        self.assertEqual((setting(connection, "name"), aside), ("kept", None))

    def test_permissions(self) -> None:
        self.make_hot()
        for name in contents(self.folder):
            (self.folder / name).chmod(0o644)
        connection, _ = self.open()
        set_setting(connection, "name", "x")
        for path in self.folder.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path.name)

    def test_half_made_draft(self) -> None:
        """A start that was killed while it made the database leaves nothing in the way."""
        (self.folder / "state.db.draft").write_bytes(b"half")
        (self.folder / "state.db.draft-journal").write_bytes(b"half")
        connection, aside = self.open()
        self.assertEqual((setting(connection, "name"), aside), (None, None))
        self.assertNotIn("state.db.draft-journal", contents(self.folder))

    def test_folder_in_its_place(self) -> None:
        self.path.mkdir()
        error = self.assertRaises(StateDirUnusable, self.open)
        self.assertIn(str(self.folder), str(error))
        self.assertNotIn("\n", str(error))

    def test_memory(self) -> None:
        connection = open_memory(load_migrations())
        self.addCleanup(connection.close)
        set_setting(connection, "name", "value")
        self.assertEqual(setting(connection, "name"), "value")
        self.assertEqual(connection.execute("PRAGMA foreign_keys").fetchone()[0], 1)


class DamagedTests(OpeningCase):
    def check_set_aside(self, damage: Callable[[], object]) -> None:
        damage()
        damaged = contents(self.folder)
        connection, aside = self.open()
        self.assertEqual(aside, self.folder / ASIDE)
        self.assertIsNone(setting(connection, "name"))
        set_setting(connection, "name", "new")
        now = contents(self.folder)
        for name, data in damaged.items():
            moved = now[name.replace("state.db", ASIDE)]
            # Looking at a database recovers its shared index, which is derived from the WAL.
            if not name.endswith("-shm"):
                self.assertEqual(moved, data, name)

    def test_garbage(self) -> None:
        self.make()
        self.check_set_aside(lambda: self.path.write_bytes(b"garbage" * 1000))

    def test_empty_file(self) -> None:
        self.make()
        self.check_set_aside(lambda: self.path.write_bytes(b""))

    def test_truncated(self) -> None:
        self.make()
        size = self.path.stat().st_size
        for cut in (100, 4096, size // 2, size - 1):
            self.check_set_aside(lambda: self.path.write_bytes(self.path.read_bytes()[:cut]))  # noqa: B023
            for path in list(self.folder.iterdir()):
                path.unlink()
            self.make()

    def test_page_overwritten(self) -> None:
        self.make()
        data = bytearray(self.path.read_bytes())
        data[4096 * 5 : 4096 * 6] = b"\xa5" * 4096
        self.check_set_aside(lambda: self.path.write_bytes(data))

    def test_with_its_wal(self) -> None:
        """The three go together: a fresh database must not meet the old one's WAL."""
        self.make_hot()
        self.assertIn("state.db-wal", contents(self.folder))
        self.check_set_aside(lambda: self.path.write_bytes(b"garbage" * 1000))

    def test_lone_wal(self) -> None:
        self.make_hot()
        self.path.unlink()
        connection, aside = self.open()
        self.assertEqual(aside, self.folder / f"{ASIDE}-wal")
        self.assertIsNone(setting(connection, "name"))

    def test_other_programs_database(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE settings (name, value)")
        self.check_set_aside(lambda: None)

    def test_other_programs_database_of_our_version(self) -> None:
        """Its name is looked at, not only its version."""
        self.make()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA application_id = 1196444487")  # OGC GeoPackage
        self.check_set_aside(lambda: None)

    def test_earlier_one_stays(self) -> None:
        for number in range(3):
            self.path.write_bytes(b"garbage %d" % number)
            connection, _ = self.open()
            connection.close()
        kept = [data for name, data in contents(self.folder).items() if "corrupt" in name]
        self.assertEqual(sorted(kept), [b"garbage 0", b"garbage 1", b"garbage 2"])

    @settings(max_examples=40, deadline=None)
    @given(st.binary(max_size=5000), st.booleans())
    def test_any_bytes(self, data: bytes, keep_head: bool) -> None:
        """Whatever stands there: it is opened, or set aside as it was."""
        for path in list(self.folder.iterdir()):
            path.unlink()
        if keep_head:
            self.make()
            data = self.path.read_bytes()[:200] + data
        self.path.write_bytes(data)
        connection, aside = self.open()
        self.assertEqual(aside, self.folder / ASIDE)
        self.assertEqual((self.folder / ASIDE).read_bytes(), data)
        connection.close()


class MigrationTests(OpeningCase):
    def test_newer_is_refused(self) -> None:
        """Not a byte changes, also with changes still in the WAL."""
        self.make_hot()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA user_version = 99")
            hot = contents(self.folder)
        for name, data in hot.items():
            (self.folder / name).write_bytes(data)
        error = self.assertRaises(DatabaseTooNew, self.open)
        self.assertEqual((error.found, error.known), (99, len(load_migrations())))
        self.assertNotIn("\n", str(error))
        self.assertIn(str(self.path), str(error))
        after = contents(self.folder)
        for name in ("state.db", "state.db-wal"):
            self.assertEqual(after[name], hot[name])

    def test_upgrade_keeps_a_copy(self) -> None:
        self.make()
        before = len(load_migrations())
        connection, _ = self.open([*load_migrations(), SECOND_STEP])
        self.assertEqual(version_of(connection), before + 1)
        self.assertEqual(connection.execute("SELECT count(*) FROM later").fetchone()[0], 51)
        (copy,) = self.folder.glob(f"state.db.version-{before}-*")
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        with closing(sqlite3.connect(copy)) as old:
            self.assertEqual((version_of(old), setting(old, "name")), (before, "kept"))
            self.assertEqual(old.execute("PRAGMA integrity_check").fetchone()[0], "ok")

    def test_no_copy_without_upgrade(self) -> None:
        self.make()
        self.open()
        self.assertEqual(list(self.folder.glob("*version*")), [])

    def test_failed_step_leaves_the_last_whole_one(self) -> None:
        self.make()
        broken = [*load_migrations(), SECOND_STEP, "CREATE TABLE half (x); CREATE TABLE half (y)"]
        self.assertRaises(sqlite3.OperationalError, self.open, broken)
        connection, _ = self.open([*load_migrations(), SECOND_STEP])
        self.assertEqual(version_of(connection), len(load_migrations()) + 1)
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
        self.assertIn("later", names)
        self.assertNotIn("half", names)

    def test_upgrade_of_nothing(self) -> None:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            upgrade(connection, load_migrations())
            upgrade(connection, load_migrations())
            self.assertEqual(version_of(connection), len(load_migrations()))
