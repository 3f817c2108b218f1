"""
Metadata that came from a peer, held to the limits that a .torrent file is held to.

libtorrent refuses by itself what is too large or has too many pieces (see ``profile``); the rest is seen
here, when it has the torrent already. What is refused is taken from it, and stays listed with the reason.
"""

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..errors import CommandError, NotATorrent, Stopping
from .fields import restate
from .metainfo import check_info
from .parts import Piece
from .torrent import Torrent


class MetadataGate(Piece):
    """Looks at one session's magnets when their metadata has come."""

    log = Logger()

    def admit(self, torrent: Torrent) -> bool:
        """Whether its metadata may be used; else the torrent is stopped, and libtorrent rid of it."""
        info, handle = torrent.info(), torrent.handle
        if info is None or handle is None:
            return True
        try:
            check_info(info)
        except NotATorrent as error:
            reason = NotATorrent(f"its metadata is refused: {error.message}", field="magnet")
        else:
            return True
        self.log.warn("{infohash}: {reason}", infohash=torrent.infohash, reason=reason.message)
        self._note("torrent_error", torrent, reason.message, level="error")
        torrent.fault, torrent.stopped, torrent.handle = reason, True, None
        # now: what libtorrent tells of it from here on says nothing
        self._torrents.forget_handle(handle)
        row = self._table[torrent.infohash].row
        self._table.put(torrent.infohash, restate(row, state="error", error=reason.message))
        Deferred.fromCoroutine(self._let_go(torrent, handle)).addErrback(
            lambda failure: self.log.failure("{infohash} was not let go", failure, infohash=torrent.infohash)
        )
        return False

    async def _let_go(self, torrent: Torrent, handle: lt.torrent_handle) -> None:
        try:
            if not torrent.memory_only:
                await self._shared.store.set_stopped(self._session_id, torrent.infohash, True, None)
        except CommandError as error:
            self.log.warn(
                "{infohash} may run again after a restart: {error}",
                infohash=torrent.infohash, error=error.message,
            )  # fmt: skip
        try:
            await self._link.remove(handle)
        except Stopping:
            # all of its session goes
            return
        except CommandError as error:
            self.log.warn(
                "{infohash} is refused, but libtorrent has it still: {error}",
                infohash=torrent.infohash, error=error.message,
            )  # fmt: skip
