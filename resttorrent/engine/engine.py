"""
All sessions of the daemon: made, found, restored at a start, and ended.

The engine knows no door. Its errors are ``CommandError``s, its times the injected reactor's.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import (
    CommandError,
    EngineError,
    FilesInUse,
    SessionIsMemoryOnly,
    SessionNotFound,
    Stopping,
)
from ..paths.presence import RootMissing
from ..store.records import Deletion
from .all_torrents import AllTorrentsBoard, AllTorrentsBoards
from .boards import Boards
from .leftovers import Leftovers
from .log_entries import SESSION_DELETED
from .pace import on_end
from .roots_watch import RootsWatch
from .roster import Roster
from .session import Session
from .session_feed import sessions_boards
from .shared import Addition, SessionOptions, Shared
from .stats import Statistics
from .torrent import Torrent

RETRY_BIND = 30.0
"""Seconds between two tries to listen, for restored sessions whose ports were taken."""
CLOSE_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the daemon is not at its best: a stable word, and a sentence."""

    code: str
    message: str


class Engine:
    """
    The daemon's sessions.

    :param defaults: interfaces and discovery of sessions that don't say otherwise.
    :ivar log: the event log; :ivar stats: figures of the sessions.
    :ivar roster: the sessions as those see them who look at all; ``boards`` is what they see of the torrents,
        ``session_boards`` of the sessions themselves.
    """

    _logger = Logger()

    def __init__(self, shared: Shared, *, interfaces: tuple[str, ...], discovery: bool) -> None:
        self.log = shared.log
        self.stats = Statistics(shared.reactor, shared.now, lambda: self._sessions.values())
        self._shared = shared
        self._interfaces = interfaces
        self._discovery = discovery
        self._sessions: dict[str, Session] = {}
        self.roster = Roster(shared.reactor, shared.revisions)
        self.boards: AllTorrentsBoards = Boards(lambda chosen: AllTorrentsBoard(self.roster, chosen))
        self.session_boards = sessions_boards(self.roster, shared.revisions)
        self._alive: set[Session] = set()
        self._leftovers = Leftovers(shared, self._sessions)
        self._roots_watch = RootsWatch(shared, self._settle)
        self._listed: Deferred[None] | None = Deferred()
        self._retry: IDelayedCall | None = None
        self._stopping = False

    # -- life ------------------------------------------------------------

    async def start(self, *, clean: bool) -> None:
        """
        List what the store has, answer from then on, and load it into libtorrent beside that.

        :param clean: whether the last exit was a clean one.
        """
        self.roster.begin()
        self.log.begin(self._shared.revisions.current)
        # before anything is answered: all of it is the last process's
        left = await self._shared.store.deletions()
        await self._roots_watch.start()
        save_paths = {deletion.save_path for deletion in left}
        for record in await self._shared.store.sessions():
            session = Session(SessionOptions.of_record(record), self._shared, port=record.port)
            for torrent in await self._shared.store.torrents(record.id):
                session.restorer.restore(torrent)
                save_paths.add(torrent.save_path)
                await self._shared.pace.breathe("listing stored torrents")
            self._sessions[record.id] = session
            self._alive.add(session)
            self.roster.came(session)
        listed, self._listed = self._listed, None
        if listed is not None:
            listed.callback(None)
        # not before it is known which roots are there
        await self._roots_watch.use(save_paths)
        revived = [
            Deferred.fromCoroutine(self._revive(session, recheck=not clean))
            for session in self._sessions.values()
        ]
        # only then it is known which files other torrents use
        DeferredList(revived, consumeErrors=True).addCallback(lambda _: self._leftovers.begin(left))

    def _settle(self, strays: frozenset[str]) -> None:
        """Save roots went missing or came back, or are still missing."""
        for session in self._sessions.values():
            if not session.closing:
                Deferred.fromCoroutine(session.absence.settle(strays)).addErrback(self._not_settled)

    def _not_settled(self, failure: Failure) -> None:
        if not failure.check(Stopping):
            self._logger.failure("torrents of a missing save root were not looked after", failure)

    async def _revive(self, session: Session, *, recheck: bool) -> None:
        try:
            await session.open()
            await self._bind_again(session)
            await session.load(recheck=recheck)
        except Exception:
            if session.closing:
                return
            self._logger.failure("session {id} was not restored whole", id=session.options.id)
        else:
            self._logger.info(
                "session {id}: {n} torrents loaded", id=session.options.id, n=len(session.torrents)
            )

    async def _bind_again(self, session: Session) -> None:
        before, lacked = session.former_port, session.lacks_port
        try:
            await session.bind()
        except CommandError as error:
            if session.closing:
                return
            self._logger.warn(
                "session {id} can't listen, tried again in {seconds:.0f} s: {error}",
                id=session.options.id, seconds=RETRY_BIND, error=error.message,
            )  # fmt: skip
            if not lacked:
                self.log.add(
                    "listen_failed", f"can't listen: {error.message}",
                    level="error", session_id=session.options.id,
                )  # fmt: skip
            if self._retry is None and not self._stopping:
                self._retry = self._shared.reactor.callLater(RETRY_BIND, self._bind_the_rest)
        if lacked and session.port is not None:
            self.log.add(
                "listen_succeeded", f"listens on port {session.port} at last", session_id=session.options.id
            )
        # while it has none, the former one stays stored: it is the one to come back to
        if session.port not in (before, None):
            try:
                await self._shared.store.set_session_port(session.options.id, session.port)
            except CommandError as error:
                self._logger.warn(
                    "the port of session {id} was not stored: {error}",
                    id=session.options.id, error=error.message,
                )  # fmt: skip

    def _bind_the_rest(self) -> None:
        self._retry = None
        for session in list(self._sessions.values()):
            if session.lacks_port and not session.closing:
                Deferred.fromCoroutine(self._bind_again(session)).addErrback(
                    lambda failure: self._logger.failure("binding again failed", failure)
                )

    async def ready(self) -> None:
        """Wait until all that was stored is listed."""
        if self._listed is not None:
            await on_end(self._listed)

    @property
    def is_listed(self) -> bool:
        """Whether all that was stored is listed; before that there are no answers about sessions."""
        return self._listed is None

    async def stop(self) -> None:
        """
        Save everything and close all sessions, those that are being made or deleted too.

        :raises EngineError: if one was not saved, or not closed, in order; the others were.
        """
        self._stopping = True
        self.roster.close(Stopping.code)
        self.stats.close(Stopping.code)
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        left = Deferred.fromCoroutine(self._leftovers.stop())
        watched = Deferred.fromCoroutine(self._roots_watch.stop())
        sessions = list(self._alive)
        ended = await DeferredList(
            [Deferred.fromCoroutine(s.shut_down()) for s in sessions], consumeErrors=True
        )
        await left
        await watched
        self._sessions.clear()
        self._alive.clear()
        results: list[Any] = [result for _, result in ended]
        failures = [result.getErrorMessage() for result in results if isinstance(result, Failure)]
        for failure in failures:
            self._logger.error("a session was not closed in order: {error}", error=failure)
        if failures:
            raise EngineError(f"{len(failures)} of {len(sessions)} sessions were not closed in order")

    # -- sessions --------------------------------------------------------

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def session(self, session_id: str) -> Session:
        """
        The session of this id, in any case.

        :raises SessionNotFound: if there is none.
        """
        session = self._sessions.get(session_id) or self._sessions.get(session_id.lower())
        if session is None or session.closing:
            shown = session_id if len(session_id) <= 64 else session_id[:64] + "…"
            raise SessionNotFound(f"there is no session {shown!r}", field="session_id")
        return session

    async def create_session(
        self,
        *,
        port_range: tuple[int, int],
        memory_only: bool,
        interfaces: tuple[str, ...] | None = None,
        discovery: bool | None = None,
    ) -> Session:
        """
        Make a session that listens.

        :raises PortInUse: if no port of the range is free; nothing was created then.
        """
        options = SessionOptions(
            id=os.urandom(16).hex(),
            port_range=port_range,
            interfaces=self._interfaces if interfaces is None else interfaces,
            discovery=self._discovery if discovery is None else discovery,
            memory_only=memory_only,
        )
        session = Session(options, self._shared)
        self._alive.add(session)
        try:
            await session.open()
            await session.bind()
            if session.closing or self._stopping:
                raise Stopping("the daemon is stopping")
            if not memory_only:
                await self._shared.store.add_session(options.record(session.port))
        except BaseException:
            await self._close(session)
            raise
        self._sessions[options.id] = session
        self.roster.came(session)
        self.log.add("session_created", f"session created, on port {session.port}", session_id=options.id)
        return session

    async def delete_session(self, session: Session) -> None:
        """
        Forget a session; answers when its port is free and its files are closed, 10 s at most. Payload stays.
        """
        if not session.options.memory_only:
            await self._shared.store.delete_session(session.options.id)
        if self._sessions.pop(session.options.id, None) is None:
            raise SessionNotFound(f"there is no session {session.options.id!r}", field="session_id")
        self.roster.left(session)
        self.stats.left(session)
        self.log.add(SESSION_DELETED, "session deleted", session_id=session.options.id)
        await self._close(session)

    async def _close(self, session: Session) -> None:
        closed: Deferred[None] = Deferred.fromCoroutine(session.close())
        closed.addTimeout(CLOSE_TIMEOUT, self._shared.reactor)
        try:
            await closed
        except Exception as error:
            self._logger.error(
                "session {id} was not closed in order: {error!r}", id=session.options.id, error=error
            )
        session.ended().addBoth(lambda _: self._alive.discard(session))

    # -- torrents --------------------------------------------------------

    async def add_torrent(self, session: Session, addition: Addition) -> Torrent:
        """
        Add a torrent to a session; see ``Session.add``.

        :raises SessionIsMemoryOnly, FilesInUse, RootMissing: beside what that raises.
        """
        await self._check(session, addition)
        await self._roots_watch.require(addition.save_path)
        return await session.add(addition)

    async def _check(self, session: Session, addition: Addition) -> None:
        if session.options.memory_only and not addition.memory_only:
            raise SessionIsMemoryOnly(
                "a torrent that is to outlive the daemon needs a session with memory_only=0",
                field="memory_only",
            )
        for other in list(self._sessions.values()):
            if other is session:
                continue
            twin = other.torrents.of_identity(addition.metainfo.identity)
            if (
                twin is not None
                and twin.save_path == addition.save_path
                and not await other.is_complete(twin)
            ):
                raise FilesInUse(
                    f"session {other.options.id} is still downloading the same torrent to the same folder",
                    field="save_path",
                )

    async def remove_torrent(self, session: Session, torrent: Torrent, *, delete_files: bool) -> None:
        """
        Forget a torrent, and delete its files if asked to, except those that another torrent uses.

        :raises PathOutsideRoots: if a link leads its files out of the roots; nothing was changed then.
        :raises RootMissing: if files are to be deleted, and can't be found now; nothing was changed then.
        """
        if not delete_files:
            await session.remove(torrent)
            return
        await self._roots_watch.require(torrent.save_path)
        await session.restorer.loaded(torrent)
        await session.check_paths(torrent)
        deletion = Deletion(torrent.save_path, await session.files_of(torrent))
        # before anything is changed: the files of some may not be known
        await self._leftovers.files_near(deletion, besides=torrent)
        deletion_id = await session.remove(torrent, deletion if deletion.files else None)
        deletion = msgspec.structs.replace(deletion, id=deletion_id or 0)
        await self._leftovers.delete(deletion, partial(session.delete_files, torrent))

    # -- health ----------------------------------------------------------

    def reasons(self) -> list[Reason]:
        """What is wrong with the sessions, if anything."""
        deaf = [
            Reason("session_not_listening", f"session {s.options.id} could bind none of its ports")
            for s in self._sessions.values()
            if s.lacks_port and not s.closing
        ]
        return deaf + [Reason(RootMissing.code, why) for why in self._roots_watch.absent.values()]

    def oldest_question(self) -> float:
        """Seconds that the oldest question to libtorrent has waited for its answer."""
        return max((s.refresher.oldest() for s in self._sessions.values()), default=0.0)

    @property
    def is_loaded(self) -> bool:
        """Whether libtorrent has all that was stored."""
        lacking = any(session.restorer.lacks_root for session in self._sessions.values())
        return self.is_listed and not self.loading and not lacking

    @property
    def loading(self) -> int:
        """How many torrents are still to be loaded."""
        return sum(len(s.restorer.loader) for s in self._sessions.values())
