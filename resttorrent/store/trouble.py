"""What SQLite's and the disk's errors mean, to the caller and to ``/health``."""

import errno
import sqlite3
from enum import Enum

from resttorrent.errors import CommandError, EngineError, StateDiskFull


class Trouble(Enum):
    """Why the store is degraded; the value is the stable word that programs read."""

    DISK_FULL = "state_disk_full"
    DISK_ERROR = "state_disk_error"
    DAMAGED = "state_database_damaged"


def classify(error: BaseException) -> Trouble | None:
    """The trouble that an error tells of, or ``None`` if it concerns its call alone."""
    if isinstance(error, sqlite3.Error):
        return _classify_sqlite(getattr(error, "sqlite_errorcode", 0))
    if isinstance(error, OSError):
        return Trouble.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else Trouble.DISK_ERROR
    return None


def _classify_sqlite(code: int) -> Trouble | None:
    # Growing the shared index (-shm) on a full disk has a code of its own.
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return Trouble.DISK_FULL
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return Trouble.DISK_ERROR
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Trouble.DAMAGED
    return None


def answer_for(error: Exception) -> Exception:
    """
    The error that a caller gets: one of the contract's, with the cause attached.

    What is neither SQLite's nor the disk's is a fault of the call itself and stays as it is.
    """
    if isinstance(error, CommandError) or not isinstance(error, (sqlite3.Error, OSError)):
        return error
    answer = answer_to(classify(error), error)
    answer.__cause__ = error
    return answer


def answer_to(trouble: Trouble | None, error: Exception | None = None) -> CommandError:
    """What a caller is told of a trouble, of which ``error`` told."""
    if trouble is Trouble.DISK_FULL:
        return StateDiskFull("The disk that holds the daemon's state is full; nothing was changed.")
    if trouble is Trouble.DISK_ERROR:
        return EngineError(f"The disk that holds the daemon's state failed ({error}).")
    if trouble is Trouble.DAMAGED:
        return EngineError(f"The state database is damaged ({error}).")
    return EngineError(f"The state database refused the change ({error}).")
