"""Where a path really leads. What is here may block on the disk, one short system call at a time."""

import errno
import os
import stat
from pathlib import Path

LONGEST_PATH = 4095
"""Bytes; Linux's PATH_MAX counts a final NUL."""

LONGEST_NAME = 255
"""Bytes; NAME_MAX."""

_MOST_LINKS = 40
"""As the kernel: path_resolution(7)."""


class Unresolvable(Exception):
    """
    A path leads nowhere: a ring of links, a file used as a folder, a folder that may not be searched.

    :ivar path: how far it led.
    """

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(reason)
        self.path = path


class RingOfLinks(Unresolvable):
    """The kernel refuses to open it as well, so it leads nowhere at all."""


def resolve(path: str, *, known: str = "/") -> str:
    """
    Follow every link of an absolute path; what does not exist yet stays as it is written.

    ``..`` means the parent of what was resolved so far, as it does for the kernel. One lstat per component.

    :param known: a folder that ``path`` begins with, absolute and resolved already.
    :return: absolute, without links, ``.``, ``..`` or doubled slashes.
    :raises Unresolvable: see there, with the reason.
    """
    done = known
    links = 0
    pending = path.removeprefix(known).split("/")[::-1]
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            done = parent(done)
            continue
        step = below(done, name)
        mode = mode_of(step)
        if mode is not None and stat.S_ISLNK(mode):
            links += 1
            if links > _MOST_LINKS:
                raise RingOfLinks("has too many links", step)
            target = _read_link(step)
            done = "/" if target.startswith("/") else done
            pending.extend(target.split("/")[::-1])
            continue
        if mode is not None and pending and not stat.S_ISDIR(mode):
            raise Unresolvable("leads through a file", step)
        done = step
    return done


def mode_of(path: str, *, dir_fd: int | None = None) -> int | None:
    """
    The mode of what lies at a path, links not followed; ``None`` if nothing does.

    :raises Unresolvable: it can't be told.
    """
    try:
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        # nothing can lie under a name that is too long
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return None
        raise Unresolvable(f"could not be examined ({_reason(error)})", path) from None


def _read_link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError as error:
        raise Unresolvable(f"could not be examined ({_reason(error)})", path) from None


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "not a name"


def below(folder: str, name: str) -> str:
    """Join one name to an absolute folder."""
    return folder + name if folder == "/" else f"{folder}/{name}"


def parent(path: str) -> str:
    """The folder of an absolute, normal path; the root is its own."""
    return path.rpartition("/")[0] or "/"


def is_within(path: str, root: str) -> bool:
    """Whether one absolute, normal path is another or lies below it, by whole components."""
    return path == root or path.startswith(below(root, ""))
