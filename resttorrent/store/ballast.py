"""
Room on the state's disk that is held while there is some, and given up when there is none.

A disk that is full to the last byte would not even let us forget a torrent: SQLite writes its log first. With
the ballast gone there is room for what must be written all the same; for nothing else, or it would not last.

Source: posix_fallocate(3).
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from resttorrent.store import statements

BALLAST_NAME = "ballast"
BALLAST_SIZE = 4 * 1024 * 1024
"""Bytes: as much as SQLite's log grows to before it is folded into the database."""

VITAL = frozenset(
    {
        statements.remove_torrent,
        statements.delete_session,
        statements.add_deletion,
        statements.deletion_done,
        statements.set_stopped,
        statements.save_info,
        statements.save_resume,
        statements.delete_token,
        statements.delete_user,
        statements.set_setting,
    }
)
"""What is written on a full disk too: what goes, what stops, and what can't be had again after the end."""

_NO_FALLOCATE = frozenset({errno.EOPNOTSUPP, errno.EINVAL})
_CHUNK = 64 * 1024


class Ballast:
    """
    The file in the state folder; all of it may block on the disk.

    :ivar held: the room is ours.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / BALLAST_NAME
        self.held = False

    def make(self) -> None:
        """
        Hold the room; nothing to do if that is so.

        :raises OSError: ENOSPC or EDQUOT if there is none; no file is left then.
        """
        if self.held:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        try:
            os.fchmod(fd, 0o600)
            if os.fstat(fd).st_size > BALLAST_SIZE:
                os.ftruncate(fd, BALLAST_SIZE)
            _allocate(fd)
        except BaseException:
            self.give_up()
            raise
        finally:
            os.close(fd)
        self.held = True

    def give_up(self) -> bool:
        """Free the room, if it is there; whether any was freed."""
        self.held = False
        with suppress(OSError):
            self._path.unlink()
            return True
        return False


def _allocate(fd: int) -> None:
    """Have real blocks behind every byte; what is allocated already stays as it is."""
    try:
        os.posix_fallocate(fd, 0, BALLAST_SIZE)
    except OSError as error:
        if error.errno not in _NO_FALLOCATE:
            raise
        # a file system that compresses would keep no room for zeros
        for offset in range(0, BALLAST_SIZE, _CHUNK):
            os.pwrite(fd, os.urandom(_CHUNK), offset)
