"""
The schema's versions: numbered SQL files, each taking the database one step forward.

A database's version is SQLite's ``user_version``. A step and its version are one transaction, so that a crash
leaves the one or the other, never half a step.
"""

import os
import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

from resttorrent.store.statelock import create_private_file

_NAME = re.compile(r"(\d{4})_\w+\.sql")


def load_migrations() -> tuple[str, ...]:
    """
    The SQL of all steps that this package brings: the first leads from an empty database to version 1.

    :raises RuntimeError: the package is damaged, a step is missing.
    """
    folder = resources.files("resttorrent.store") / "migrations"
    steps = {
        int(m[1]): file.read_text("utf-8") for file in folder.iterdir() if (m := _NAME.fullmatch(file.name))
    }
    if not steps or sorted(steps) != list(range(1, len(steps) + 1)):
        raise RuntimeError(f"schema migrations are missing, found {sorted(steps)}")
    return tuple(steps[number] for number in sorted(steps))


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def upgrade(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Apply the steps that the database lacks; at an error it stays at the last step that was whole."""
    for number in range(version_of(connection) + 1, len(migrations) + 1):
        step = migrations[number - 1]
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{step}\n;PRAGMA user_version = {number};\nCOMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def keep_copy(connection: sqlite3.Connection, path: Path, now: datetime) -> Path:
    """
    Write a whole, synced copy of an open database beside it, for whoever wants to go back a version.

    :return: the copy, ``<name>.version-<n>-<UTC time>``.
    """
    version = version_of(connection)
    copy = path.with_name(f"{path.name}.version-{version}-{now:%Y%m%dT%H%M%S.%fZ}")
    draft = copy.with_name(f"{copy.name}.draft")
    create_private_file(draft)
    connection.execute("VACUUM INTO ?", (str(draft),))
    sync_path(draft)
    draft.rename(copy)
    sync_path(copy.parent)
    return copy


def sync_path(path: Path) -> None:
    """Sync a folder, or a file that SQLite does not have open."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
