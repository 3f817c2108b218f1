"""
When the WAL is brought to the disk.

With ``synchronous=NORMAL`` SQLite leaves a commit in the kernel's cache: it survives the death of the
process, not a power cut. So the WAL is fdatasync'ed within a second of the first commit since the last time.
SQLite's POSIX locks are on the database and the index, never on the WAL: closing a descriptor of the WAL
drops none.
"""

import os
from collections.abc import Callable
from pathlib import Path

# Seconds. Half the promise: a group or a long read may be running when the time has come.
FLUSH_AFTER = 0.5


class WalFlush:
    """Sans-I/O but for ``sync``; times in seconds of any one steady clock."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self.deadline: float | None = None

    def committed(self, now: float) -> None:
        """Something was committed; later commits don't move the deadline."""
        if self.deadline is None:
            self.deadline = now + FLUSH_AFTER

    def tick(self, now: float) -> None:
        """
        Flush if it is time.

        :raises OSError: what was committed since the last flush may not outlive a power cut.
        """
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
            self._sync()


class WalFile:
    """A descriptor of our own on the WAL, opened when first needed; it is SQLite that writes to it."""

    def __init__(self, database: Path, fdatasync: Callable[[int], None] = os.fdatasync) -> None:
        self._path = database.with_name(f"{database.name}-wal")
        self._fdatasync = fdatasync
        self._fd: int | None = None

    def sync(self) -> None:
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._fdatasync(self._fd)

    def close(self) -> None:
        """Let go of it: SQLite unlinks the WAL with its last connection, and makes another."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)
