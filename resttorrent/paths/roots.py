"""
The folders that payload may lie in, and whether a path stays inside them.

While a torrent runs, libtorrent opens its files by name and follows links that someone put there. What is
checked here is checked when a torrent is added, loaded, resumed, rechecked, moved or deleted.
"""

import stat
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import BadParameter, PathOutsideRoots
from .deletion import Deletion
from .files import by_folder
from .openat2 import Openat2
from .presence import MARKER, RootMissing
from .resolve import LONGEST_NAME, LONGEST_PATH, Unresolvable, below, is_within, mode_of, resolve
from .walk import Walk


class Roots:
    """
    Save roots; the first is the default. They may be links, which are resolved once, here.

    :param openat2: opens folders in one call, where the kernel lets it.
    :ivar absent: the roots that are missing, and why; whoever watches them says so.
    :raises ValueError: there is none, or one is relative or leads nowhere.
    """

    def __init__(self, roots: Sequence[Path], openat2: Openat2 | None = None) -> None:
        if not roots or not all(root.is_absolute() for root in roots):
            raise ValueError("expected one or more absolute folders")
        try:
            self.paths = tuple(resolve(str(root)) for root in roots)
        except Unresolvable as error:
            raise ValueError(f"a save root {error}") from None
        self.absent: Mapping[str, str] = {}
        self._openat2 = openat2 or Openat2()

    def root_of(self, path: str) -> str | None:
        """The innermost root that an absolute, normal path lies in."""
        return max((root for root in self.paths if is_within(path, root)), key=len, default=None)

    def why_absent(self, path: str) -> str | None:
        """Why the root that this path lies in is missing; ``None`` if it is there."""
        return self.absent.get(self.root_of(path) or "") if self.absent else None

    def require(self, path: str) -> None:
        """:raises RootMissing: if the root that an absolute, normal path lies in is missing."""
        why = self.why_absent(path)
        if why is not None:
            raise RootMissing(why, field="save_path")

    def confine(self, save_path: str) -> str:
        """
        Where a ``save_path`` really lies: relative to the first root, or absolute inside any.

        It may not exist yet; nothing is created. Synchronous: it costs one lstat per component and a
        readlink per link, which a local file system answers from memory in microseconds.

        :return: absolute, every link resolved.
        :raises BadParameter: no path at all, or one that no folder can have.
        :raises PathOutsideRoots: it ends up outside: by ``..``, as an absolute path or through a link.
        :raises RootMissing: its root is missing.
        """
        _check_spelling(save_path)
        absolute = save_path if save_path.startswith("/") else below(self.paths[0], save_path)
        # a dead network disk must not even be looked at
        self.require(absolute)
        try:
            real = self._resolve(absolute)
            mode = mode_of(real)
        except Unresolvable as error:
            # of what lies outside nobody learns whether it is a file
            if not self._contain(error.path):
                raise _outside() from None
            raise BadParameter(f"save_path: {error}", field="save_path") from None
        if not self._contain(real):
            raise _outside()
        if not _is_text(real) or len(real.encode()) > LONGEST_PATH:
            raise BadParameter(
                f"save_path: expected to lead to at most {LONGEST_PATH} bytes of UTF-8", field="save_path"
            )
        if mode is not None and not stat.S_ISDIR(mode):
            raise BadParameter("save_path: expected a folder, not a file", field="save_path")
        self.require(real)
        return real

    def check_files(self, save_path: str, relative_paths: Iterable[str]) -> None:
        """
        Whether a torrent's files still lie inside the roots, whatever links were put in their way.

        Links that stay inside the roots are fine, and so is what does not exist. Blocking: one lstat per
        distinct folder and per file (folders of many files are listed instead): big torrents want a thread.

        :param save_path: absolute, as ``confine`` gave it.
        :raises PathOutsideRoots: naming the path that leads out, that can't be examined, or that is the
            marker of a root.
        """
        base, grouped = self._base(save_path), by_folder(relative_paths)
        self._spare_marker(base, grouped)
        self._check(Walk(base, self._contain, follow=True), grouped)

    def delete_files(self, save_path: str, relative_paths: Sequence[str], keep: Container[str]) -> None:
        """
        Delete files, and the folders below ``save_path`` that this leaves empty, without following a link.

        If a folder is a link, or a file is a link that leads out of the roots, nothing is deleted. Of a file
        that is a link inside the roots the link alone goes. A folder that becomes a link in the meantime is
        left alone with all behind it. A missing file is no error. Blocking: call it in a thread.

        :param save_path: absolute, as ``confine`` gave it.
        :param keep: absolute paths (save path and relative path joined) that other torrents use.
        :raises PathOutsideRoots: a link was in the way; :raises EngineError: the system refused to delete.
        """
        base = self._base(save_path)
        grouped = by_folder(relative_paths)
        self._spare_marker(base, grouped)
        self._check(Walk(base, self._contain, follow=False), grouped)
        root = next(root for root in self.paths if is_within(base, root))
        deletion = Deletion(root, base, spared=self.paths, keep=keep, alias=save_path, openat2=self._openat2)
        deletion.run(grouped)

    def _contain(self, real: str) -> bool:
        return any(is_within(real, root) for root in self.paths)

    def _resolve(self, path: str) -> str:
        # the way to a root was resolved at the start, and whoever can change it owns more than the payload
        known = next((root for root in self.paths if is_within(path, root)), "/")
        return resolve(path, known=known)

    def _base(self, save_path: str) -> str:
        try:
            real = self._resolve(save_path)
        except Unresolvable as error:
            raise PathOutsideRoots(f"{save_path} {error}", field="save_path") from None
        if not self._contain(real):
            raise PathOutsideRoots(f"{save_path} leads outside the save roots", field="save_path")
        return real

    def _spare_marker(self, base: str, files: Mapping[str, Sequence[str]]) -> None:
        """A torrent with a file in the place of a root's marker could have that root taken for another."""
        for root in self.paths:
            if is_within(root, base):
                folder = root[len(base) :].strip("/")
                folders = (path for path in files if not folder or is_within(path, folder))
                inner = (path[len(folder) :].strip("/") for path in folders)
                names = (*files.get(folder, ()), *(path.partition("/")[0] for path in inner))
                # whatever its file system thinks of case
                if any(name.casefold() == MARKER for name in names):
                    raise PathOutsideRoots(f"{MARKER} in a save root is the daemon's own", field="save_path")

    @staticmethod
    def _check(walk: Walk, files: Mapping[str, Sequence[str]]) -> None:
        for folder, names in files.items():
            location = walk.folder(folder)
            if location is not None:
                walk.files(location, names)


def _outside() -> PathOutsideRoots:
    return PathOutsideRoots("save_path: leads outside the save roots", field="save_path")


def _check_spelling(save_path: str) -> None:
    if not save_path:
        expected = "a path"
    elif "\0" in save_path or not _is_text(save_path):
        expected = "a path without NUL and lone surrogates"
    elif len(save_path.encode()) > LONGEST_PATH:
        expected = f"a path of at most {LONGEST_PATH} bytes"
    elif any(len(name.encode()) > LONGEST_NAME for name in save_path.split("/")):
        expected = f"names of at most {LONGEST_NAME} bytes in a path"
    else:
        return
    raise BadParameter(f"save_path: expected {expected}", field="save_path")


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
