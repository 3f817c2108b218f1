"""
Whether a save root is the folder that it was, or the empty mount point that it lies on.

A marker file below the root holds an id that the store knows as well. While the daemon runs, device and inode
tell too, so that a marker which somebody deleted is made again, and a root that can't be written to can be
watched without one. An empty marker is a person's word that this is the right folder.

All that is here may block on the disk: it belongs in a thread.
"""

import errno
import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import CommandError

MARKER = ".resttorrent-root"
"""The name of the marker, below each root that was used."""

_ID = re.compile(r"[0-9a-f]{32}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# a FIFO in its place must not hold the thread up
_MARKER = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_ACCEPT = f"if it is the right folder all the same, put an empty file named {MARKER} there"


class RootMissing(CommandError):
    """The save root is not mounted, or not the one that it was."""

    code = "root_missing"
    http_status = 503


@dataclass(frozen=True, slots=True)
class Look:
    """
    What was seen of a root.

    :ivar reason: why it is not the one that it was; ``None`` if it is.
    :ivar id: what its marker holds; ``""`` if it can't have one, ``None`` if that isn't known.
    :ivar identity: device and inode, if it is the one.
    :ivar holds_something: something lies where the root is missing.
    """

    reason: str | None
    id: str | None
    identity: tuple[int, int] | None = None
    holds_something: bool = False


def look(path: str, id: str | None, seen: tuple[int, int] | None, make: bool = False) -> Look:
    """
    See whether the root at ``path`` is the one whose id is known; if none is, give it one.

    :param seen: device and inode at the last look of this process that found it.
    :param make: make the folder if it was never used and isn't there.
    :raises OSError: this process lacks descriptors or memory, which says nothing of the root.
    """
    try:
        if make and id is None:
            os.makedirs(path, exist_ok=True)  # noqa: PTH103
        folder = os.open(path, _FOLDER)
    except OSError as error:
        if error.errno in _OURS:
            raise
        reason = "is not there" if error.errno == errno.ENOENT else f"can't be opened ({error.strerror})"
        return Look(f"save root {path} {reason}", id)
    try:
        status = os.fstat(folder)
        return _judge(folder, path, id, seen, (status.st_dev, status.st_ino))
    except OSError as error:
        if error.errno in _OURS:
            raise
        return Look(f"save root {path} can't be read ({error.strerror})", id)
    finally:
        os.close(folder)


def _judge(
    folder: int, path: str, id: str | None, seen: tuple[int, int] | None, identity: tuple[int, int]
) -> Look:
    marked = _read(folder)
    if id is not None and marked == id:
        return Look(None, id, identity)
    if not id:
        # never used before, or never to be marked so far
        if id == "" and seen not in (None, identity):
            return Look(f"save root {path} is another folder than it was", id, None, True)
        return Look(None, marked or _mark(folder, os.urandom(16).hex()), identity)
    if marked == "" or (marked is None and seen == identity):
        _mark(folder, id)
        return Look(None, id, identity)
    reason = "is not mounted (its marker is not there" if marked is None else "is another one (by its marker"
    something = any(name != MARKER for name in os.listdir(folder))
    return Look(f"save root {path} {reason}; {_ACCEPT})", id, None, something)


def _read(folder: int) -> str | None:
    """The id in the marker; ``""`` if that is empty, ``None`` if there is none that can be read."""
    try:
        marker = os.open(MARKER, os.O_RDONLY | _MARKER, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.EIO, errno.ESTALE, *_OURS):
            raise
        return None
    try:
        if not stat.S_ISREG(os.fstat(marker).st_mode):
            return None
        text = os.read(marker, 64).decode("ascii", "replace").strip()
    finally:
        os.close(marker)
    return text if not text or _ID.fullmatch(text) else "?"


def _mark(folder: int, id: str) -> str:
    """Write the marker; ``""`` where that can't be done."""
    try:
        marker = os.open(MARKER, os.O_WRONLY | os.O_CREAT | _MARKER, 0o644, dir_fd=folder)
    except OSError:
        return ""
    try:
        os.write(marker, f"{id}\n".encode())
        os.ftruncate(marker, len(id) + 1)
        os.fsync(marker)
    except OSError:
        return ""
    finally:
        os.close(marker)
    return id


def existing(paths: Sequence[str]) -> list[bool]:
    """Which of these exist, links not followed."""
    found = []
    for path in paths:
        with suppress(OSError, ValueError):
            os.lstat(path)
            found.append(True)
            continue
        found.append(False)
    return found
