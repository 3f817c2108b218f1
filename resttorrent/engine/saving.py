"""
Saving resume data: after what matters, and for the rest when it changed, a few at a time.

Writing out resume data holds the GIL, so at most ``WINDOW`` requests are with libtorrent at once.
"""

from collections import deque
from collections.abc import Callable

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..store.store import Store
from .alerts import Handlers
from .fields import POSITION, pack_row
from .table import StatusTable
from .torrent import Torrent

WINDOW = 50
_COMPLETE = POSITION["complete"]
_ONLY_IF_MODIFIED = int(lt.save_resume_flags_t.only_if_modified)
_TRACES = tuple(POSITION[name] for name in ("total_done", "all_time_download", "active_duration", "complete"))


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
        self._again: dict[Torrent, bool] = {}
        self._asked: dict[lt.torrent_handle, Torrent] = {}
        self._flushing: set[lt.torrent_handle] = set()
        self._unstored: set[Torrent] = set()
        self._idle: deque[Deferred[None]] = deque()
        self._writing = 0

    @property
    def handlers(self) -> Handlers:
        """What the session's alert poller must bring here."""
        return {
            lt.cache_flushed_alert: self._on_flushed,
            lt.save_resume_data_alert: self._on_saved,
            lt.save_resume_data_failed_alert: self._on_failed,
        }

    def want(self, torrent: Torrent, *, only_if_modified: bool = False) -> None:
        """Save this torrent's resume data soon, if it can hold anything."""
        # of files that are missing or can't be written, the store knows best what they held
        missing = torrent.files_missing or torrent.away is not None
        held = torrent.memory_only or missing or torrent.unsure
        if not held and self._has_history(torrent):
            self._enqueue(torrent, only_if_modified)

    def _enqueue(self, torrent: Torrent, only_if_modified: bool) -> None:
        # one question for each torrent: answers carry no number
        queue = self._again if torrent.handle in self._asked else self._queued
        queue[torrent] = queue.get(torrent, True) and only_if_modified
        self._ask()

    def _has_history(self, torrent: Torrent) -> bool:
        """Whether something was found or moved: if not, what the store was given with the add says it all."""
        if torrent.done or torrent.magnet is not None or torrent.infohash not in self._table:
            return True
        row = self._table[torrent.infohash].row
        return any(row[position] for position in _TRACES)

    def idle(self) -> "Deferred[None]":
        """Fires when everything that was wanted is in the store."""
        deferred: Deferred[None] = Deferred()
        self._idle.append(deferred)
        self._tell_if_idle()
        return deferred

    def ask_again(self) -> None:
        """Alerts were dropped: what libtorrent was asked for may never come, so ask for it once more."""
        lost = list(self._asked.values())
        self._asked.clear()
        self._flushing.clear()
        # to libtorrent, what it gave is saved
        self._queued.update(dict.fromkeys([*lost, *self._again], False))
        self._again.clear()
        self._ask()

    def retry(self) -> None:
        """Save once more what the store could not take."""
        torrents, self._unstored = self._unstored, set()
        for torrent in torrents:
            self._enqueue(torrent, False)

    @property
    def all_stored(self) -> bool:
        """Whether the store took all that it was given."""
        return not self._unstored

    def _ask(self) -> None:
        while self._queued and len(self._asked) < WINDOW:
            torrent = next(iter(self._queued))
            flags = _ONLY_IF_MODIFIED if self._queued.pop(torrent) else 0
            handle = torrent.handle
            if handle is None:
                continue
            try:
                if not torrent.done and self._is_complete(torrent):
                    # what can't be written is told of before the answer to this, and may count as downloaded
                    handle.flush_cache()
                    self._flushing.add(handle)
                else:
                    handle.save_resume_data(flags)
            except RuntimeError:
                # removed meanwhile
                continue
            self._asked[handle] = torrent
        self._tell_if_idle()

    def _is_complete(self, torrent: Torrent) -> bool:
        return torrent.infohash in self._table and bool(self._table[torrent.infohash].row[_COMPLETE])

    def _on_flushed(self, alert: lt.cache_flushed_alert) -> None:
        if alert.handle not in self._flushing:
            return
        self._flushing.discard(alert.handle)
        torrent = self._asked.get(alert.handle)
        if torrent is None:
            return
        try:
            if torrent.unsure:
                self._answered(alert.handle)
            else:
                alert.handle.save_resume_data(0)
        except RuntimeError:
            # removed meanwhile
            self._answered(alert.handle)

    def _on_saved(self, alert: lt.save_resume_data_alert) -> None:
        torrent = self._find(alert.handle)
        if torrent is not None and torrent.infohash in self._table and not torrent.unsure:
            data = lt.write_resume_data_buf(alert.params)
            row = self._table[torrent.infohash].row
            torrent.done = bool(row[_COMPLETE])
            self._writing += 1
            self._store.save_resume(
                self._session_id, torrent.infohash, data, pack_row(row), torrent.done
            ).addErrback(self._not_stored, torrent).addBoth(self._stored)
        self._answered(alert.handle)

    def _on_failed(self, alert: lt.save_resume_data_failed_alert) -> None:
        # most of these only say that nothing was modified
        self._answered(alert.handle)

    def _answered(self, handle: lt.torrent_handle) -> None:
        torrent = self._asked.pop(handle, None)
        if torrent is not None and torrent in self._again:
            self._queued[torrent] = self._again.pop(torrent)
        self._ask()

    def _not_stored(self, failure: Failure, torrent: Torrent) -> None:
        # the store says in /health that it can't write; the next minute tries again
        self._unstored.add(torrent)
        self.log.warn(
            "resume data of {infohash} not stored: {error}",
            infohash=torrent.infohash, error=failure.getErrorMessage(),
        )  # fmt: skip

    def _stored(self, result: object) -> None:
        self._writing -= 1
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        while self._idle and not (self._queued or self._asked or self._writing):
            self._idle.popleft().callback(None)
