"""
Payload that is still to be deleted.

The store remembers it from the commit that removes its torrent until its files are gone. What a process that
died in between has left is deleted by the next one, when it knows which files its own torrents use.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..errors import CommandError, EngineError, FilesInUse, PathOutsideRoots, Stopping, TorrentNotFound
from ..store.records import Deletion
from .session import Session
from .shared import Shared
from .torrent import Torrent
from .worker import Worker

RETRY = 30.0
"""Seconds between two tries, where a torrent that may use the files is not loaded, or the store is full."""
STOP_TIMEOUT = 10.0

_FINAL = (FilesInUse, PathOutsideRoots, EngineError)
"""Another try would end the same way, or come when something else lies there."""


class Leftovers:
    """
    Deletes payload, and sees to it that the store forgets it then.

    :param sessions: the daemon's, as they come and go.
    """

    log = Logger()

    def __init__(self, shared: Shared, sessions: Mapping[str, Session]) -> None:
        self._shared = shared
        self._sessions = sessions
        self._worker = Worker(shared.reactor, "leftovers")
        self._waiting: dict[int, Deletion] = {}
        self._ended: set[int] = set()
        self._at_work = False
        self._retry: IDelayedCall | None = None
        self._stopping = False

    def begin(self, left: Iterable[Deletion]) -> None:
        """Work off what the last process left, in the background; all torrents have been loaded."""
        self._waiting.update((deletion.id, deletion) for deletion in left)
        self._go_on()

    async def stop(self) -> None:
        """Begin nothing more; the next process does the rest. Waits 10 s at most for what is under way."""
        self._stopping = True
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        try:
            await self._worker.stop().addTimeout(STOP_TIMEOUT, self._shared.reactor)
        except OutOfTime:
            self.log.warn("files are still being deleted; the next start goes on with it")

    async def delete(
        self,
        deletion: Deletion,
        by: Callable[[Sequence[str], frozenset[str]], Awaitable[None]] | None = None,
    ) -> None:
        """
        Delete the files, except those that a torrent uses. One that may succeed later is tried again.

        :param by: does it in its session's thread, given the files and those that stay; fails with Stopping
            if the session is gone.
        :raises PathOutsideRoots: a link was in the way; :raises EngineError: the system refused.
        :raises FilesInUse, Loading: as ``files_near``; :raises Stopping: the next process deletes them.
        """
        try:
            # what lies in a missing root would count as gone
            self._shared.roots.require(deletion.save_path)
            keep = await self.files_near(deletion)
            # sessions that have ended show no torrents, but theirs will be back
            if self._stopping:
                raise Stopping("the daemon is stopping")
            await self._delete(deletion, keep, by)
        except _FINAL:
            await self._end(deletion)
            raise
        except CommandError:
            if deletion.id:
                self._waiting[deletion.id] = deletion
                self._try_later()
            raise
        await self._end(deletion)

    async def _delete(
        self,
        deletion: Deletion,
        keep: frozenset[str],
        by: Callable[[Sequence[str], frozenset[str]], Awaitable[None]] | None,
    ) -> None:
        if by is not None:
            try:
                await by(deletion.files, keep)
            except Stopping:
                if self._stopping:
                    raise
            else:
                return
        await self._worker.call(self._shared.roots.delete_files, deletion.save_path, deletion.files, keep)

    async def _end(self, deletion: Deletion) -> None:
        """Have the store forget it, now or later: else the next start deletes what came there since."""
        self._waiting.pop(deletion.id, None)
        if deletion.id:
            self._ended.add(deletion.id)
            await self._forget(deletion.id)

    async def _forget(self, deletion_id: int) -> None:
        try:
            await self._shared.store.deletion_done(deletion_id)
        except CommandError as error:
            self.log.warn("the end of a deletion was not stored: {error}", error=error.message)
            self._try_later()
        else:
            self._ended.discard(deletion_id)

    # -- in the background -----------------------------------------------

    def _try_later(self) -> None:
        if self._retry is None and not self._stopping:
            self._retry = self._shared.reactor.callLater(RETRY, self._go_on)

    def _go_on(self) -> None:
        self._retry = None
        if self._at_work:
            self._try_later()
        else:
            self._at_work = True
            Deferred.fromCoroutine(self._work_off()).addErrback(
                lambda failure: self.log.failure("payload was not deleted", failure)
            )

    async def _work_off(self) -> None:
        try:
            for deletion_id in list(self._ended):
                await self._forget(deletion_id)
            for deletion in list(self._waiting.values()):
                if self._stopping:
                    return
                await self._work_off_one(deletion)
        finally:
            self._at_work = False

    async def _work_off_one(self, deletion: Deletion) -> None:
        where, n = deletion.save_path, len(deletion.files)
        try:
            await self.delete(deletion)
        except CommandError as error:
            self.log.warn(
                "{n} files of a removed torrent in {where} were not deleted: {error}",
                n=n, where=where, error=error.message,
            )  # fmt: skip
        except Exception:
            self.log.failure("files of a removed torrent in {where} were not deleted", where=where)
        else:
            self.log.info("deleted {n} files of a removed torrent in {where}", n=n, where=where)

    # -- what stays ------------------------------------------------------

    async def files_near(self, deletion: Deletion, *, besides: Torrent | None = None) -> frozenset[str]:
        """
        Absolute paths of the files of all torrents whose payload touches this one.

        :param besides: the torrent whose payload it is, while it is still there.
        :raises FilesInUse, Loading: if those of one are not known, or not yet.
        """
        base = deletion.save_path.rstrip("/")
        tops = {f"{base}/{top}" for top in {path.partition("/")[0] for path in deletion.files}}
        near = [
            (session, other)
            for session in self._sessions.values()
            for other in session.torrents
            if other is not besides and _touches(other.content_path, tops)
        ]
        paths: list[str] = []
        for session, other in near:
            base = other.save_path.rstrip("/")
            paths.extend(f"{base}/{path}" for path in await _files_of(session, other))
        return frozenset(paths)


async def _files_of(session: Session, torrent: Torrent) -> list[str]:
    try:
        await session.restorer.loaded(torrent)
    except TorrentNotFound:
        return []
    except CommandError as error:
        if error is not torrent.fault:
            raise
        raise FilesInUse(
            f"torrent {torrent.infohash} has payload there too, but can't be loaded: {error.message}",
            field="delete_files",
        ) from None
    return await session.files_of(torrent)


def _touches(path: str | None, tops: Iterable[str]) -> bool:
    return path is not None and any(
        path == top or path.startswith(top + "/") or top.startswith(path + "/") for top in tops
    )
