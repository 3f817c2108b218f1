"""
The line to one libtorrent session: how it is opened, asked, heard and closed.

Nothing here waits for libtorrent's thread but in the worker; answers come as alerts. Closing follows the one
order that neither freezes the reactor nor lets libtorrent write to a closed descriptor.

Source: https://libtorrent.org/reference-Session.html
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ..errors import CommandError, EngineError, Stopping, TorrentExists
from .alerts import AlertPoller, Handlers
from .infohash import Identity
from .metainfo import explain
from .ports import PortBinder
from .profile import LOOPBACK_SETTINGS, session_settings
from .requests import PendingRequests
from .worker import Worker

ADD_TIMEOUT = 60.0
REMOVE_TIMEOUT = 10.0
_EXISTS_ALREADY = 19


class Link:
    """
    One libtorrent session, seen from the reactor.

    :param loopback: it serves peers on loopback alone.
    :param dropped: called when libtorrent had to drop alerts, answers among them.
    """

    def __init__(
        self, reactor: Any, name: str, *, discovery: bool, loopback: bool, dropped: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._settings = session_settings(discovery=discovery) | (LOOPBACK_SETTINGS if loopback else {})
        self._dropped = dropped
        self._session: lt.session | None = None
        self._poller: AlertPoller | None = None
        self._adding: PendingRequests[str, lt.torrent_handle] = PendingRequests(reactor)
        self._removing: PendingRequests[tuple[lt.torrent_handle, str], None] = PendingRequests(reactor)
        self._barriers: PendingRequests[int, None] = PendingRequests(reactor)
        self._barrier_numbers: deque[int] = deque()
        self._barriers_asked = 0
        self.worker = Worker(reactor, name)
        self.ports = PortBinder(self.apply, self.barrier)

    async def open(self, handlers: Handlers) -> None:
        """
        Make the session (30 ms, in the worker) and hear its alerts from now on; ``handlers`` beside our own.
        """
        params = lt.session_params()
        params.settings = self._settings  # type: ignore[assignment]
        self._session = await self.worker.call(lt.session, params)
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

    def barrier(self) -> "Deferred[None]":
        """Fires when libtorrent has done all that was asked before, and its alerts were heard."""
        self._barriers_asked += 1
        self._barrier_numbers.append(self._barriers_asked)
        done = self._barriers.expect(self._barriers_asked, ADD_TIMEOUT)
        self.live.post_session_stats()
        return done

    def post_updates(self) -> None:
        """Ask for the rows that changed; a ``state_update_alert`` answers each such call."""
        # without flags: the default also computes pieces and availability of all
        self.live.post_torrent_updates(0)

    def add(self, params: lt.add_torrent_params) -> "Deferred[lt.torrent_handle]":
        """
        Add a torrent.

        Fails with TorrentExists, EngineError or EngineTimeout.
        """
        key = Identity.of(params.info_hashes).key
        if key in self._adding:
            raise TorrentExists(f"torrent {key} is in this session already")
        session = self.live
        added = self._adding.expect(key, ADD_TIMEOUT)
        try:
            session.async_add_torrent(params)
        except (RuntimeError, ValueError) as error:
            self._adding.fail(key, EngineError(explain(error)))
        return added

    async def remove(self, handle: lt.torrent_handle) -> None:
        """
        Remove a torrent and wait until libtorrent has closed its files.

        libtorrent tells of closed files only where it deletes something: so it is asked to delete the part
        file, which holds nothing but pieces of files that nobody wanted.
        """
        closed = self._removing.expect((handle, "closed"), REMOVE_TIMEOUT)
        removed = self._removing.expect((handle, "removed"), REMOVE_TIMEOUT)
        self.live.remove_torrent(handle, lt.session.delete_partfile)
        await closed
        await removed

    # -- hearing ---------------------------------------------------------

    def _on_added(self, alert: lt.add_torrent_alert) -> None:
        key = Identity.of(alert.params.info_hashes).key
        error = alert.error.value()
        if not error:
            self._adding.answer(key, alert.handle)
        elif error == _EXISTS_ALREADY:
            self._adding.fail(key, TorrentExists(f"torrent {key} is in this session already"))
        else:
            self._adding.fail(key, EngineError(alert.error.message()))

    def _on_removed(self, alert: lt.torrent_removed_alert) -> None:
        self._removing.answer((alert.handle, "removed"), None)

    def _on_closed(self, alert: lt.torrent_deleted_alert | lt.torrent_delete_failed_alert) -> None:
        # "failed" is what a torrent without metadata answers: it has no files
        self._removing.answer((alert.handle, "closed"), None)

    def _on_barrier(self, alert: lt.session_stats_alert) -> None:
        if self._barrier_numbers:
            self._barriers.answer(self._barrier_numbers.popleft(), None)

    def _on_dropped(self, alert: lt.alerts_dropped_alert) -> None:
        self._dropped()

    # -- closing ---------------------------------------------------------

    async def close(self, *, grace: float) -> None:
        """
        Destroy the session; its torrents were removed, or it is paused, some ``grace`` seconds of announces
        ago.

        The destructor joins libtorrent's threads with the GIL held, so whatever it would wait for must be
        over: announces of trackers that do not answer most of all.
        """
        error: CommandError = Stopping("the session is being closed")
        self._adding.fail_all(error)
        self._removing.fail_all(error)
        self._barriers.fail_all(error)
        if self._session is None:
            self.worker.stop()
            return
        if grace:
            await deferLater(self._reactor, grace)
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.detach()
        self._session = None  # the last reference: threads are joined here
        if poller is not None:
            poller.close()
        self.worker.stop()
