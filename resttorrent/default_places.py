"""
Where state and payload lie when nobody says so.

Sources: XDG Base Directory Specification (``XDG_STATE_HOME``), xdg-user-dirs (``XDG_DOWNLOAD_DIR``),
systemd.exec(5) (``STATE_DIRECTORY``).
"""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from .option_values import Place


def home(environ: Mapping[str, str]) -> Path | None:
    """Return this user's home; ``None`` in a container whose user has neither ``HOME`` nor an entry."""
    named = environ.get("HOME", "")
    if named.startswith("/"):
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def state_dir(environ: Mapping[str, str], place: Place) -> Path:
    """
    Return the folder of the state.

    systemd sets ``STATE_DIRECTORY`` to the folders of ``StateDirectory=``, colons between; the first is ours.

    :raises ValueError: nothing says where, since this user has no home.
    """
    of_unit = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if of_unit.startswith("/"):
        return Path(os.path.normpath(of_unit))
    xdg = environ.get("XDG_STATE_HOME", "")
    if xdg.startswith("/"):  # a relative one must be ignored, says the specification
        return Path(os.path.normpath(xdg)) / "resttorrent"
    if os.geteuid() == 0:
        return Path("/var/lib/resttorrent")
    if place.home is None:
        raise ValueError("--state-dir: expected a value, for this user has no home directory")
    return place.home / ".local/state/resttorrent"


def roots(environ: Mapping[str, str], place: Place, state: Path | None) -> tuple[Path, ...]:
    """
    Return the only root; it need not exist yet.

    :param state: the folder of the state; ``None`` if it is kept in memory, where payload can't be.
    :raises ValueError: nothing says where, since this user has no home.
    """
    downloads = environ.get("XDG_DOWNLOAD_DIR", "")
    if downloads.startswith("/"):
        return (Path(os.path.normpath(downloads)),)
    if place.home is not None and (place.home / "Downloads").is_dir():
        return (place.home / "Downloads",)
    return ((state or state_dir(environ, place)) / "downloads",)
