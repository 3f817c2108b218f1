"""After an error of the disk nothing that SQLite remembers of the database is believed."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import EngineError
from resttorrent.store import statements
from resttorrent.store.migrate import load_migrations
from resttorrent.store.opening import open_file, reopen_file
from tests.store.test_database import DatabaseCase
from tests.store.test_opening import NOW


def failing(connection: sqlite3.Connection, code: int) -> Any:
    """A call during which the disk fails."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    raise error


class DistrustTests(DatabaseCase):
    """A commit after a failed fsync may succeed though what came before is lost: all is opened anew."""

    def setUp(self) -> None:
        super().setUp()
        self.database.open()
        self.run_write(statements.set_setting, "name", "value")

    def test_opened_anew(self) -> None:
        for run in (self.run_write, self.run_read):
            for code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_READ):
                before = self.database._connection
                self.assertRaises(EngineError, run, failing, code)
                self.assertIsNot(self.database._connection, before)
                self.assertEqual(self.database.degraded, "state_disk_error")
                self.assertEqual(self.run_read(statements.setting, "name"), "value")

    def test_error_of_a_call_alone(self) -> None:
        before = self.database._connection
        self.assertRaises(EngineError, self.run_write, failing, sqlite3.SQLITE_CONSTRAINT)
        self.assertIs(self.database._connection, before)
        self.assertIsNone(self.database.degraded)


class ReopenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "state.db"
        self.path.parent.mkdir()
        connection, _ = open_file(self.path, load_migrations(), "normal", NOW)
        with closing(connection):
            for number in range(50):
                statements.set_setting(connection, f"filler{number}", "x" * 3000)

    def test_sound(self) -> None:
        with closing(reopen_file(self.path, "normal")) as connection:
            self.assertEqual(statements.setting(connection, "filler1"), "x" * 3000)

    def test_damaged(self) -> None:
        """All of it is read: a page may be what the disk lost."""
        data = bytearray(self.path.read_bytes())
        data[-4096 * 10 :] = bytes(4096 * 10)
        self.path.write_bytes(data)
        self.assertRaises(sqlite3.DatabaseError, reopen_file, self.path, "normal")
