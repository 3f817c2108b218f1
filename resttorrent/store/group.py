"""
One group of writes: one transaction, one commit.

First all calls run without savepoints, since nearly always all succeed and a savepoint each would double the
statements of a small write. Only if one raises is everything rolled back and run again, each call inside its
own savepoint, so that it fails alone. A call may therefore run twice: it must touch nothing but the database.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from resttorrent.store.trouble import Trouble, classify

SqlCall = Callable[..., Any]


class Task:
    """
    A call on the connection and what came of it.

    :ivar error: why it failed, or ``None``; then ``result`` is its value.
    """

    __slots__ = ("args", "call", "error", "result")

    def __init__(self, call: SqlCall, args: tuple[Any, ...]) -> None:
        self.call = call
        self.args = args
        self.result: Any = None
        self.error: Exception | None = None


def run_group(connection: sqlite3.Connection, tasks: Sequence[Task]) -> bool:
    """
    Run all tasks and commit; each has its ``result`` or ``error`` afterwards.

    :return: whether all succeeded. When the disk was full or failed, none did and nothing was written.
    """
    try:
        _together(connection, tasks)
    except Exception as error:
        _roll_back(connection)
        if len(tasks) == 1 or _fells_all(error):
            _fail_all(tasks, error)
        else:
            _apart(connection, tasks)
        return False
    return True


def _together(connection: sqlite3.Connection, tasks: Sequence[Task]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for task in tasks:
        task.result = task.call(connection, *task.args)
    connection.execute("COMMIT")


def _apart(connection: sqlite3.Connection, tasks: Sequence[Task]) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        for task in tasks:
            connection.execute("SAVEPOINT task")
            _alone(connection, task)
            connection.execute("RELEASE task")
        connection.execute("COMMIT")
    except Exception as error:
        _roll_back(connection)
        _fail_all(tasks, error)


def _alone(connection: sqlite3.Connection, task: Task) -> None:
    """
    Run one task inside the open savepoint.

    :raises Exception: its error is one that ends the whole transaction.
    """
    try:
        task.result = task.call(connection, *task.args)
    except Exception as error:
        # SQLite itself rolls the transaction back when the disk is full or failed.
        if not connection.in_transaction or _fells_all(error):
            raise
        connection.execute("ROLLBACK TO task")
        task.error = error


def _fells_all(error: Exception) -> bool:
    return classify(error) in (Trouble.DISK_FULL, Trouble.DISK_ERROR)


def _fail_all(tasks: Sequence[Task], error: Exception) -> None:
    for task in tasks:
        task.result = None
        task.error = error


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
