"""
A session: one libtorrent session with its torrents and its status table, isolated from all others.

What changes goes to the store, for torrents that are to outlive the process, before it is answered; and it is
answered when the table shows it. What happens by itself is ``upkeep``'s, what was stored is ``restoring``'s.
"""

from collections.abc import Iterator, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..errors import CommandError, Stopping, TorrentExists, TorrentNotFound
from .catalogue import Catalogue
from .fields import Row, initial_row, pack_row
from .link import Link
from .peers import Peer, peers_of
from .profile import STOP_TRACKER_TIMEOUT
from .restoring import Restorer
from .shared import Addition, SessionOptions, Shared
from .table import StatusTable
from .torrent import Torrent, is_gone
from .upkeep import Upkeep
from .views import Views
from .worker import Memo

PEERS_LIFETIME = 1.0
"""Seconds that a list of peers is good for."""


class Session:
    """
    One session.

    :ivar port: the port bound, ``None`` while none is; :ivar was_bound: it was tried to bind one.
    :ivar table: the status table; ``views`` encodes it.
    :ivar closing: it takes no more commands.
    """

    log = Logger()

    def __init__(self, options: SessionOptions, shared: Shared, *, port: int | None = None) -> None:
        self.options = options
        self.port = port
        self.was_bound = False
        self.closing = False
        self.table = StatusTable(shared.revisions)
        self.views = Views(self.table)
        self.torrents = Catalogue()
        self._shared = shared
        self._link = Link(
            shared.reactor,
            f"session {options.id[:8]}",
            discovery=options.discovery,
            loopback=options.loopback,
            dropped=self._on_dropped,
        )
        self._upkeep = Upkeep(options.id, shared, self._link, self.table, self.torrents)
        self.refresher = self._upkeep.refresher
        self.restorer = Restorer(options.id, shared, self._link, self.table, self.torrents)
        self._peers = Memo(shared.reactor.seconds, PEERS_LIFETIME)
        self._opened: Deferred[None] | None = Deferred()

    # -- life ------------------------------------------------------------

    async def open(self) -> None:
        """Make the libtorrent session; it listens nowhere yet."""
        await self._link.open(self._upkeep.handlers)
        self._upkeep.start()
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.callback(None)

    def _on_dropped(self) -> None:
        self._upkeep.resynchronise()

    async def bind(self) -> None:
        """
        Listen on the former port if it is free, else on the first free one of the range.

        :raises PortInUse: if none is free; :raises BadParameter: if an interface is not of this machine.
        """
        former, self.port = self.port, None
        self.was_bound = True
        self.port = await self._link.ports.bind(self.options.interfaces, self._candidates(former))

    def _candidates(self, former: int | None) -> Iterator[int]:
        first, last = self.options.port_range
        if former is not None:
            yield former
        yield from (port for port in range(first, last + 1) if port != former)

    async def load(self, *, recheck: bool) -> None:
        """Load all that was restored; see ``Restorer.load``."""
        await self.restorer.load(recheck=recheck)
        await self.fresh()

    async def close(self) -> None:
        """
        Stop everything, and answer when the port is free and the files are closed; nothing is saved.

        What libtorrent still owes its trackers goes on for some seconds.
        """
        self._stop_serving()
        await self._until_open()
        grace = self._say_goodbye()
        removals = [
            Deferred.fromCoroutine(self._link.remove(torrent.handle))
            for torrent in self.torrents
            if torrent.handle is not None
        ]
        await self._link.ports.release()
        for removal in removals:
            try:
                await removal
            except CommandError as error:
                self.log.warn("closing session {id}: {error}", id=self.options.id, error=error.message)
        self.torrents.clear()
        Deferred.fromCoroutine(self._link.close(grace=grace)).addErrback(
            lambda failure: self.log.failure("session {id} was not closed", failure, id=self.options.id)
        )

    async def shut_down(self) -> None:
        """Save what changed and end, with the process; torrents stay in the store."""
        self._stop_serving()
        await self._until_open()
        grace = self._say_goodbye()
        await self.refresher.fresh()
        for torrent in self.torrents:
            self._upkeep.saver.want(torrent, only_if_modified=True)
        await self._upkeep.saver.idle()
        self.torrents.clear()
        await self._link.close(grace=grace)

    def _stop_serving(self) -> None:
        self.closing = True
        self.restorer.loader.stop()
        self._upkeep.stop()
        # whoever waits for a change must see that none will come
        self.table.wake()

    def _say_goodbye(self) -> float:
        """Leave the swarms; returns how many seconds trackers have to hear of it."""
        # an announce keeps the timeout that it began with, so it goes down first
        self._link.apply({"stop_tracker_timeout": STOP_TRACKER_TIMEOUT})
        self._link.live.pause()
        announcing = any(torrent.has_trackers and not torrent.stopped for torrent in self.torrents)
        return STOP_TRACKER_TIMEOUT + 0.5 if announcing else 0.0

    async def _until_open(self) -> None:
        if self._opened is not None:
            waiter: Deferred[None] = Deferred()
            self._opened.addCallback(lambda _: waiter.callback(None))
            await waiter

    # -- looking ---------------------------------------------------------

    async def fresh(self) -> None:
        """Bring the table up to date (a session that is not open yet shows what was stored)."""
        if self._link.is_open and not self.closing:
            await self.refresher.recent()

    def row(self, infohash: str) -> Row:
        """
        A torrent's row as it stands.

        :raises TorrentNotFound: if there is none.
        """
        if infohash not in self.table:
            raise TorrentNotFound(f"this session has no torrent {infohash}", field="infohash")
        return self.table[infohash].row

    async def is_complete(self, torrent: Torrent) -> bool:
        """Whether all that is wanted of it is here."""
        await self.fresh()
        return torrent.infohash in self.table and bool(self.table.value(torrent.infohash, "complete"))

    async def peers(self, torrent: Torrent) -> list[Peer]:
        """The torrent's peers, at most a second old."""
        handle = await self.restorer.loaded(torrent)
        return await self._peers.get(torrent.infohash, lambda: self._link.worker.call(peers_of, handle))

    async def files_of(self, torrent: Torrent) -> list[str]:
        """Paths of its files below its save path; empty while the metadata is not known."""
        return [] if torrent.info() is None else await self._link.worker.call(torrent.files)

    async def check_paths(self, torrent: Torrent) -> None:
        """
        Look whether the torrent's files still lie below the roots.

        :raises PathOutsideRoots: if a link leads them out.
        """
        files = await self.files_of(torrent)
        await self._link.worker.call(self._shared.roots.check_files, torrent.save_path, files)

    # -- changing --------------------------------------------------------

    async def add(self, addition: Addition) -> Torrent:
        """
        Add a torrent; answers when libtorrent has taken it, the store has committed it and the table shows
        it.

        :raises TorrentExists: if the session has it; whatever is raised, nothing is left of the torrent.
        """
        await self._until_open()
        torrent = self._admit(addition)
        metainfo = addition.metainfo
        torrent.configure(metainfo.params)
        row = initial_row(torrent, total=metainfo.total, total_wanted=metainfo.total)
        stored: Deferred[None] | None = None
        if not torrent.memory_only:
            record = torrent.record(self.options.id, pack_row(row))
            stored = self._shared.store.add_torrent(record, metainfo.data)
        taken = self._link.add(metainfo.params)
        shown = self.refresher.fresh()
        # all were asked; how each ended must be known before anything is undone
        failed: CommandError | None = None
        try:
            self.torrents.loaded(torrent, await taken)
        except CommandError as error:
            failed = error
        if stored is not None:
            try:
                await stored
            except CommandError as error:
                failed, stored = failed or error, None
        try:
            await shown
        except CommandError as error:
            failed = failed or error
        if failed is not None:
            await self._undo_add(torrent, was_stored=stored is not None)
            raise failed
        return torrent

    def _admit(self, addition: Addition) -> Torrent:
        if self.closing:
            raise Stopping("the session is being closed")
        metainfo = addition.metainfo
        identity = metainfo.identity
        if self.torrents.of_identity(identity) is not None:
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
        self.torrents.add(torrent)
        return torrent

    async def _undo_add(self, torrent: Torrent, *, was_stored: bool) -> None:
        if was_stored:
            await self._shared.store.remove_torrent(self.options.id, torrent.infohash)
        await self._forget(torrent)

    async def set_stopped(self, torrent: Torrent, stopped: bool) -> None:
        """
        Stop a torrent, or let it run.

        :raises PathOutsideRoots: if a link that was put there since leads its files out of the roots.
        """
        await self.restorer.settled(torrent)
        if not stopped:
            await self.check_paths(torrent)
        if torrent.stopped != stopped and not torrent.memory_only:
            await self._shared.store.set_stopped(self.options.id, torrent.infohash, stopped, None)
        torrent.stopped = stopped
        if torrent.fault is not None:
            await self.restorer.retry(torrent)
        try:
            torrent.apply_stopped()
        except RuntimeError as error:
            if is_gone(error):
                raise TorrentNotFound(f"this session has no torrent {torrent.infohash}") from None
            raise
        await self.refresher.fresh()

    async def connect_peer(self, torrent: Torrent, address: str, port: int) -> None:
        """Try to connect to a peer; whether that works out shows in the list of peers."""
        (await self.restorer.loaded(torrent)).connect_peer((address, port))

    async def remove(self, torrent: Torrent) -> None:
        """Forget a torrent, and wait until libtorrent has let go of its files; payload stays."""
        await self.restorer.settled(torrent)
        if torrent not in self.torrents:
            raise TorrentNotFound(f"this session has no torrent {torrent.infohash}", field="infohash")
        if not torrent.memory_only:
            await self._shared.store.remove_torrent(self.options.id, torrent.infohash)
        if torrent in self.torrents:
            await self._forget(torrent)

    async def _forget(self, torrent: Torrent) -> None:
        # out of sight first: the same torrent may be added again while libtorrent still closes files
        self.torrents.remove(torrent)
        self.table.remove(torrent.infohash)
        handle, torrent.handle = torrent.handle, None
        if handle is not None:
            await self._link.remove(handle)
            self.torrents.forget_handle(handle)

    async def delete_files(self, torrent: Torrent, relative: Sequence[str], keep: frozenset[str]) -> None:
        """
        Delete the payload of a torrent that was removed.

        :param keep: absolute paths that other torrents use.
        :raises PathOutsideRoots: a link was in the way; :raises EngineError: the system refused.
        """
        await self._link.worker.call(self._shared.roots.delete_files, torrent.save_path, relative, keep)
