"""Stored torrents of one session: listed at once as they were last seen, then loaded one after the other."""

from collections.abc import Sequence

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..errors import CommandError, Loading, TorrentNotFound
from ..paths.presence import RootMissing
from ..store.records import TorrentBlobs, TorrentRecord
from .fields import POSITION, initial_row, restate, unpack_row
from .loading import Loader, parameters_of
from .parts import Parts, Piece
from .torrent import Torrent


class Restorer(Piece):
    """
    Lists and loads what the store has of a session.

    :ivar loader: does it, those first that somebody waits for.
    """

    log = Logger()

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._recheck = False
        self.loader = Loader(self._shared.pace, self._blobs, self._start, self._could_not)

    def restore(self, record: TorrentRecord) -> None:
        """List a torrent as it was last seen."""
        torrent = Torrent.from_record(record)
        row = unpack_row(record.row)
        if row is None:
            row = initial_row(torrent)
        else:
            torrent.name = row[POSITION["name"]]
            torrent.take_content_path(row[POSITION["content_path"]])
        self._torrents.add(torrent)
        self._table.put(torrent.infohash, row)
        self.loader.add(torrent)

    async def load(self, *, recheck: bool) -> None:
        """
        Load all that was restored.

        :param recheck: the last exit was no clean one: look which pieces of running, unfinished torrents are
            there.
        """
        self._recheck = recheck
        # two at once keep the store and libtorrent busy side by side
        other = Deferred.fromCoroutine(self.loader.run())
        await self.loader.run()
        await other

    async def loaded(self, torrent: Torrent) -> lt.torrent_handle:
        """
        The torrent's handle, waited for while the daemon loads.

        :raises Loading: after 10 s; :raises TorrentNotFound: if it was removed meanwhile; and whatever kept
            it from being loaded.
        """
        if torrent.handle is None:
            await self.loader.wait_for(torrent)
        if torrent.handle is not None:
            return torrent.handle
        if torrent not in self._torrents:
            raise TorrentNotFound(f"this session has no torrent {torrent.infohash}", field="infohash")
        if torrent.fault is not None:
            raise torrent.fault
        raise Loading("the daemon is still loading its torrents, try again")

    async def settled(self, torrent: Torrent) -> None:
        """Wait until it is known whether the torrent can be loaded; raises Loading after 10 s."""
        if torrent.fault is None:
            try:
                await self.loaded(torrent)
            except CommandError:
                if torrent.fault is None:
                    raise

    async def retry(self, torrent: Torrent) -> None:
        """
        Load a torrent that could not be loaded before.

        :raises CommandError: if it still can't; :raises Loading: if that takes more than 10 s.
        """
        torrent.fault = None
        self.loader.add(torrent)
        Deferred.fromCoroutine(self.loader.run()).addErrback(
            lambda failure: self.log.failure(
                "loading {infohash} again failed", failure, infohash=torrent.infohash
            )
        )
        await self.loaded(torrent)

    def _blobs(self, infohashes: Sequence[str]) -> "Deferred[dict[str, TorrentBlobs]]":
        return self._shared.store.blobs(self._session_id, infohashes)

    def absolve(self, torrent: Torrent) -> bool:
        """Have a torrent loaded by ``loader.run`` whose root was missing and is back; whether it is one."""
        if not isinstance(torrent.fault, RootMissing):
            return False
        torrent.fault = None
        self._table.put(
            torrent.infohash,
            restate(self._table[torrent.infohash].row, state="checking_resume_data", error=None),
        )
        self.loader.add(torrent)
        return True

    @property
    def lacks_root(self) -> bool:
        """Whether a torrent was not loaded for want of its root."""
        return any(isinstance(torrent.fault, RootMissing) for torrent in self._torrents)

    async def _start(self, torrent: Torrent, blobs: TorrentBlobs) -> None:
        # in an empty mount point libtorrent would find nothing, and then make everything anew
        self._shared.roots.require(torrent.save_path)
        recheck = self._recheck and not torrent.done and not torrent.stopped
        params = parameters_of(torrent, blobs, recheck=recheck, log=self.log)
        # a link that was put there since must not lead libtorrent out of the roots
        await self._confinement.check(torrent.save_path, params.ti)
        if torrent not in self._torrents:
            return
        handle = await self._link.add(params)
        if torrent in self._torrents:
            self._torrents.loaded(torrent, handle)
        else:
            await self._link.remove(handle)

    def _could_not(self, torrent: Torrent, reason: CommandError) -> None:
        torrent.fault = reason
        if isinstance(reason, RootMissing):
            # that was said once, for all of them
            if torrent in self._torrents:
                row = self._table[torrent.infohash].row
                self._table.put(torrent.infohash, restate(row, state="missing_files", error=reason.message))
            return
        self.log.warn(
            "{infohash} could not be loaded: {reason}", infohash=torrent.infohash, reason=reason.message
        )
        if torrent in self._torrents:
            self._note("torrent_error", torrent, f"could not be loaded: {reason.message}", level="error")
            row = self._table[torrent.infohash].row
            self._table.put(torrent.infohash, restate(row, state="error", error=reason.message))
