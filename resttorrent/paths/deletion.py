"""
Deleting what a torrent wrote, while somebody may be swapping folders for links.

Every folder is opened by its name inside the folder before it, and must not be a link, or by one call that
makes sure of that for the whole way; every removal names an entry of an open folder. What was opened stays
what it is, whatever its path becomes.

Source: openat(2), unlinkat(2): O_NOFOLLOW, O_DIRECTORY and dirfd; openat2(2).
"""

import errno
import os
import stat
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..errors import EngineError, PathOutsideRoots
from .files import with_ancestors
from .openat2 import FOLDER, Openat2
from .resolve import Unresolvable, below, mode_of

_GONE = frozenset({errno.ENOENT, errno.ENAMETOOLONG})

_STAYS = _GONE | {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY}
"""What rmdir says of a folder that is gone, still holds something, is none (or a link), or has a mount."""

_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EMLINK})
"""What open says of a link or a file: ENOTDIR on Linux, the others elsewhere."""


class Deletion:
    """
    One deletion of files below a base.

    :param root: the save root that ``base`` lies in, absolute and resolved.
    :param base: the torrent's save path, absolute and resolved.
    :param spared: absolute folders that stay even if empty.
    :param keep: absolute paths of files that stay, below ``base`` or below ``alias``, its unresolved name.
    :param openat2: opens folders where it can; where it can't they are opened name by name.
    """

    def __init__(
        self,
        root: str,
        base: str,
        *,
        spared: Container[str],
        keep: Container[str],
        alias: str,
        openat2: Openat2,
    ) -> None:
        self._root = root
        self._base = base
        self._spared = spared
        self._keep = keep
        self._alias = alias
        self._openat2 = openat2
        self._links: list[str] = []
        self._failures: list[str] = []

    def run(self, files: Mapping[str, Sequence[str]]) -> None:
        """
        Delete files, given as names by folder, then the folders that are empty.

        :raises PathOutsideRoots: a link was met and left alone; :raises EngineError: the system refused.
        """
        try:
            self._delete(files)
        except Unresolvable as error:
            raise EngineError(f"not deleted: something in {self._base} {error}") from None
        if self._links:
            raise PathOutsideRoots(f"{self._links[0]} became a link and was left alone")
        if self._failures:
            raise EngineError(f"not deleted: {self._failures[0]} ({len(self._failures)} in all)")

    def _delete(self, files: Mapping[str, Sequence[str]]) -> None:
        with self._opened_base() as base:
            if base is None:
                return
            for folder, names in files.items():
                self._unlink(base, folder, names)
            for folder in with_ancestors(files):
                self._remove_folder(base, folder)

    @contextmanager
    def _opened_base(self) -> Iterator[int | None]:
        try:
            root = os.open(self._root, FOLDER)
        except OSError as error:
            if error.errno != errno.ENOENT:
                self._failures.append(f"{self._root}: {error.strerror}")
            yield None
            return
        try:
            with self._opened(root, self._base[len(self._root) :].strip("/"), self._root) as base:
                yield base
        finally:
            os.close(root)

    @contextmanager
    def _opened(self, start: int, relative: str, start_path: str) -> Iterator[int | None]:
        """A descriptor of a folder; ``None`` if it is gone, or not to be entered, which is noted."""
        # whatever keeps the one call from it, going name by name finds out
        folder = self._openat2.folder(start, relative) if relative else None
        if folder is None:
            folder = self._walk(start, relative, start_path)
        try:
            yield folder
        finally:
            if folder is not None:
                os.close(folder)

    def _walk(self, start: int, relative: str, start_path: str) -> int | None:
        folder: int | None = os.dup(start)
        path = start_path
        for name in relative.split("/") if relative else ():
            if folder is None:
                break
            path = below(path, name)
            inner = self._open_inner(folder, name, path)
            os.close(folder)
            folder = inner
        return folder

    def _open_inner(self, folder: int, name: str, path: str) -> int | None:
        try:
            return os.open(name, FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                # a folder by now means that it was a link a moment ago
                mode = mode_of(name, dir_fd=folder)
                if mode is not None and (stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
                    self._links.append(path)
            elif error.errno not in _GONE:
                self._failures.append(f"{path}: {error.strerror}")
            return None

    def _unlink(self, base: int, folder: str, names: Sequence[str]) -> None:
        with self._opened(base, folder, self._base) as opened:
            if opened is None:
                return
            for name in names:
                path = f"{folder}/{name}" if folder else name
                if below(self._base, path) in self._keep or below(self._alias, path) in self._keep:
                    continue
                try:
                    os.unlink(name, dir_fd=opened)
                except OSError as error:
                    if error.errno not in _GONE and not _is_folder(name, opened):
                        self._failures.append(f"{below(self._base, path)}: {error.strerror}")

    def _remove_folder(self, base: int, folder: str) -> None:
        path = below(self._base, folder)
        if path in self._spared:
            return
        above, _, name = folder.rpartition("/")
        with self._opened(base, above, self._base) as opened:
            if opened is None:
                return
            try:
                os.rmdir(name, dir_fd=opened)
            except OSError as error:
                if error.errno not in _STAYS:
                    self._failures.append(f"{path}: {error.strerror}")


def _is_folder(name: str, folder: int) -> bool:
    """Whether a folder lies in the place of a file: not what the torrent wrote, so it stays."""
    mode = mode_of(name, dir_fd=folder)
    return mode is not None and stat.S_ISDIR(mode)
