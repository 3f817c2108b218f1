"""
A session: one libtorrent session with its torrents and its status table, isolated from all others.

What changes goes to the store, for torrents that are to outlive the process, before it is answered; and it is
answered when the table shows it. What happens by itself is ``upkeep``'s, what was stored is ``restoring``'s.
"""

from collections.abc import Iterator, Sequence

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import (
    CommandError,
    EngineError,
    EngineTimeout,
    SessionNotFound,
    Stopping,
    TorrentNotFound,
)
from ..store.records import Deletion
from .absence import Absence
from .catalogue import Catalogue
from .confinement import Confinement
from .fields import Row
from .link import Counters, Link
from .membership import Membership
from .pace import on_end
from .parts import Parts
from .peers import Peer, peers_of
from .profile import STOP_TRACKER_TIMEOUT
from .pulse import Pulse
from .restoring import Restorer
from .shared import Addition, SessionOptions, Shared
from .table import StatusTable
from .torrent import Torrent, not_gone
from .torrent_feed import torrent_boards
from .upkeep import Upkeep
from .views import Views
from .worker import Memo

SAVE_TIMEOUT = 30.0
"""Seconds that saving at the end may take."""
PEERS_LIFETIME = 1.0
"""Seconds that a list of peers is good for."""


class Session:
    """
    One session.

    :ivar port: the port bound, ``None`` while none is; :ivar former_port: the last one that was.
    :ivar lacks_port: it was tried to bind one, in vain.
    :ivar table: the status table; ``views`` encodes it, ``pulse`` tells when to look at it, ``boards`` what
        subscribers see of it.
    :ivar closing: it takes no more commands.
    """

    log = Logger()

    def __init__(self, options: SessionOptions, shared: Shared, *, port: int | None = None) -> None:
        self.options = options
        self.port: int | None = None
        self.lacks_port = False
        self.closing = False
        self.former_port = port
        self.table = StatusTable(shared.revisions)
        self.views = Views(self.table)
        self.pulse = Pulse(shared.reactor, self.table, self.fresh)
        self.boards = torrent_boards(options.id, self.table, self.views, self.pulse)
        self.torrents = Catalogue()
        self._shared = shared
        self._link = Link(
            shared.reactor,
            f"session {options.id[:8]}",
            discovery=options.discovery,
            loopback=options.loopback,
            dropped=self._on_dropped,
            web_seeds=shared.web_seeds,
        )
        self._confinement = Confinement(shared.roots, self._link.worker)
        parts = Parts(options.id, shared, self._link, self._confinement, self.table, self.torrents)
        self._upkeep = Upkeep(parts)
        self.refresher = self._upkeep.refresher
        self.restorer = Restorer(parts)
        self.absence = Absence(parts, self.restorer, self.refresher, closing=lambda: self.closing)
        self._membership = Membership(
            parts, self.refresher, closing=lambda: self.closing, leaving=self._expect_announce
        )
        self._peers = Memo(shared.reactor.seconds, PEERS_LIFETIME)
        self._opened: Deferred[None] | None = Deferred()
        self._begun = False
        self._binding = False
        self._announced_until = 0.0
        self._ended: Deferred[None] = Deferred()

    # -- life ------------------------------------------------------------

    async def open(self) -> None:
        """
        Make the libtorrent session; it listens nowhere yet.

        :raises Stopping: if it was closed before; :raises EngineError: as ``Link.open``.
        """
        if self.closing:
            raise Stopping("the session is closed")
        self._begun = True
        try:
            await self._link.open(self._upkeep.handlers)
            self._upkeep.start()
        finally:
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
        if self._binding or self.closing:
            return
        self._binding = True
        self.port = None
        try:
            self.port = await self._link.ports.bind(
                self.options.interfaces, self._candidates(self.former_port)
            )
        finally:
            self._binding = False
            self.lacks_port = self.port is None
        self.former_port = self.port

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

        What libtorrent still owes its trackers goes on for some seconds; ``ended`` waits for that too.
        """
        if not self.closing:
            self._stop_serving(SessionNotFound.code)
            gone = SessionNotFound(f"session {self.options.id} was deleted", field="session_id")
            try:
                await self._until_open()
                if self._link.is_open:
                    self._say_goodbye()
                    await self._let_go()
            finally:
                self._end(gone)

    async def _let_go(self) -> None:
        """Close the port and the files."""
        removals = []
        for torrent in self.torrents:
            # taken, so that nobody else removes it as well
            handle, torrent.handle = torrent.handle, None
            if handle is not None:
                removals.append(Deferred.fromCoroutine(self._link.remove(handle)))
        closed = [Deferred.fromCoroutine(self._link.ports.release()), *removals]
        for _, result in await DeferredList(closed, consumeErrors=True):
            if isinstance(result, Failure):
                self.log.warn(
                    "closing session {id}: {error}", id=self.options.id, error=result.getErrorMessage()
                )

    async def shut_down(self) -> None:
        """
        Save what changed and end, with the process; torrents stay in the store.

        Ends in bounded time, whatever libtorrent and the store do.

        :raises EngineError: if not all was saved; the session is closed all the same.
        """
        if not self.closing:
            self._stop_serving(Stopping.code)
            try:
                await self._until_open().addTimeout(SAVE_TIMEOUT, self._shared.reactor)
                if self._link.is_open:
                    self._say_goodbye()
                    await self._save_all()
            finally:
                self._end(Stopping("the daemon is stopping"))
                await self.ended()
        await self.ended()

    async def _save_all(self) -> None:
        await self.refresher.fresh()
        saver = self._upkeep.saver
        for torrent in self.torrents:
            saver.want(torrent, only_if_modified=True)
        try:
            await self._upkeep.save_unstored().addTimeout(SAVE_TIMEOUT, self._shared.reactor)
            await saver.idle().addTimeout(SAVE_TIMEOUT, self._shared.reactor)
        except OutOfTime:
            raise EngineTimeout(f"not all was saved within {SAVE_TIMEOUT:g} s") from None
        if not self._upkeep.all_stored:
            raise EngineError("not all could be saved")

    def _end(self, error: CommandError) -> None:
        """Whoever still waits gets ``error``; the libtorrent session goes when its trackers know."""
        self.refresher.stop(error)
        self.torrents.clear()
        grace = max(self._announced_until - self._shared.reactor.seconds(), 0.0)
        Deferred.fromCoroutine(self._link.close(error, grace=grace)).addErrback(
            lambda failure: self.log.failure("session {id} was not closed", failure, id=self.options.id)
        ).addBoth(self._ended.callback)

    def ended(self) -> "Deferred[None]":
        """Fires when nothing of a closed session is left, its last announces included."""
        return on_end(self._ended)

    def _stop_serving(self, code: str) -> None:
        self.closing = True
        self.restorer.loader.stop()
        self._upkeep.stop()
        # whoever waits for a change must see that none will come
        self.pulse.close(code)

    def _say_goodbye(self) -> None:
        """Leave the swarms."""
        # an announce keeps the timeout that it began with, so it goes down first
        self._link.apply({"stop_tracker_timeout": STOP_TRACKER_TIMEOUT})
        self._link.live.pause()
        for torrent in self.torrents:
            self._expect_announce(torrent)

    def _expect_announce(self, torrent: Torrent) -> None:
        """A torrent that ran is about to tell its trackers that it stops: the session can't go before."""
        if torrent.has_trackers and not torrent.stopped:
            self._announced_until = self._shared.reactor.seconds() + STOP_TRACKER_TIMEOUT + 0.5

    def _until_open(self) -> "Deferred[None]":
        """Fires when it is open, or known that it won't be; at once for one that is not to be opened."""
        if self._opened is None or (self.closing and not self._begun):
            return succeed(None)
        return on_end(self._opened)

    # -- looking ---------------------------------------------------------

    async def fresh(self) -> None:
        """Bring the table up to date (a session that is not open yet shows what was stored)."""
        if self._link.is_open and not self.closing:
            try:
                await self.refresher.recent()
            except CommandError:
                # a session that goes meanwhile is its callers' to notice
                if not self.closing:
                    raise

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

    async def counters(self) -> Counters:
        """
        What libtorrent counted since the session was opened; nothing, before it is.

        :raises EngineTimeout: if it gives no answer; :raises Stopping: if the session is closed meanwhile.
        """
        if not self._link.is_open:
            return Counters(0, 0, 0)
        counted: Counters = await self._link.counters()
        return counted

    async def peers(self, torrent: Torrent) -> list[Peer]:
        """The torrent's peers, at most a second old."""
        handle = await self.restorer.loaded(torrent)
        with not_gone(torrent):
            return await self._peers.get(torrent.infohash, lambda: self._link.worker.call(peers_of, handle))

    async def files_of(self, torrent: Torrent) -> list[str]:
        """Paths of its files below its save path; empty while the metadata is not known."""
        return [] if torrent.info() is None else await self._link.worker.call(torrent.files)

    async def check_paths(self, torrent: Torrent) -> None:
        """
        Look whether the torrent's files still lie below the roots.

        :raises PathOutsideRoots: if a link leads them out.
        """
        await self._confinement.check(torrent.save_path, torrent.info())

    # -- changing --------------------------------------------------------

    async def add(self, addition: Addition) -> Torrent:
        """Add a torrent; see ``Membership.add``."""
        await self._until_open()
        return await self._membership.add(addition)

    async def set_stopped(self, torrent: Torrent, stopped: bool) -> None:
        """
        Stop a torrent, or let it run.

        One that could not be loaded is tried again when it is to run.

        :raises RootMissing: if it is to run while its save root is missing.
        :raises PathOutsideRoots: if a link that was put there since leads its files out of the roots.
        """
        await self.restorer.settled(torrent)
        if not stopped:
            self._shared.roots.require(torrent.save_path)
            if torrent.fault is not None:
                await self.restorer.retry(torrent)
            await self.check_paths(torrent)
        if torrent.stopped != stopped and not torrent.memory_only:
            await self._shared.store.set_stopped(self.options.id, torrent.infohash, stopped, None)
        if stopped:
            self._expect_announce(torrent)
        changes, torrent.stopped = torrent.stopped != stopped, stopped
        if torrent not in self.torrents:
            raise TorrentNotFound(f"this session has no torrent {torrent.infohash}", field="infohash")
        if torrent.handle is not None:
            with not_gone(torrent):
                torrent.apply_stopped()
        if changes:
            event, message = ("torrent_stopped", "stopped") if stopped else ("torrent_resumed", "resumed")
            self._shared.log.add_about(torrent, event, message, session_id=self.options.id)
        await self.refresher.fresh()

    async def connect_peer(self, torrent: Torrent, address: str, port: int) -> None:
        """Try to connect to a peer; whether that works out shows in the list of peers."""
        handle = await self.restorer.loaded(torrent)
        with not_gone(torrent):
            handle.connect_peer((address, port))

    async def remove(self, torrent: Torrent, deletion: Deletion | None = None) -> int | None:
        """Forget a torrent; see ``Membership.remove``."""
        await self.restorer.settled(torrent)
        return await self._membership.remove(torrent, deletion)

    async def delete_files(self, torrent: Torrent, relative: Sequence[str], keep: frozenset[str]) -> None:
        """
        Delete the payload of a torrent that was removed.

        :param keep: absolute paths that other torrents use.
        :raises PathOutsideRoots: a link was in the way; :raises EngineError: the system refused.
        """
        await self._link.worker.call(self._shared.roots.delete_files, torrent.save_path, relative, keep)
