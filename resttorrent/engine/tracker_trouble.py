"""
What trackers complain of, told in the event log without filling it.

libtorrent tries a tracker that fails again and again: the first failure in a row is logged, then the second,
the fourth, the eighth. A tracker that goes down with thousands of torrents is told of ``MOST`` times a
minute, then counted. Announce URLs may hold passkeys: nothing of them is logged but scheme, host and port,
nor what a tracker's own words repeat of the rest.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import libtorrent as lt
from twisted.internet.interfaces import IDelayedCall

from ..printable import shortened
from .alerts import Handlers
from .parts import Parts, Piece

MOST = 50
"""Entries of one session within ``WINDOW``."""
WINDOW = 60.0
LONGEST_REASON = 300
"""Characters of a tracker's own words."""
LONGEST_URL = 2000
"""Characters of an announce URL that are looked at."""
SHORTEST_SECRET = 6
"""Pieces of an announce URL that are shorter are left alone where a tracker repeats them."""

_NO_SECRETS = frozenset({"announce", "announce.php", "scrape", "passkey", "torrent", "tracker"})


def origin_of(url: str) -> str:
    """``scheme://host[:port]`` of an announce URL, without who asks."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        return "a tracker"
    host = shortened(host, 200)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"


def without_secrets(text: str, url: str) -> str:
    """A tracker's words without the pieces of its URL that may be secret."""
    _, _, rest = url.partition("://")
    rest = rest.rpartition("@")[0] + "/" + rest.partition("/")[2]
    pieces = {piece for part in (rest, unquote(rest)) for piece in re.split(r"[/?&=;:@#]+", part)}
    secrets = [p for p in pieces if len(p) >= SHORTEST_SECRET and p.lower() not in _NO_SECRETS]
    if not secrets:
        return text
    # the longest first: one may be part of another
    secrets.sort(key=len, reverse=True)
    return re.sub("|".join(map(re.escape, secrets)), "…", text, flags=re.IGNORECASE)


class TrackerTrouble(Piece):
    """Hears one session's trackers fail and warn."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._window_end = 0.0
        self._told = 0
        self._untold = 0
        self._timer: IDelayedCall | None = None
        self._stopped = False

    @property
    def handlers(self) -> Handlers:
        """What the session's alert poller must bring here; the error category brings both kinds."""
        return {lt.tracker_error_alert: self._on_error, lt.tracker_warning_alert: self._on_warning}

    def stop(self) -> None:
        """Tell nothing more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_error(self, alert: lt.tracker_error_alert) -> None:
        times = alert.times_in_row
        # a power of two; 0 is a failure that libtorrent does not count
        if not times & (times - 1):
            self._hear("tracker_error", alert, _error_of)

    def _on_warning(self, alert: lt.tracker_warning_alert) -> None:
        self._hear("tracker_warning", alert, _warning_of)

    def _hear(self, event: str, alert: Any, words: Callable[[Any], str]) -> None:
        torrent = self._torrents.of_handle(alert.handle)
        if self._stopped or torrent is None or torrent not in self._torrents:
            return
        now = self._shared.reactor.seconds()
        if now >= self._window_end:
            self._window_end, self._told = now + WINDOW, 0
        if self._told >= MOST:
            self._untold += 1
            if self._timer is None:
                self._timer = self._shared.reactor.callLater(self._window_end - now, self._sum_up)
            return
        self._told += 1
        self._note(event, torrent, _told(alert, words), level="warning")

    def _sum_up(self) -> None:
        self._timer = None
        untold, self._untold = self._untold, 0
        self._shared.log.add(
            "tracker_error",
            f"trackers failed {untold} more times within a minute",
            level="warning",
            session_id=self._session_id,
        )


def _told(alert: Any, words: Callable[[Any], str]) -> str:
    try:
        url = str(alert.url)[:LONGEST_URL]
    except UnicodeDecodeError:
        url = ""
    try:
        reason = words(alert)
    except UnicodeDecodeError:
        reason = "an answer that is not UTF-8"
    return f"{origin_of(url)}: {without_secrets(shortened(reason, LONGEST_REASON), url)}"


def _error_of(alert: lt.tracker_error_alert) -> str:
    """By the tracker itself, if it said something."""
    return str(alert.failure_reason() or alert.error.message())


def _warning_of(alert: lt.tracker_warning_alert) -> str:
    """Of all that the binding gives only the message has the words, behind torrent, URL and endpoint."""
    return str(alert.message().rpartition(" warning: ")[2])
