"""
A session: one libtorrent session with its torrents and its status table, isolated from all others.

What libtorrent tells comes in as alerts (``_handlers``); what changes goes to the store, for those that are to
outlive the process, before it is answered.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..errors import (
    CommandError,
    Loading,
    Stopping,
    TorrentExists,
    TorrentNotFound,
)
from ..paths import Roots
from ..store.records import SessionRecord, TorrentBlobs, TorrentRecord
from ..store.store import Store
from .alerts import Handlers
from .catalogue import Catalogue
from .fields import POSITION, Row, initial_row, pack_row, read_row, restate, unpack_row
from .link import Link
from .loading import Loader, parameters_of
from .metainfo import Metainfo, file_paths
from .pace import Pace
from .peers import Peer, peers_of
from .profile import STOP_TRACKER_TIMEOUT
from .refresh import Refresher
from .saving import ResumeSaver
from .table import Counter, StatusTable
from .torrent import Torrent, is_gone
from .views import Views
from .worker import Memo

SAVE_INTERVAL = 60.0
"""Seconds between two saves of whatever changed."""
PEERS_LIFETIME = 1.0
_LOOPBACK = ("127.", "::1")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a daemon share. ``now`` gives epoch seconds."""

    reactor: Any
    store: Store
    revisions: Counter
    roots: Roots
    pace: Pace
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """
    What a session was created with.

    :ivar port_range: (first, last), both included.
    :ivar interfaces: addresses or devices for peers; empty means all.
    :ivar memory_only: gone when the daemon stops.
    """

    id: str
    port_range: tuple[int, int]
    interfaces: tuple[str, ...]
    discovery: bool
    memory_only: bool

    @property
    def loopback(self) -> bool:
        return bool(self.interfaces) and all(i.startswith(_LOOPBACK) or i == "lo" for i in self.interfaces)


@dataclass(frozen=True, slots=True)
class Addition:
    """A torrent to be added, and how. ``save_path`` is confined already."""

    metainfo: Metainfo
    save_path: str
    storage_mode: str
    stopped: bool
    memory_only: bool


class Session:
    """
    One session.

    :ivar port: the port bound, ``None`` while none is.
    :ivar was_bound: it was tried to bind one.
    :ivar table: the status table; ``views`` encodes it.
    """

    log = Logger()

    def __init__(self, options: SessionOptions, shared: Shared, *, port: int | None = None) -> None:
        self.options = options
        self.port = port
        self.table = StatusTable(shared.revisions)
        self.views = Views(self.table)
        self.torrents = Catalogue()
        self.closing = False
        self.was_bound = False
        self._shared = shared
        self._link = Link(
            shared.reactor,
            f"session {options.id[:8]}",
            discovery=options.discovery,
            loopback=options.loopback,
            dropped=self._on_dropped,
        )
        self.refresher = Refresher(shared.reactor, self._link.post_updates, self._put)
        self._saver = ResumeSaver(options.id, shared.store, self.table, self.torrents.of_handle)
        self._loader = Loader(shared.pace, self._blobs, self._start_stored, self._could_not_load)
        self._peers = Memo(shared.reactor.seconds, PEERS_LIFETIME)
        self._refresh_soon: IDelayedCall | None = None
        self._save_after_refresh: set[Torrent] = set()
        self._saved_rev = self.table.rev
        self._save_timer: IDelayedCall | None = None
        self._opened: Deferred[None] | None = Deferred()
        self._recheck = False

    # -- life ------------------------------------------------------------

    async def open(self) -> None:
        """Make the libtorrent session; it listens nowhere yet."""
        await self._link.open(self._handlers())
        self._save_timer = self._shared.reactor.callLater(SAVE_INTERVAL, self._save_changed)
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.callback(None)

    def _handlers(self) -> Handlers:
        return {
            lt.state_update_alert: self.refresher.on_state_update,
            lt.metadata_received_alert: self._on_metadata,
            lt.torrent_finished_alert: self._on_finished,
            lt.torrent_checked_alert: self._on_saveworthy,
            lt.torrent_paused_alert: self._on_saveworthy,
            lt.torrent_resumed_alert: self._on_state,
            lt.state_changed_alert: self._on_state,
            lt.torrent_error_alert: self._on_state,
            lt.file_error_alert: self._on_state,
            lt.fastresume_rejected_alert: self._on_state,
            lt.torrent_conflict_alert: self._on_state,
            **self._saver.handlers,
        }

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

    def restore(self, record: TorrentRecord) -> None:
        """List a stored torrent as it was last seen; ``load`` brings it back into libtorrent."""
        torrent = Torrent.from_record(record)
        self.torrents.add(torrent)
        row = unpack_row(record.row)
        if row is None:
            row = initial_row(torrent)
        else:
            torrent.name = row[POSITION["name"]]
        self.table.put(torrent.infohash, row)
        self._loader.add(torrent)

    async def load(self, *, recheck: bool) -> None:
        """
        Load all that was restored.

        :param recheck: the last exit was no clean one: look which pieces of unfinished torrents are there.
        """
        self._recheck = recheck
        other = Deferred.fromCoroutine(self._loader.run())
        await self._loader.run()
        await other
        if self._link.is_open and not self.closing:
            await self.refresher.fresh()

    @property
    def loading(self) -> int:
        """How many torrents are still to be loaded."""
        return len(self._loader)

    async def close(self) -> None:
        """
        Stop everything and free the port and the files; nothing is saved.

        Answers when both are free; what libtorrent still owes its trackers goes on for some seconds.
        """
        self.stop_serving()
        await self._until_open()
        self._link.apply({"stop_tracker_timeout": STOP_TRACKER_TIMEOUT})
        self._link.live.pause()
        removals = [
            Deferred.fromCoroutine(self._link.remove(torrent.handle))
            for torrent in list(self.torrents)
            if torrent.handle is not None
        ]
        announcing = bool(removals)
        await self._link.ports.release()
        for removal in removals:
            try:
                await removal
            except CommandError as error:
                self.log.warn("closing session {id}: {error}", id=self.options.id, error=error.message)
        self.torrents.clear()
        Deferred.fromCoroutine(self._link.close(grace=STOP_TRACKER_TIMEOUT + 0.5 if announcing else 0.0)).addErrback(
            lambda failure: self.log.failure("closing session failed", failure)
        )

    async def shut_down(self) -> None:
        """Save what changed and end, with the process: torrents stay in the store."""
        self.stop_serving()
        await self._until_open()
        self._link.apply({"stop_tracker_timeout": STOP_TRACKER_TIMEOUT})
        self._link.live.pause()
        await self.refresher.fresh()
        for torrent in self.torrents:
            self._saver.want(torrent, only_if_modified=True)
        await self._saver.idle()
        announcing = any(not torrent.stopped for torrent in self.torrents)
        self.torrents.clear()
        await self._link.close(grace=STOP_TRACKER_TIMEOUT + 0.5 if announcing else 0.0)

    def stop_serving(self) -> None:
        """Refuse what comes, and let go whoever waits for a change."""
        self.closing = True
        self._loader.stop()
        for timer in (self._save_timer, self._refresh_soon):
            if timer is not None and timer.active():
                timer.cancel()
        self.table.wake()

    async def _until_open(self) -> None:
        if self._opened is not None:
            waiter: Deferred[None] = Deferred()
            self._opened.addCallback(lambda _: waiter.callback(None))
            await waiter

    # -- torrents --------------------------------------------------------

    async def fresh(self) -> None:
        """Bring the table up to date (a session that still loads shows what was stored)."""
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

    async def add(self, addition: Addition) -> Torrent:
        """
        Add a torrent; answers when libtorrent has taken it, the store has committed it and the table shows it.

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
        # both were asked: how each ended must be known before anything is undone
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
        await shown
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
        self.torrents.remove(torrent)
        self.table.remove(torrent.infohash)
        if was_stored:
            await self._shared.store.remove_torrent(self.options.id, torrent.infohash)
        if torrent.handle is not None:
            handle, torrent.handle = torrent.handle, None
            await self._link.remove(handle)
            self.torrents.forget_handle(handle)
            self.table.remove(torrent.infohash)

    async def loaded(self, torrent: Torrent) -> lt.torrent_handle:
        """
        The torrent's handle, waited for while the daemon loads.

        :raises Loading: after 10 s; :raises TorrentNotFound: if it was removed meanwhile.
        """
        if torrent.handle is None:
            await self._loader.wait_for(torrent)
        if torrent.handle is None:
            if torrent in self.torrents and torrent.fault is None:
                raise Loading("the daemon is still loading its torrents, try again")
            raise TorrentNotFound(torrent.fault or f"this session has no torrent {torrent.infohash}")
        return torrent.handle

    async def set_stopped(self, torrent: Torrent, stopped: bool) -> None:
        """
        Stop a torrent, or let it run.

        :raises PathOutsideRoots: if a link that was put there since leads its files out of the roots.
        """
        await self.loaded_or_faulty(torrent)
        if not stopped:
            await self.check_paths(torrent)
        if torrent.fault is not None:
            await self._retry(torrent, stopped)
            return
        if torrent.memory_only or torrent.stopped == stopped:
            torrent.stopped = stopped
        else:
            row = pack_row(self.table[torrent.infohash].row)
            await self._shared.store.set_stopped(self.options.id, torrent.infohash, stopped, row)
            torrent.stopped = stopped
        try:
            torrent.apply_stopped()
        except RuntimeError as error:
            if is_gone(error):
                raise TorrentNotFound(f"this session has no torrent {torrent.infohash}") from None
            raise
        await self.refresher.fresh()

    async def _retry(self, torrent: Torrent, stopped: bool) -> None:
        """Load a torrent that could not be loaded before."""
        await self._shared.store.set_stopped(self.options.id, torrent.infohash, stopped, None)
        torrent.stopped, torrent.fault = stopped, None
        blobs = await self._blobs([torrent.infohash])
        try:
            await self._start_stored(torrent, blobs.get(torrent.infohash, TorrentBlobs(None, None, None)))
        except CommandError as error:
            self._could_not_load(torrent, error.message)
            raise
        await self.refresher.fresh()

    async def connect_peer(self, torrent: Torrent, address: str, port: int) -> None:
        """Try to connect to a peer; whether that works out shows in the list of peers."""
        (await self.loaded(torrent)).connect_peer((address, port))

    async def check_paths(self, torrent: Torrent) -> None:
        """
        Look whether the torrent's files still lie below the roots.

        :raises PathOutsideRoots: if a link leads them out.
        """
        info = torrent.info()
        roots, save_path = self._shared.roots, torrent.save_path
        if info is None:
            roots.check_files(save_path, ())
        else:
            await self._link.worker.call(lambda: roots.check_files(save_path, torrent.files()))

    async def loaded_or_faulty(self, torrent: Torrent) -> None:
        """Wait until it is known whether the torrent can be loaded."""
        if torrent.fault is None:
            await self.loaded(torrent)

    def is_complete(self, torrent: Torrent) -> bool:
        """Whether all that is wanted of it is here, by the table."""
        return torrent.infohash in self.table and bool(self.table.value(torrent.infohash, "complete"))

    async def files_of(self, torrent: Torrent) -> list[str]:
        """Paths of its files below its save path; empty while the metadata is not known."""
        if torrent.info() is None:
            return []
        return await self._link.worker.call(torrent.files)

    async def delete_files(self, torrent: Torrent, relative: Sequence[str], keep: frozenset[str]) -> None:
        """
        Delete the payload of a torrent that was removed.

        :raises PathOutsideRoots: a link was in the way; :raises EngineError: the system refused.
        """
        await self._link.worker.call(self._shared.roots.delete_files, torrent.save_path, relative, keep)

    async def remove(self, torrent: Torrent) -> None:
        """Forget a torrent, and wait until libtorrent has let go of its files; payload stays."""
        await self.loaded_or_faulty(torrent)
        if torrent not in self.torrents:
            raise TorrentNotFound(f"this session has no torrent {torrent.infohash}", field="infohash")
        if not torrent.memory_only:
            await self._shared.store.remove_torrent(self.options.id, torrent.infohash)
        if torrent not in self.torrents:
            return
        handle = torrent.handle
        self.torrents.remove(torrent)
        if handle is not None:
            torrent.handle = None
            await self._link.remove(handle)
            self.torrents.forget_handle(handle)
        self.table.remove(torrent.infohash)

    async def peers(self, torrent: Torrent) -> list[Peer]:
        """The torrent's peers, at most a second old."""
        handle = await self.loaded(torrent)
        return await self._peers.get(torrent.infohash, lambda: self._link.worker.call(peers_of, handle))

    # -- the store's torrents --------------------------------------------

    def _blobs(self, infohashes: Sequence[str]) -> "Deferred[dict[str, TorrentBlobs]]":
        return self._shared.store.blobs(self.options.id, infohashes)

    def _start_stored(self, torrent: Torrent, blobs: TorrentBlobs) -> "Deferred[None]":
        recheck = self._recheck and not torrent.done and not torrent.stopped
        return Deferred.fromCoroutine(self._start(torrent, blobs, recheck))

    async def _start(self, torrent: Torrent, blobs: TorrentBlobs, recheck: bool) -> None:
        params = parameters_of(torrent, blobs, recheck=recheck, log=self.log)
        self._check_paths_of(torrent, params)
        handle = await self._link.add(params)
        if torrent in self.torrents:
            self.torrents.loaded(torrent, handle)
        else:
            await self._link.remove(handle)

    def _check_paths_of(self, torrent: Torrent, params: lt.add_torrent_params) -> None:
        info = params.ti
        self._shared.roots.check_files(torrent.save_path, () if info is None else file_paths(info))

    def _could_not_load(self, torrent: Torrent, reason: str) -> None:
        self.log.warn("{infohash} could not be loaded: {reason}", infohash=torrent.infohash, reason=reason)
        torrent.fault = reason
        if torrent.infohash in self.table:
            row = self.table[torrent.infohash].row
            self.table.put(torrent.infohash, restate(row, state="error", error=reason))

    # -- what libtorrent tells -------------------------------------------

    def _put(self, status: lt.torrent_status) -> None:
        torrent = self.torrents.of_handle(status.handle)
        if torrent is None or torrent not in self.torrents:
            return
        try:
            row = read_row(status, torrent, self._shared.now())
        except UnicodeDecodeError:
            self.log.warn("status of {infohash} can't be read: no UTF-8", infohash=torrent.infohash)
            return
        self.table.put(torrent.infohash, row)

    def _on_state(self, alert: Any) -> None:
        """Something that can't wait has changed: look at once, once for all alerts of this turn."""
        if self._refresh_soon is None and not self.closing:
            self._refresh_soon = self._shared.reactor.callLater(0, self._refresh_now)

    def _on_saveworthy(self, alert: Any) -> None:
        torrent = self.torrents.of_handle(alert.handle)
        if torrent is not None and not torrent.memory_only:
            self._save_after_refresh.add(torrent)
        self._on_state(alert)

    def _on_finished(self, alert: lt.torrent_finished_alert) -> None:
        self._on_saveworthy(alert)

    def _refresh_now(self) -> None:
        self._refresh_soon = None
        torrents, self._save_after_refresh = self._save_after_refresh, set()

        # the stored row is the table's: save when it shows what happened
        def save(_: None) -> None:
            for torrent in torrents:
                if torrent in self.torrents:
                    self._saver.want(torrent)

        if self._link.is_open:
            self.refresher.fresh().addCallbacks(save, self._refresh_failed)

    def _refresh_failed(self, failure: Any) -> None:
        self.log.warn("status of session {id}: {error}", id=self.options.id, error=failure.getErrorMessage())

    def _on_metadata(self, alert: lt.metadata_received_alert) -> None:
        torrent = self.torrents.of_handle(alert.handle)
        if torrent is None:
            return
        info = torrent.learn_metadata()
        self.torrents.add(torrent)
        if info is not None and not torrent.memory_only:
            self._shared.store.save_info(
                self.options.id, torrent.infohash, info, torrent.infohash_v1, torrent.infohash_v2
            ).addErrback(lambda failure: self.log.failure("metadata was not stored", failure))
        self._on_saveworthy(alert)

    def _on_dropped(self) -> None:
        self.log.error("libtorrent dropped alerts of session {id}: looking at all torrents", id=self.options.id)
        self.refresher.resynchronised()
        self._saver.forget_asked()
        asked = self._link.worker.call(self._link.live.get_torrent_status, lambda status: True)
        asked.addCallbacks(self._put_all, self._refresh_failed)

    def _put_all(self, statuses: Sequence[lt.torrent_status]) -> None:
        for status in statuses:
            self._put(status)

    # -- saving ----------------------------------------------------------

    def _save_changed(self) -> None:
        """Once a minute: bring the table up to date, and save what changed since the last time."""
        self._save_timer = self._shared.reactor.callLater(SAVE_INTERVAL, self._save_changed)

        def save(_: None) -> None:
            since, self._saved_rev = self._saved_rev, self.table.rev
            for infohash, _entry in self.table.changed_since(since):
                self._saver.want(self.torrents.named(infohash), only_if_modified=True)

        self.refresher.recent().addCallbacks(save, self._refresh_failed)

    def record(self) -> SessionRecord:
        """What the store is to remember."""
        return SessionRecord(
            id=self.options.id,
            port_range=self.options.port_range,
            port=self.port,
            interfaces=self.options.interfaces,
            discovery=self.options.discovery,
        )

