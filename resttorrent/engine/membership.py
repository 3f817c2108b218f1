"""
How torrents come into a session and leave it.

Both are answered when store, libtorrent and table agree; what fails half-way is taken back.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from ..errors import CommandError, EngineError, EngineTimeout, Stopping, TorrentExists, TorrentNotFound
from ..store.records import Deletion
from .fields import initial_row, pack_row
from .parts import Parts, Piece
from .refresh import Refresher
from .shared import Addition
from .torrent import Torrent


class Membership(Piece):
    """
    Adds torrents to one session, and removes them.

    :param closing: whether the session takes no more.
    :param leaving: is told of a torrent that goes, and so tells its trackers that it stops.
    """

    log = Logger()

    def __init__(
        self,
        parts: Parts,
        refresher: Refresher,
        *,
        closing: Callable[[], bool],
        leaving: Callable[[Torrent], None],
    ) -> None:
        super().__init__(parts)
        self._refresher = refresher
        self._closing = closing
        self._leaving = leaving

    async def add(self, addition: Addition) -> Torrent:
        """
        Add a torrent; answers when libtorrent has taken it, the store has committed it and the table shows
        it.

        :raises PathOutsideRoots: if a link leads its files out of the roots.
        :raises TorrentExists: if the session has it; whatever is raised, nothing is left of the torrent.
        """
        metainfo = addition.metainfo
        await self._confinement.check(addition.save_path, metainfo.params.ti)
        torrent = self._admit(addition)
        torrent.configure(metainfo.params)
        row = initial_row(torrent, total=metainfo.total, total_wanted=metainfo.total)
        stored: Deferred[None] | None = None
        if not torrent.memory_only:
            record = torrent.record(self._session_id, pack_row(row))
            stored = self._shared.store.add_torrent(record, metainfo.data)
        taken = maybeDeferred(self._link.add, metainfo.params)
        shown = self._refresher.fresh()
        # all were asked; how each ended must be known before anything is undone
        failed: Exception | None = None
        try:
            self._torrents.loaded(torrent, await taken)
            # now, or what libtorrent tells of it while the store writes would be logged before
            self._note("torrent_added", torrent, "added")
        except Exception as error:
            failed = error
        if stored is not None:
            try:
                await stored
            except Exception as error:
                failed, stored = failed or error, None
        try:
            await shown
        except Exception as error:
            failed = failed or error
        if failed is None and self._closing():
            failed = Stopping("the session is being closed")
        if failed is not None:
            await self._undo(torrent, was_stored=stored is not None)
            raise failed
        return torrent

    def _admit(self, addition: Addition) -> Torrent:
        if self._closing():
            raise Stopping("the session is being closed")
        metainfo = addition.metainfo
        identity = metainfo.identity
        if self._torrents.of_identity(identity) is not None:
            raise TorrentExists(f"torrent {identity.key} is in this session already", field="infohash")
        torrent = Torrent(
            identity.key,
            identity,
            save_path=addition.save_path,
            storage_mode=addition.storage_mode,
            stopped=addition.stopped,
            memory_only=addition.memory_only,
            added_time=int(self._shared.now()),
            magnet=metainfo.magnet,
            name=metainfo.name,
            top=metainfo.top,
        )
        self._torrents.add(torrent)
        return torrent

    async def _undo(self, torrent: Torrent, *, was_stored: bool) -> None:
        """Take back an addition; what can't be is logged, for its caller hears of the first error."""
        if torrent.handle is not None:
            self._note("torrent_removed", torrent, "not added after all", level="warning")
        try:
            if was_stored:
                await self._shared.store.remove_torrent(self._session_id, torrent.infohash)
        except CommandError as error:
            self.log.error(
                "torrent {infohash} was not added but may come back at the next start: {error}",
                infohash=torrent.infohash, error=error.message,
            )  # fmt: skip
        try:
            await self._forget(torrent)
        except CommandError as error:
            self.log.warn(
                "undoing the addition of {infohash}: {error}", infohash=torrent.infohash, error=error.message
            )

    async def remove(self, torrent: Torrent, deletion: Deletion | None = None) -> int | None:
        """
        Forget a torrent, and wait until libtorrent has let go of its files; payload stays.

        :param deletion: its payload, which the store remembers if the torrent is removed.
        :return: the id that the store gave ``deletion``.
        """
        if torrent not in self._torrents:
            raise TorrentNotFound(f"this session has no torrent {torrent.infohash}", field="infohash")
        deletion_id = await self._erase(torrent, deletion)
        if deletion_id is None and torrent not in self._torrents:
            # another removal was quicker
            raise TorrentNotFound(f"this session has no torrent {torrent.infohash}", field="infohash")
        if torrent in self._torrents:
            # gone from here on, whatever becomes of its files
            with_files = " with its files" if deletion is not None else ""
            self._note("torrent_removed", torrent, f"removed{with_files}")
        try:
            await self._forget(torrent)
        except (EngineError, EngineTimeout):
            # libtorrent may have the files still: they stay
            if deletion_id is not None:
                await self._shared.store.deletion_done(deletion_id)
            raise
        return deletion_id

    async def _erase(self, torrent: Torrent, deletion: Deletion | None) -> int | None:
        store = self._shared.store
        if not torrent.memory_only:
            return await store.remove_torrent(self._session_id, torrent.infohash, deletion)
        if deletion is None:
            return None
        try:
            deletion_id = await store.add_deletion(deletion)
            if deletion_id is not None and torrent not in self._torrents:
                await store.deletion_done(deletion_id)
                return None
        except CommandError as error:
            # such a torrent needs no store: it is removed all the same
            self.log.warn(
                "the deletion of {infohash} was not stored: {error}",
                infohash=torrent.infohash, error=error.message,
            )  # fmt: skip
            return None
        return deletion_id

    async def _forget(self, torrent: Torrent) -> None:
        # out of sight first: the same torrent may be added again while libtorrent still closes files
        if torrent in self._torrents:
            self._torrents.remove(torrent)
            self._table.remove(torrent.infohash)
        self._leaving(torrent)
        handle, torrent.handle = torrent.handle, None
        if handle is not None:
            try:
                await self._link.remove(handle)
            finally:
                self._torrents.forget_handle(handle)
