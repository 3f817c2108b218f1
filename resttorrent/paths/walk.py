"""A look at what lies on the way to a torrent's files; nothing is opened."""

import os
import stat
from collections.abc import Callable, Sequence

from ..errors import PathOutsideRoots
from .resolve import RingOfLinks, Unresolvable, below, mode_of, resolve

LISTING_PAYS = 500
"""Files in one folder from which on listing it is cheaper than an lstat each, even amid many others."""


class Walk:
    """
    Find where folders below a base really lie, each looked at once.

    :param base: absolute and resolved.
    :param is_inside: whether a resolved path is inside the save roots.
    :param follow: whether a folder may be a link, if that stays inside.
    """

    def __init__(self, base: str, is_inside: Callable[[str], bool], *, follow: bool) -> None:
        self._is_inside = is_inside
        self._follow = follow
        self._known: dict[str, str | None] = {"": base}

    def folder(self, relative: str) -> str | None:
        """
        The resolved place of a relative folder, or ``None`` if it does not exist.

        :raises PathOutsideRoots: a link on the way leads out, or there may be none.
        """
        known = self._known
        if relative in known:
            return known[relative]
        location, walked = known[""], ""
        for name in relative.split("/"):
            walked = f"{walked}/{name}" if walked else name
            if walked not in known:
                known[walked] = None if location is None else self._step(location, name, self._follow)
            location = known[walked]
        return location

    def files(self, folder: str, names: Sequence[str]) -> None:
        """
        Look at files in a resolved folder.

        :raises PathOutsideRoots: one is a link that leads out.
        """
        if len(names) >= LISTING_PAYS and _has_no_link(folder):
            return
        for name in names:
            self._step(folder, name, True)

    def _step(self, folder: str, name: str, follow: bool) -> str | None:
        path = below(folder, name)
        try:
            mode = mode_of(path)
            if mode is None or not stat.S_ISLNK(mode):
                return None if mode is None else path
            real = resolve(path) if follow else None
        except RingOfLinks:
            # libtorrent makes such links of those in a torrent that would lead out of it
            return None
        except Unresolvable as error:
            raise PathOutsideRoots(f"{_shown(path)} {error}") from None
        if real is None:
            raise PathOutsideRoots(f"{_shown(path)} is a link")
        if not self._is_inside(real):
            raise PathOutsideRoots(f"{_shown(path)} is a link that leads outside the save roots")
        return real


def _has_no_link(folder: str) -> bool:
    """Whether a folder surely holds no link, whatever its file system thinks of case and Unicode forms."""
    try:
        with os.scandir(folder) as entries:
            return not any(entry.is_symlink() for entry in entries)
    except OSError:
        # not to be listed: each file's own turn tells why
        return False


def _shown(path: str) -> str:
    """A path that fits into a message: names come from strangers."""
    return path.encode("utf-8", "backslashreplace").decode()[:1024]
