"""
Keeping a session's table and stored resume data up to date with what libtorrent tells.

An alert that changes a state has the table refreshed at once, once for all alerts of a turn. What matters is
saved when the table shows it; everything else that changed, once a minute.
"""

from collections.abc import Sequence
from typing import Any

import libtorrent as lt
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from .alerts import Handlers
from .catalogue import Catalogue
from .fields import read_row
from .link import Link
from .refresh import Refresher
from .saving import ResumeSaver
from .shared import Shared
from .table import StatusTable
from .torrent import Torrent

SAVE_INTERVAL = 60.0
"""Seconds between two saves of whatever changed."""


class Upkeep:
    """
    What happens by itself in one session.

    :ivar refresher: brings the table up to date; :ivar saver: saves resume data.
    """

    log = Logger()

    def __init__(
        self, session_id: str, shared: Shared, link: Link, table: StatusTable, torrents: Catalogue
    ) -> None:
        self._session_id = session_id
        self._shared = shared
        self._link = link
        self._table = table
        self._torrents = torrents
        self.refresher = Refresher(shared.reactor, link.post_updates, self._put)
        self.saver = ResumeSaver(session_id, shared.store, table, torrents.of_handle)
        self._soon: IDelayedCall | None = None
        self._save_when_shown: set[Torrent] = set()
        self._saved_rev = table.rev
        self._timer: IDelayedCall | None = None
        self._stopped = False

    @property
    def handlers(self) -> Handlers:
        """What the session's alert poller must bring here."""
        return {
            lt.state_update_alert: self.refresher.on_state_update,
            lt.metadata_received_alert: self._on_metadata,
            lt.torrent_finished_alert: self._on_saveworthy,
            lt.torrent_checked_alert: self._on_saveworthy,
            lt.torrent_paused_alert: self._on_saveworthy,
            lt.torrent_resumed_alert: self._on_state,
            lt.state_changed_alert: self._on_state,
            lt.torrent_error_alert: self._on_state,
            lt.file_error_alert: self._on_state,
            lt.fastresume_rejected_alert: self._on_state,
            lt.torrent_conflict_alert: self._on_state,
            **self.saver.handlers,
        }

    def start(self) -> None:
        """Begin to save once a minute."""
        self._timer = self._shared.reactor.callLater(SAVE_INTERVAL, self._save_changed)

    def stop(self) -> None:
        """Do nothing more by itself."""
        self._stopped = True
        for timer in (self._timer, self._soon):
            if timer is not None and timer.active():
                timer.cancel()

    def _put(self, status: lt.torrent_status) -> None:
        torrent = self._torrents.of_handle(status.handle)
        if torrent is None or torrent not in self._torrents:
            return
        try:
            row = read_row(status, torrent, self._shared.now())
        except UnicodeDecodeError:
            # one bad row must not keep the others from being seen
            self.log.warn("status of {infohash} can't be read: no UTF-8", infohash=torrent.infohash)
        else:
            self._table.put(torrent.infohash, row)

    def _on_state(self, alert: Any) -> None:
        if self._soon is None and not self._stopped:
            self._soon = self._shared.reactor.callLater(0, self._refresh)

    def _on_saveworthy(self, alert: Any) -> None:
        torrent = self._torrents.of_handle(alert.handle)
        if torrent is not None and not torrent.memory_only:
            self._save_when_shown.add(torrent)
        self._on_state(alert)

    def _refresh(self) -> None:
        self._soon = None
        torrents, self._save_when_shown = self._save_when_shown, set()

        def save(_: None) -> None:
            for torrent in torrents:
                if torrent in self._torrents:
                    self.saver.want(torrent)

        # the stored row is the table's, so the table must show what happened
        self.refresher.fresh().addCallbacks(save, self._not_refreshed)

    def _not_refreshed(self, failure: Any) -> None:
        self.log.warn(
            "no status of session {id}: {error}", id=self._session_id, error=failure.getErrorMessage()
        )

    def _on_metadata(self, alert: lt.metadata_received_alert) -> None:
        torrent = self._torrents.of_handle(alert.handle)
        if torrent is None or torrent not in self._torrents:
            return
        info = torrent.learn_metadata()
        self._torrents.add(torrent)
        if info is not None and not torrent.memory_only:
            self._shared.store.save_info(
                self._session_id, torrent.infohash, info, torrent.infohash_v1, torrent.infohash_v2
            ).addErrback(lambda failure: self.log.failure("metadata was not stored", failure))
        self._on_saveworthy(alert)

    def resynchronise(self) -> None:
        """libtorrent dropped alerts: look at every torrent."""
        self.log.error(
            "libtorrent dropped alerts of session {id}: looking at all torrents", id=self._session_id
        )
        self.refresher.resynchronised()
        self.saver.forget_asked()
        handles = [torrent.handle for torrent in self._torrents if torrent.handle is not None]
        self._link.worker.call(_statuses, handles).addCallbacks(self._put_all, self._not_refreshed)

    def _put_all(self, statuses: Sequence[lt.torrent_status]) -> None:
        for status in statuses:
            self._put(status)

    def _save_changed(self) -> None:
        self.start()

        def save(_: None) -> None:
            since, self._saved_rev = self._saved_rev, self._table.rev
            for infohash, _entry in self._table.changed_since(since):
                self.saver.want(self._torrents.named(infohash), only_if_modified=True)

        self.refresher.recent().addCallbacks(save, self._not_refreshed)


def _statuses(handles: Sequence[lt.torrent_handle]) -> list[lt.torrent_status]:
    # one round trip each, but get_torrent_status() would hold the GIL for all of them
    return [handle.status() for handle in handles if handle.is_valid()]
