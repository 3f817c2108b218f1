"""Groups of writes: all in one commit, an error alone, a full or failing disk for all."""

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.store.group import Task, run_group


def insert(connection: sqlite3.Connection, value: int) -> int:
    connection.execute("INSERT INTO numbers VALUES (?)", (value,))
    return value


def insert_then_raise(connection: sqlite3.Connection, value: int) -> None:
    insert(connection, value)
    raise LookupError(value)


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.connection.close)
        self.connection.execute("CREATE TABLE numbers (value INTEGER UNIQUE)")
        self.statements: list[str] = []
        self.connection.set_trace_callback(self.statements.append)

    def stored(self) -> list[int]:
        return [row[0] for row in self.connection.execute("SELECT value FROM numbers ORDER BY value")]

    def test_one_commit(self) -> None:
        tasks = [Task(insert, (number,)) for number in range(50)]
        self.assertTrue(run_group(self.connection, tasks))
        self.assertEqual([task.result for task in tasks], list(range(50)))
        self.assertEqual(self.statements.count("COMMIT"), 1)
        self.assertEqual(len(self.statements), 52)
        self.assertEqual(self.stored(), list(range(50)))

    def test_one_raises(self) -> None:
        """What it had written is undone, what came before and after it stays."""
        tasks = [Task(insert, (1,)), Task(insert_then_raise, (2,)), Task(insert, (3,)), Task(insert, (1,))]
        self.assertFalse(run_group(self.connection, tasks))
        self.assertEqual(self.stored(), [1, 3])
        self.assertEqual([task.result for task in tasks], [1, None, 3, None])
        self.assertEqual(
            [type(task.error) for task in tasks],
            [type(None), LookupError, type(None), sqlite3.IntegrityError],
        )
        self.assertFalse(self.connection.in_transaction)

    def test_single_raises(self) -> None:
        calls: list[int] = []

        def failing(connection: sqlite3.Connection) -> None:
            calls.append(1)
            insert_then_raise(connection, 5)

        task = Task(failing, ())
        self.assertFalse(run_group(self.connection, [task]))
        self.assertIsInstance(task.error, LookupError)
        self.assertEqual((self.stored(), calls), ([], [1]))

    def test_full_disk(self) -> None:
        """SQLite has rolled back already: no second ROLLBACK, one error for all, and it goes on after."""
        self.connection.execute("CREATE TABLE blobs (data BLOB)")
        self.connection.execute("PRAGMA max_page_count = 5")

        def large(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO blobs VALUES (zeroblob(100000))")

        tasks = [Task(insert, (1,)), Task(large, ()), Task(insert, (2,))]
        self.assertFalse(run_group(self.connection, tasks))
        for task in tasks:
            self.assertIsInstance(task.error, sqlite3.OperationalError)
            self.assertIsNone(task.result)
        self.assertEqual(tasks[0].error.sqlite_errorcode, sqlite3.SQLITE_FULL)  # type: ignore[union-attr]
        self.assertEqual(self.stored(), [])
        self.assertTrue(run_group(self.connection, [Task(insert, (2,))]))
        self.assertEqual(self.stored(), [2])

    def test_fsync_error_at_commit(self) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        tasks = [Task(insert, (1,)), Task(insert, (2,))]
        self.assertFalse(run_group(CommitFails(self.connection, error), tasks))  # type: ignore[arg-type]
        self.assertEqual([task.error for task in tasks], [error, error])
        self.assertEqual(self.stored(), [])

    def test_error_in_second_run(self) -> None:
        """The commit of the run with savepoints fails: nothing is answered as done."""
        error = sqlite3.OperationalError("database is locked")
        tasks = [Task(insert, (1,)), Task(insert_then_raise, (2,))]
        self.assertFalse(run_group(CommitFails(self.connection, error), tasks))  # type: ignore[arg-type]
        self.assertEqual([task.error for task in tasks], [error, error])
        self.assertEqual([task.result for task in tasks], [None, None])


class CommitFails:
    """A connection whose COMMIT raises, as after a failed fsync."""

    def __init__(self, connection: sqlite3.Connection, error: Exception) -> None:
        self._connection = connection
        self._error = error

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    @property
    def execute(self) -> Callable[..., object]:
        return self._execute

    def _execute(self, sql: str, *parameters: Any) -> object:
        if sql == "COMMIT":
            raise self._error
        return self._connection.execute(sql, *parameters)
