"""
The state directory: private, and one daemon's alone.

The lock is flock(2) on the file ``lock``: the kernel drops it however the process dies, so that a stale file
stops no start. The file is never unlinked, since a waiting process could hold a lock on the unlinked one.
"""

import fcntl
import os
import stat
from pathlib import Path

from resttorrent.store.refusals import StateDirInUse, StateDirUnusable

LOCK_NAME = "lock"


def make_private_directory(directory: Path) -> None:
    """
    Make the directory and its missing parents with mode 0700, or tighten the one that is there.

    :raises StateDirUnusable: it can't be made or tightened, or it is a shared one like /tmp, whose mode is
        not ours to change.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
        mode = directory.stat().st_mode
        if mode & stat.S_ISVTX:
            raise StateDirUnusable(directory, "it is shared with other users; name a folder inside it")
        if stat.S_IMODE(mode) != 0o700:
            directory.chmod(0o700)
    except OSError as error:
        raise StateDirUnusable(directory, error.strerror or str(error)) from error


def create_private_file(path: Path) -> None:
    """
    Make an empty file of mode 0600 whatever the umask; one that exists is tightened.

    The descriptor is closed again, which would drop SQLite's POSIX locks on the same file: never call it on
    a database that is open.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


class StateLock:
    """The lock of one state directory, held from construction until ``release``."""

    def __init__(self, directory: Path) -> None:
        """
        :raises StateDirInUse: another process, or another store of this one, holds it.
        :raises StateDirUnusable: the lock file can't be opened or locked.
        """
        try:
            self._fd = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateDirUnusable(directory, error.strerror or str(error)) from error
        try:
            self._take(directory)
        except BaseException:
            os.close(self._fd)
            raise

    def _take(self, directory: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateDirInUse(directory, _pid_in(self._fd)) from None
        except OSError as error:
            raise StateDirUnusable(directory, f"it can't be locked, {error.strerror}") from error
        os.fchmod(self._fd, 0o600)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None
