"""
From a path to a connection that can be trusted.

The database is first looked at read-only, so that one which is refused or set aside is left as it was found:
a writing connection would fold the WAL into it when it closes. ``quick_check`` reads all of it at every
start. That costs 1 ms per MiB (measured: 31 to 47 ms for 10,000 torrents in 33 MiB), in the store's thread
without the interpreter's lock, so the reactor goes on with its own start meanwhile; the pages are the ones
that loading the torrents reads next; and damage is found while there is still a choice, not by the load that
runs into it. A check only after unclean exits was weighed and left: disks don't fail by that schedule.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Literal

from resttorrent.store.migrate import keep_copy, sync_path, upgrade, version_of
from resttorrent.store.refusals import DatabaseTooNew, StateDirUnusable
from resttorrent.store.statelock import create_private_file
from resttorrent.store.trouble import Trouble, classify

Durability = Literal["normal", "full"]

# "RsTr": tells our database from another program's that was put in its place.
APPLICATION_ID = 0x52735472
# Seconds; only a person with a SQLite shell can be in the way, the lock keeps other daemons out.
BUSY_TIMEOUT = 5.0
_SIDE_FILES = ("", "-wal", "-shm")


class _Damaged(Exception):
    """What stands at the path is no sound database of ours."""


def open_memory(migrations: Sequence[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _protect(connection)
    upgrade(connection, migrations)
    return connection


def open_file(
    path: Path, migrations: Sequence[str], durability: Durability, now: datetime
) -> tuple[sqlite3.Connection, Path | None]:
    """
    Open the database at ``path``, making or upgrading it as needed.

    :param now: UTC, for the names of what is set aside or copied.
    :return: the connection, and where a damaged database was moved to, if there was one.
    :raises DatabaseTooNew: nothing was changed.
    :raises StateDirUnusable: the file can't be opened, or WAL does not work there (a network disk).
    """
    set_aside = None
    try:
        _inspect(path, known=len(migrations))
    except _Damaged:
        set_aside = _set_aside(path, now)
    if not path.exists():
        _create(path, migrations)
    return _open_sound(path, migrations, durability, now), set_aside


def reopen_file(path: Path, durability: Durability) -> sqlite3.Connection:
    """
    Open again, after a disk error, what this process had open: check all, bring all safely to the disk.

    :raises sqlite3.Error, OSError: it is not to be trusted yet.
    """
    connection = _connect(path, durability)
    try:
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the database is damaged")
        _fold_if_space(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def fold_wal(connection: sqlite3.Connection) -> None:
    """
    Move all of the WAL into the database, both synced.

    :raises sqlite3.Error: it did not get there, or another process reads the database just now.
    """
    if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] != 0:
        raise sqlite3.OperationalError("the database is being read by another process")


def _fold_if_space(connection: sqlite3.Connection) -> None:
    """On a full disk reads shall go on; the store stays degraded until the WAL has been folded."""
    try:
        fold_wal(connection)
    except sqlite3.Error as error:
        if classify(error) is not Trouble.DISK_FULL:
            raise


def _inspect(path: Path, known: int) -> None:
    """
    Look at the database without changing a byte of it.

    No file is fine unless it left its WAL behind: SQLite would apply that to the new one.
    An empty one is not: ours get their name when they are whole.
    """
    if not path.exists():
        if any(_beside(path, suffix).exists() for suffix in _SIDE_FILES):
            raise _Damaged
        return
    if path.is_file():
        _measure(path)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            _judge(connection, path, known)
    except sqlite3.Error as error:
        if _is_damage(error):
            raise _Damaged from error
        raise StateDirUnusable(path.parent, f"{path.name}: {error}") from error


def _measure(path: Path) -> None:
    """
    Find a database that was cut off: to SQLite the missing end of a page reads as zeros, and passes.

    With a WAL beside it a torn end may be mended from there; the file format's page size is at offset 16.
    """
    with path.open("rb") as file:
        page_size = int.from_bytes(file.read(18)[16:], "big") or 1
    size = path.stat().st_size
    wal = _beside(path, "-wal")
    mendable = wal.exists() and wal.stat().st_size > 0
    if size == 0 or (size % page_size != 0 and not mendable):
        raise _Damaged


def _judge(connection: sqlite3.Connection, path: Path, known: int) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise _Damaged
    found = version_of(connection)
    if found > known:
        raise DatabaseTooNew(path, found, known)
    if found == 0 or connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise _Damaged


def _is_damage(error: sqlite3.Error) -> bool:
    short = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHORT_READ
    return short or classify(error) is Trouble.DAMAGED


def _set_aside(path: Path, now: datetime) -> Path:
    """
    Rename the database, its WAL and its index together; an older set-aside one is never overwritten.

    The database goes first: if the process dies in between, the next start finds a WAL without a database
    and sets that aside too, whereas a database without its WAL might pass for a sound one.
    """
    stamp, attempt = f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}", 1
    target = path.with_name(stamp)
    while any(_beside(target, suffix).exists() for suffix in _SIDE_FILES):
        attempt += 1
        target = path.with_name(f"{stamp}-{attempt}")
    moved = []
    for suffix in _SIDE_FILES:
        if _beside(path, suffix).exists():
            moved.append(_beside(path, suffix).rename(_beside(target, suffix)))
    sync_path(path.parent)
    return moved[0]


def _create(path: Path, migrations: Sequence[str]) -> None:
    """Make an empty database under another name, and give it its own when it is whole and on the disk."""
    draft = path.with_name(f"{path.name}.draft")
    for suffix in (*_SIDE_FILES, "-journal"):
        _beside(draft, suffix).unlink(missing_ok=True)
    create_private_file(draft)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        upgrade(connection, migrations)
    sync_path(draft)
    draft.rename(path)
    sync_path(path.parent)


def _open_sound(
    path: Path, migrations: Sequence[str], durability: Durability, now: datetime
) -> sqlite3.Connection:
    for suffix in _SIDE_FILES:
        if _beside(path, suffix).exists():
            _beside(path, suffix).chmod(0o600)
    connection = _connect(path, durability)
    try:
        if version_of(connection) < len(migrations):
            keep_copy(connection, path, now)
            upgrade(connection, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, durability: Durability) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StateDirUnusable(path.parent, f"SQLite can't keep a WAL there (it says {mode})")
        connection.execute(f"PRAGMA synchronous = {durability.upper()}")
        connection.execute(f"PRAGMA journal_size_limit = {16 * 1024 * 1024}")
        _protect(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _protect(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    # Debian's SQLite zeroes what is deleted, at the price of writing it once more.
    connection.execute("PRAGMA secure_delete = FAST")
    # A schema that someone tampered with shall not call functions with side effects.
    connection.execute("PRAGMA trusted_schema = OFF")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
