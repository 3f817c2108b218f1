"""
The line to one libtorrent session: how it is opened, asked, heard and closed.

Nothing here waits for libtorrent's thread but in the worker; answers come as alerts. Closing follows the one
order that neither freezes the reactor nor lets libtorrent write to a closed descriptor.

Source: https://libtorrent.org/reference-Session.html
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import CommandError, EngineError, EngineTimeout, Stopping, TorrentExists
from .alerts import AlertPoller, Handlers
from .infohash import key_of
from .metainfo import explain
from .ports import PortBinder
from .profile import LOOPBACK_SETTINGS, session_settings
from .requests import PendingRequests
from .web_seeds import WebSeeds
from .worker import Worker

ADD_TIMEOUT = 60.0
REMOVE_TIMEOUT = 10.0
WORKER_TIMEOUT = 10.0
COUNTERS_TIMEOUT = 10.0
_EXISTS_ALREADY = 19


class Counters(NamedTuple):
    """
    What libtorrent counted since the session was opened, of torrents that were removed too.

    :ivar download: payload bytes received; :ivar upload: sent; :ivar peers: connected now.
    """

    download: int
    upload: int
    peers: int


class Link:
    """
    One libtorrent session, seen from the reactor.

    :param loopback: it serves peers on loopback alone.
    :param web_seeds: which web seeds a torrent may bring.
    :param dropped: called when libtorrent had to drop alerts, answers among them.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        name: str,
        *,
        discovery: bool,
        loopback: bool,
        dropped: Callable[[], None],
        web_seeds: WebSeeds,
    ) -> None:
        self._reactor = reactor
        self._settings = session_settings(discovery=discovery) | (LOOPBACK_SETTINGS if loopback else {})
        self._dropped = dropped
        self._web_seeds = web_seeds
        self._session: lt.session | None = None
        self._poller: AlertPoller | None = None
        self._adding: PendingRequests[str, lt.torrent_handle] = PendingRequests(reactor)
        self._given_up: set[str] = set()
        self._removing: PendingRequests[lt.torrent_handle, None] = PendingRequests(reactor)
        self._unheard: dict[lt.torrent_handle, set[str]] = {}
        self._barriers: PendingRequests[int, Counters | None] = PendingRequests(reactor)
        self._counting: set[int] = set()
        self._barrier_numbers: deque[int] = deque()
        self._barriers_asked = 0
        self.worker = Worker(reactor, name)
        self.ports = PortBinder(self.apply, self.barrier)

    async def open(self, handlers: Handlers) -> None:
        """
        Make the session (30 ms, in the worker) and hear its alerts from now on; ``handlers`` beside our own.

        :raises EngineError: if libtorrent, or the system below it, refuses.
        """
        params = lt.session_params()
        params.settings = self._settings  # type: ignore[assignment]
        try:
            self._session = await self.worker.call(lt.session, params)
        except RuntimeError as error:
            raise EngineError(f"libtorrent made no session: {explain(error)}") from None
        self._poller = AlertPoller(
            self._reactor,
            self._session,
            {
                lt.add_torrent_alert: self._on_added,
                lt.torrent_removed_alert: self._on_removed,
                lt.torrent_deleted_alert: self._on_closed,
                lt.torrent_delete_failed_alert: self._on_closed,
                lt.session_stats_alert: self._on_barrier,
                lt.alerts_dropped_alert: self._on_dropped,
                **self.ports.handlers,
                **handlers,
            },
        )

    @property
    def is_open(self) -> bool:
        return self._session is not None

    @property
    def live(self) -> lt.session:
        """
        The session.

        :raises Stopping: if it is closed, or not open yet.
        """
        if self._session is None:
            raise Stopping("the session is closed")
        return self._session

    # -- asking ----------------------------------------------------------

    def apply(self, settings: dict[str, Any]) -> None:
        """Change settings; returns at once."""
        self.live.apply_settings(settings)  # type: ignore[arg-type]

    def barrier(self) -> "Deferred[Any]":
        """Fires when libtorrent has done all that was asked before, and its alerts were heard."""
        return self._ask_barrier(ADD_TIMEOUT)

    def counters(self) -> "Deferred[Any]":
        """
        The session's ``Counters``.

        :raises Stopping: as ``live``.
        """
        answer = self._ask_barrier(COUNTERS_TIMEOUT)
        self._counting.add(self._barriers_asked)
        return answer

    def _ask_barrier(self, timeout: float) -> "Deferred[Counters | None]":
        self.live.post_session_stats()
        self._barriers_asked += 1
        self._barrier_numbers.append(self._barriers_asked)
        return self._barriers.expect(self._barriers_asked, timeout)

    def post_updates(self) -> None:
        """Ask for the rows that changed; a ``state_update_alert`` answers each such call."""
        # without flags: the default also computes pieces and availability of all
        self.live.post_torrent_updates(0)

    def add(self, params: lt.add_torrent_params) -> "Deferred[lt.torrent_handle]":
        """
        Add a torrent.

        Fails with TorrentExists, EngineError or EngineTimeout; whatever it fails with, libtorrent keeps
        nothing of the torrent.

        :raises TorrentExists: if the same torrent is being added; :raises Stopping: as ``live``.
        """
        key = key_of(params.info_hashes)
        if key in self._adding:
            raise TorrentExists(f"torrent {key} is in this session already")
        session = self.live
        params.url_seeds = self._web_seeds.wanted(params.url_seeds)
        added = self._adding.expect(key, ADD_TIMEOUT)
        try:
            session.async_add_torrent(params)
        except (RuntimeError, ValueError) as error:
            self._adding.fail(key, EngineError(explain(error)))
        return added.addErrback(self._note_given_up, key)

    def _note_given_up(self, failure: Failure, key: str) -> Failure:
        if failure.check(EngineTimeout):
            self._given_up.add(key)
        return failure

    async def remove(self, handle: lt.torrent_handle) -> None:
        """
        Remove a torrent and wait until libtorrent has closed its files.

        libtorrent tells of closed files only where it deletes something: so it is asked to delete the part
        file, which holds nothing but pieces of files that nobody wanted. One that is being removed already
        (its session is being closed) is left to who asked first.
        """
        if handle in self._removing:
            return
        session = self.live
        gone = self._removing.expect(handle, REMOVE_TIMEOUT)
        self._unheard[handle] = {"removed", "closed"}
        try:
            session.remove_torrent(handle, lt.session.delete_partfile)
        except RuntimeError as error:
            self._removing.fail(handle, EngineError(explain(error)))
        try:
            await gone
        finally:
            del self._unheard[handle]

    # -- hearing ---------------------------------------------------------

    def _on_added(self, alert: lt.add_torrent_alert) -> None:
        key = key_of(alert.params.info_hashes)
        error = alert.error.value()
        if not error:
            if not self._adding.answer(key, alert.handle) and key in self._given_up:
                # its asker was told that it failed
                self.live.remove_torrent(alert.handle)
            self._given_up.discard(key)
        elif error == _EXISTS_ALREADY:
            self._adding.fail(key, TorrentExists(f"torrent {key} is in this session already"))
        else:
            self._adding.fail(key, EngineError(alert.error.message()))

    def _on_removed(self, alert: lt.torrent_removed_alert) -> None:
        self._heard(alert.handle, "removed")

    def _on_closed(self, alert: lt.torrent_deleted_alert | lt.torrent_delete_failed_alert) -> None:
        # "failed" is what a torrent without metadata answers: it has no files
        self._heard(alert.handle, "closed")

    def _heard(self, handle: lt.torrent_handle, what: str) -> None:
        unheard = self._unheard.get(handle)
        if unheard is not None:
            unheard.discard(what)
            if not unheard:
                self._removing.answer(handle, None)

    def _on_barrier(self, alert: lt.session_stats_alert) -> None:
        # one whose answer was lost has timed out, and is passed over
        while self._barrier_numbers:
            number = self._barrier_numbers.popleft()
            counting = number in self._counting
            self._counting.discard(number)
            if number in self._barriers:
                # all 300 values are converted at each look: only for who wants them
                self._barriers.answer(number, _counters_of(alert.values) if counting else None)
                return

    def _on_dropped(self, alert: lt.alerts_dropped_alert) -> None:
        if self._adding or self._removing:
            found = self.worker.call(_handles, self.live).addCallbacks(self._found, self._not_found)
            # rows of torrents that are not known yet say nothing
            found.addBoth(lambda _: self._dropped())
        else:
            self._dropped()

    def _found(self, handles: Mapping[str, lt.torrent_handle]) -> None:
        """Answers were dropped, perhaps: what libtorrent has tells how additions and removals went."""
        for key in self._adding:
            if key in handles:
                self._adding.answer(key, handles[key])
        for handle in self._removing:
            if not handle.is_valid():
                self._removing.answer(handle, None)

    def _not_found(self, failure: Failure) -> None:
        self.log.warn("libtorrent's torrents could not be listed: {error}", error=failure.getErrorMessage())

    # -- closing ---------------------------------------------------------

    async def close(self, error: CommandError, *, grace: float) -> None:
        """
        Destroy the session; its torrents were removed, or it is paused, some ``grace`` seconds of announces
        ago.

        The destructor joins libtorrent's threads with the GIL held, so whatever it would wait for must be
        over: announces of trackers that do not answer most of all, and calls in the worker, which would wait
        for ever in their turn.

        :param error: what all those get who still wait for an answer.
        :raises EngineTimeout: if the worker's call does not end; the session is left alone then.
        """
        self._adding.fail_all(error)
        self._removing.fail_all(error)
        self._barriers.fail_all(error)
        # a later turn in any case: alerts that are being handled in this one would die with the session
        await deferLater(self._reactor, grace)
        try:
            await self.worker.stop().addTimeout(WORKER_TIMEOUT, self._reactor)
        except OutOfTime:
            raise EngineTimeout(f"a call did not end within {WORKER_TIMEOUT:g} s") from None
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.detach()
        self._session = None  # the last reference: threads are joined here
        if poller is not None:
            poller.close()


def _counters_of(values: Mapping[str, int]) -> Counters:
    return Counters(
        values["net.recv_payload_bytes"], values["net.sent_payload_bytes"], values["peer.num_peers_connected"]
    )


def _handles(session: lt.session) -> dict[str, lt.torrent_handle]:
    """What libtorrent has, by key. Waits for libtorrent's thread."""
    found = {}
    for handle in session.get_torrents():
        hashes = handle.info_hashes()
        if handle.is_valid():
            found[key_of(hashes)] = handle
    return found
