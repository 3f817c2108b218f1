"""
What a running daemon can be told anew, and what needs a restart.

SIGHUP reads the same command line, environment and configuration file again. What differs and can be changed
in place is; the rest is named in the log, and stays as it was.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace

from twisted.logger import Logger

from .options import OptionError
from .settings import Settings

RELOADABLE = frozenset({"allow_hosts", "allow_origins", "fetch_allow", "log_level", "umask"})
"""Fields of Settings that take effect without a restart."""
_OPTIONS = {
    "allow_hosts": "allow-host",
    "allow_origins": "allow-origin",
    "peer_interfaces": "peer-interface",
    "roots": "root",
    "trusted_proxies": "trusted-proxy",
}
"""Fields that are called otherwise than their options."""


@dataclass(frozen=True, slots=True)
class Change:
    """
    What became of new settings, by the names of their options.

    :ivar settings: what holds now.
    """

    settings: Settings
    applied: tuple[str, ...]
    waiting: tuple[str, ...]


def merge(old: Settings, new: Settings) -> Change:
    """Take what can be changed in place from ``new``, the rest from ``old``."""
    changed = [field.name for field in fields(old) if getattr(old, field.name) != getattr(new, field.name)]
    applied = {name: getattr(new, name) for name in changed if name in RELOADABLE}
    waiting = [name for name in changed if name not in RELOADABLE]
    return Change(replace(old, **applied), _options(applied), _options(waiting))


def _options(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(_OPTIONS.get(name, name).replace("_", "-") for name in names)


class Reloader:
    """
    Reads the settings again.

    :param read: gives the settings as they would be at a start now; raises OptionError.
    :param apply: puts settings into effect of which only ``RELOADABLE`` ones changed.
    """

    _log = Logger()

    def __init__(
        self, settings: Settings, read: Callable[[], Settings], apply: Callable[[Settings], None]
    ) -> None:
        self._settings, self._read, self._apply = settings, read, apply

    def reload(self) -> None:
        """Do it, and say in the log what was done; settings that can't be read change nothing."""
        try:
            change = merge(self._settings, self._read())
        except OptionError as error:
            self._log.error("not reloaded: {error}", error=error)
            return
        self._settings = change.settings
        self._apply(change.settings)
        if change.applied:
            self._log.info("reloaded: {options}", options=", ".join(change.applied))
        if change.waiting:
            self._log.warn("changed, but needs a restart: {options}", options=", ".join(change.waiting))
        if not change.applied and not change.waiting:
            self._log.info("reloaded: nothing has changed")
