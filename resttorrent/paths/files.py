"""The relative paths of a torrent's files, grouped for work that goes folder by folder."""

import os
from collections.abc import Iterable, Mapping, Sequence

from ..errors import PathOutsideRoots

_NO_NAMES = frozenset({"", ".", ".."})


def by_folder(relative_paths: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """
    File names by the folder they lie in, which is ``""`` for those that lie in none.

    libtorrent has cleaned these paths; a rename, or a bug, may not have.

    :raises PathOutsideRoots: a path is absolute, can't be encoded, or holds ``..``, ``.``, NUL or no name.
    """
    grouped: dict[str, list[str]] = {}
    for path in relative_paths:
        folder, _, name = path.rpartition("/")
        if name in _NO_NAMES or not _is_nameable(path) or (not folder and path.startswith("/")):
            raise _refusal(path)
        names = grouped.get(folder)
        if names is None:
            if folder and not _NO_NAMES.isdisjoint(folder.split("/")):
                raise _refusal(path)
            names = grouped[folder] = []
        names.append(name)
    return grouped


def with_ancestors(folders: Iterable[str]) -> Sequence[str]:
    """Relative folders and all above them but ``""``, each once, the deepest first."""
    found: set[str] = set()
    for folder in folders:
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(found, key=lambda path: path.count("/"), reverse=True)


def _is_nameable(path: str) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _refusal(path: str) -> PathOutsideRoots:
    return PathOutsideRoots(f"{path[:256]!r} is no path of a file below its torrent's folder")
