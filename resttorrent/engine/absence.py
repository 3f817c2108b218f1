"""
Torrents whose save root is missing: held while it is, running again when it is back, without a full check.

libtorrent opens files by name, and would make them anew in an empty mount point. What it may have written
there before the root was missed is not in the root: an unfinished torrent of which something lies in the
wrong place is checked when the root is back.
"""

import contextlib
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..errors import TorrentNotFound
from ..paths.presence import existing
from .fields import POSITION, restate
from .parts import Parts, Piece
from .refresh import Refresher
from .restoring import Restorer
from .torrent import Torrent, not_gone

_STATE, _COMPLETE = POSITION["state"], POSITION["complete"]


class Absence(Piece):
    """
    Holds and releases the torrents of one session.

    :param closing: whether the session takes no more.
    """

    log = Logger()

    def __init__(
        self, parts: Parts, restorer: Restorer, refresher: Refresher, *, closing: Callable[[], bool]
    ) -> None:
        super().__init__(parts)
        self._restorer = restorer
        self._refresher = refresher
        self._closing = closing

    async def settle(self, strays: frozenset[str]) -> None:
        """
        Hold the torrents of missing roots, let those of roots that are there run. May run beside itself.

        :param strays: missing roots in whose places something lies.
        """
        released = False
        for torrent in list(self._torrents):
            if self._closing():
                return
            if torrent in self._torrents:
                released |= self._settle(torrent)
            await self._shared.pace.breathe("looking after torrents of a missing save root")
        if released:
            Deferred.fromCoroutine(self._restorer.loader.run()).addErrback(
                lambda failure: self.log.failure("torrents of a save root were not loaded", failure)
            )
        if strays:
            await self._look_for_strays(strays)

    def _settle(self, torrent: Torrent) -> bool:
        """Whether it is to be loaded now."""
        why = self._shared.roots.why_absent(torrent.save_path)
        if torrent.handle is None:
            return why is None and self._restorer.absolve(torrent)
        with contextlib.suppress(TorrentNotFound), not_gone(torrent):
            if why is not None and torrent.away != why:
                self._hold(torrent, why)
            elif why is None and torrent.away is not None:
                self._release(torrent)
        return False

    def _hold(self, torrent: Torrent, why: str) -> None:
        row = self._table[torrent.infohash].row
        if torrent.away is None and row[_STATE] in ("checking", "checking_resume_data"):
            # what it looked for and did not find is there
            torrent.suspect = True
        torrent.away = why
        # closes its files as well, so that the disk can be unmounted for good
        torrent.hold()
        if not torrent.stopped:
            self._table.put(torrent.infohash, restate(row, state="missing_files", error=why))

    def _release(self, torrent: Torrent) -> None:
        torrent.away = None
        handle = torrent.live
        handle.clear_error()
        if torrent.suspect:
            torrent.suspect = False
            handle.force_recheck()
        if not torrent.stopped:
            torrent.apply_stopped()
        self._refresher.recent().addErrback(self._not_refreshed)

    def _not_refreshed(self, failure: object) -> None:
        if not self._closing():
            self.log.warn("the table is not up to date: {failure}", failure=failure)

    async def _look_for_strays(self, strays: frozenset[str]) -> None:
        roots = self._shared.roots
        asked = [
            torrent
            for torrent in self._torrents
            if torrent.away is not None
            and not torrent.suspect
            and torrent.content_path is not None
            and roots.root_of(torrent.save_path) in strays
            and not self._table[torrent.infohash].row[_COMPLETE]
        ]
        if not asked:
            return
        found = await self._link.worker.call(existing, [str(torrent.content_path) for torrent in asked])
        for torrent, exists in zip(asked, found, strict=True):
            if exists and not torrent.suspect:
                torrent.suspect = True
                self.log.warn(
                    "{path} lies in the place of a missing save root: it is checked when that is back",
                    path=torrent.content_path,
                )
