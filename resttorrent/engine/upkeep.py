"""
Keeping a session's table and stored resume data up to date with what libtorrent tells.

An alert that changes a state has the table refreshed at once, a flood of them 50 times a second. What matters
is saved when the table shows it; everything else that changed, once a minute.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import CommandError, Stopping, TorrentNotFound
from .alerts import Handlers
from .fields import POSITION, read_row, restate
from .gate import MetadataGate
from .parts import Parts, Piece
from .refresh import Refresher
from .saving import ResumeSaver
from .torrent import Torrent, not_gone
from .tracker_trouble import TrackerTrouble

LOOK_INTERVAL = 0.02
"""Seconds between two looks that alerts cause: the first comes at once, a flood of alerts shares the next."""
SAVE_INTERVAL = 60.0
"""Seconds between two saves of whatever changed."""
_STATE, _ERROR = POSITION["state"], POSITION["error"]
_UPLOAD_MODE = int(lt.torrent_flags.upload_mode)
_MISSING = (
    "files that were complete are missing or shorter than they were: resume it to check and download them"
)


class Upkeep(Piece):
    """
    What happens by itself in one session.

    :ivar refresher: brings the table up to date; :ivar saver: saves resume data.
    """

    log = Logger()

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.refresher = Refresher(self._shared.reactor, self._link.post_updates, self._put)
        self.saver = ResumeSaver(self._session_id, self._shared.store, self._table, self._kept)
        self._trackers = TrackerTrouble(parts)
        self._gate = MetadataGate(parts)
        self._soon: IDelayedCall | None = None
        self._save_when_shown: set[Torrent] = set()
        self._next_look = 0.0
        self._saved_rev = self._table.rev
        self._seen: set[Torrent | None] | None = None
        self._look_again = False
        self._info_unstored: set[Torrent] = set()
        self._timer: IDelayedCall | None = None
        self._stopped = False

    @property
    def handlers(self) -> Handlers:
        """What the session's alert poller must bring here."""
        return {
            lt.state_update_alert: self.refresher.on_state_update,
            lt.metadata_received_alert: self._on_metadata,
            lt.torrent_finished_alert: self._on_finished,
            lt.torrent_checked_alert: self._on_saveworthy,
            lt.torrent_paused_alert: self._on_saveworthy,
            lt.torrent_resumed_alert: self._on_state,
            lt.state_changed_alert: self._on_state,
            lt.torrent_error_alert: self._on_error,
            lt.file_error_alert: self._on_file_error,
            lt.fastresume_rejected_alert: self._on_rejected,
            lt.torrent_conflict_alert: self._on_state,
            **self._trackers.handlers,
            **self.saver.handlers,
        }

    def start(self) -> None:
        """Begin to save once a minute."""
        if self._stopped:
            return
        self._timer = self._shared.reactor.callLater(SAVE_INTERVAL, self._save_changed)

    def stop(self) -> None:
        """Do nothing more by itself."""
        self._stopped = True
        self._trackers.stop()
        for timer in (self._timer, self._soon):
            if timer is not None and timer.active():
                timer.cancel()

    def _kept(self, handle: lt.torrent_handle) -> Torrent | None:
        """The torrent of this handle, unless it is being removed: the same one may have been added again."""
        torrent = self._torrents.of_handle(handle)
        return torrent if torrent is not None and torrent in self._torrents else None

    def _put(self, status: lt.torrent_status) -> None:
        torrent = self._kept(status.handle)
        if torrent is None:
            return
        if self._seen is not None:
            self._seen.add(torrent)
        try:
            row = read_row(status, torrent, self._shared.now())
        except Exception:
            # one bad row must not keep the others from being seen
            self.log.failure("status of {infohash} can't be read", infohash=torrent.infohash)
            return
        if torrent.finished and row[_STATE] == "downloading":
            torrent.finished = False
        if torrent.away is not None and not torrent.stopped:
            row = restate(row, state="missing_files", error=torrent.away)
        elif torrent.unwritable is not None and int(status.flags) & _UPLOAD_MODE:
            if torrent.unsure:
                row = restate(row, complete=False)
            if not torrent.stopped:
                row = restate(row, state="error", error=torrent.unwritable)
        elif torrent.unsure and row[_ERROR] is None:
            # libtorrent tries again by itself
            with contextlib.suppress(TorrentNotFound), not_gone(torrent):
                torrent.write_again()
        elif torrent.files_missing:
            row = restate(row, state="missing_files", error=_MISSING)
        self._table.put(torrent.infohash, row)

    def _on_state(self, alert: Any) -> None:
        if self._soon is None and not self._stopped:
            reactor = self._shared.reactor
            self._soon = reactor.callLater(max(self._next_look - reactor.seconds(), 0), self._refresh)

    def _on_rejected(self, alert: lt.fastresume_rejected_alert) -> None:
        torrent = self._kept(alert.handle)
        if torrent is not None and torrent.away is not None:
            torrent.suspect = True
        elif torrent is not None and torrent.done and not torrent.stopped:
            # the disk may not be mounted: libtorrent would download it all again, to where it does not belong
            self.log.warn("{infohash}: {reason}", infohash=torrent.infohash, reason=_MISSING)
            self._note("torrent_error", torrent, _MISSING, level="error")
            torrent.files_missing = True
            torrent.hold()
        self._on_state(alert)

    def _on_error(self, alert: lt.torrent_error_alert) -> None:
        self._on_state(alert)
        torrent = self._kept(alert.handle)
        # of a file that can't be read, both alerts tell: the other one, which comes first, names the file
        if torrent is not None and alert.error.message() != torrent.unwritable:
            self._note("torrent_error", torrent, alert.error.message(), level="error")

    def _on_file_error(self, alert: lt.file_error_alert) -> None:
        self._on_state(alert)
        torrent = self._kept(alert.handle)
        if torrent is not None:
            reason = alert.error.message()
            # libtorrent says it of each block that was on its way
            if reason != torrent.unwritable:
                self._note("file_error", torrent, f"{reason}: {alert.filename()}", level="error")
            # on a full or read-only disk libtorrent says nothing more: it downloads no more, and tries again
            # after optimistic_disk_retry
            torrent.unwritable = reason

    def _on_finished(self, alert: lt.torrent_finished_alert) -> None:
        torrent = self._kept(alert.handle)
        # libtorrent says it of complete torrents too, when they are loaded or checked
        if torrent is not None and not torrent.finished:
            torrent.finished = True
            self._note("torrent_finished", torrent, "all that is wanted of it is here")
        self._on_saveworthy(alert)

    def _on_saveworthy(self, alert: Any) -> None:
        torrent = self._torrents.of_handle(alert.handle)
        if torrent is not None and not torrent.memory_only:
            self._save_when_shown.add(torrent)
        self._on_state(alert)

    def _refresh(self) -> None:
        self._soon = None
        self._next_look = self._shared.reactor.seconds() + LOOK_INTERVAL
        torrents, self._save_when_shown = self._save_when_shown, set()

        def save(_: None) -> None:
            # without its metadata, resume data would be of no use
            self._save_info_again(torrents & self._info_unstored)
            for torrent in torrents:
                if torrent in self._torrents:
                    self.saver.want(torrent)

        # the stored row is the table's, so the table must show what happened
        self.refresher.fresh().addCallbacks(save, self._not_refreshed)

    def _not_refreshed(self, failure: Any) -> None:
        if self._stopped:
            return
        self.log.warn(
            "no status of session {id}: {error}", id=self._session_id, error=failure.getErrorMessage()
        )

    def _on_metadata(self, alert: lt.metadata_received_alert) -> None:
        torrent = self._kept(alert.handle)
        if torrent is None:
            return
        if not self._gate.admit(torrent):
            return
        info = torrent.learn_metadata()
        self._torrents.add(torrent)
        if info is not None and not torrent.memory_only:
            self._save_info(torrent, info)
        self._note("metadata_received", torrent, "its metadata came")
        self._on_saveworthy(alert)
        Deferred.fromCoroutine(self._check_files(torrent)).addErrback(
            lambda failure: self.log.failure("files could not be checked", failure)
        )

    def _save_info(self, torrent: Torrent, info: bytes) -> "Deferred[None]":
        def not_stored(failure: Failure) -> None:
            self._info_unstored.add(torrent)
            self.log.warn(
                "metadata of {infohash} not stored: {error}",
                infohash=torrent.infohash, error=failure.getErrorMessage(),
            )  # fmt: skip

        return self._shared.store.save_info(
            self._session_id, torrent.infohash, info, torrent.infohash_v1, torrent.infohash_v2
        ).addErrback(not_stored)

    def _save_info_again(self, torrents: Iterable[Torrent]) -> "list[Deferred[None]]":
        again = []
        for torrent in tuple(torrents):
            self._info_unstored.discard(torrent)
            info = torrent.info()
            if info is not None and torrent in self._torrents:
                again.append(self._save_info(torrent, bytes(info.info_section())))
        return again

    def save_unstored(self) -> "Deferred[list[None]]":
        """Save once more what the store could not take; fires when it has the metadata, or refused it."""
        again = self._save_info_again(self._info_unstored)
        self.saver.retry()
        return gatherResults(again)

    @property
    def all_stored(self) -> bool:
        """Whether the store took all that it was given."""
        return self.saver.all_stored and not self._info_unstored

    async def _check_files(self, torrent: Torrent) -> None:
        """A magnet's files are known at last: stop it if a link leads them out of the roots."""
        try:
            await self._confinement.check(torrent.save_path, torrent.info())
        except Stopping:
            return
        except CommandError as error:
            self.log.warn("{infohash} is stopped: {error}", infohash=torrent.infohash, error=error.message)
            self._note("torrent_stopped", torrent, f"stopped: {error.message}", level="error")
        else:
            return
        if torrent.handle is not None:
            with contextlib.suppress(TorrentNotFound), not_gone(torrent):
                torrent.stopped = True
                torrent.hold()
            if not torrent.memory_only:
                await self._shared.store.set_stopped(self._session_id, torrent.infohash, True, None)

    def resynchronise(self) -> None:
        """libtorrent dropped alerts: look at every torrent."""
        if self._seen is not None or self._stopped:
            self._look_again = True
            return
        self.log.error(
            "libtorrent dropped alerts of session {id}: looking at all torrents", id=self._session_id
        )
        Deferred.fromCoroutine(self._look_at_all()).addErrback(self._not_refreshed)

    async def _look_at_all(self) -> None:
        # what is reported while we look is newer than what we see
        self._seen, self._look_again = set(), False
        question = self.refresher.last_question
        handles = [torrent.handle for torrent in self._torrents if torrent.handle is not None]
        try:
            for status in await self._link.worker.call(_statuses, handles):
                if self._torrents.of_handle(status.handle) not in self._seen:
                    self._put(status)
                await self._shared.pace.breathe("looking at all torrents")
        finally:
            self._seen = None
            self.refresher.resynchronised(question)
            self.saver.ask_again()
            if self._look_again:
                self.resynchronise()

    def _save_changed(self) -> None:
        self.start()
        self.save_unstored()

        def save(_: None) -> None:
            since, self._saved_rev = self._saved_rev, self._table.rev
            for infohash, _entry in self._table.changed_since(since):
                self.saver.want(self._torrents.named(infohash), only_if_modified=True)

        self.refresher.recent().addCallbacks(save, self._not_refreshed)


def _statuses(handles: Sequence[lt.torrent_handle]) -> list[lt.torrent_status]:
    # one round trip each, but get_torrent_status() would hold the GIL for all of them
    statuses = []
    for handle in handles:
        # it may be removed at any time
        with contextlib.suppress(RuntimeError):
            statuses.append(handle.status())
    return statuses
