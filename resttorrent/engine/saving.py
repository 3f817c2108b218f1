"""
Saving resume data: after what matters, and for the rest when it changed, a few at a time.

Writing out resume data holds the GIL, so at most ``WINDOW`` requests are with libtorrent at once.
"""

from collections import deque
from collections.abc import Callable

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..store.store import Store
from .alerts import Handlers
from .fields import POSITION, pack_row
from .table import StatusTable
from .torrent import Torrent

WINDOW = 50
_COMPLETE = POSITION["complete"]


class ResumeSaver:
    """
    Saves the resume data of one session's torrents.

    :param find: the torrent of a libtorrent handle, ``None`` for one that is gone or not to be kept.
    """

    log = Logger()

    def __init__(
        self,
        session_id: str,
        store: Store,
        table: StatusTable,
        find: Callable[[lt.torrent_handle], Torrent | None],
    ) -> None:
        self._session_id = session_id
        self._store = store
        self._table = table
        self._find = find
        self._queued: dict[Torrent, bool] = {}
        self._asked = 0
        self._idle: deque[Deferred[None]] = deque()
        self._writing = 0

    @property
    def handlers(self) -> Handlers:
        """What the session's alert poller must bring here."""
        return {lt.save_resume_data_alert: self._on_saved, lt.save_resume_data_failed_alert: self._on_failed}

    def want(self, torrent: Torrent, *, only_if_modified: bool = False) -> None:
        """Save this torrent's resume data soon."""
        if not torrent.memory_only:
            self._queued[torrent] = self._queued.get(torrent, True) and only_if_modified
            self._ask()

    def idle(self) -> "Deferred[None]":
        """Fires when everything that was wanted is in the store."""
        deferred: Deferred[None] = Deferred()
        self._idle.append(deferred)
        self._tell_if_idle()
        return deferred

    def forget_asked(self) -> None:
        """Alerts were dropped: what libtorrent was asked for may never come."""
        self._asked = 0
        self._ask()

    def _ask(self) -> None:
        while self._queued and self._asked < WINDOW:
            torrent = next(iter(self._queued))
            only_if_modified = self._queued.pop(torrent)
            if torrent.handle is None or not torrent.handle.is_valid():
                continue
            torrent.handle.save_resume_data(
                lt.save_resume_flags_t.only_if_modified if only_if_modified else 0
            )
            self._asked += 1
        self._tell_if_idle()

    def _on_saved(self, alert: lt.save_resume_data_alert) -> None:
        torrent = self._find(alert.handle)
        if torrent is not None and torrent.infohash in self._table:
            data = lt.write_resume_data_buf(alert.params)
            row = self._table[torrent.infohash].row
            torrent.done = bool(row[_COMPLETE])
            self._writing += 1
            self._store.save_resume(
                self._session_id, torrent.infohash, data, pack_row(row), torrent.done
            ).addErrback(self._not_stored, torrent).addBoth(self._stored)
        self._answered()

    def _on_failed(self, alert: lt.save_resume_data_failed_alert) -> None:
        # most of these only say that nothing was modified
        self._answered()

    def _answered(self) -> None:
        self._asked = max(self._asked - 1, 0)
        self._ask()

    def _not_stored(self, failure: object, torrent: Torrent) -> None:
        # the store says in /health that it can't write; the next change or the next minute tries again
        self.log.warn(
            "resume data of {infohash} not stored: {failure}", infohash=torrent.infohash, failure=failure
        )

    def _stored(self, result: object) -> None:
        self._writing -= 1
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        while self._idle and not (self._queued or self._asked or self._writing):
            self._idle.popleft().callback(None)
