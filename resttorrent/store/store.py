"""
What the daemon remembers, in SQLite on a thread of its own.

Every method but ``open`` and ``close`` returns a Deferred that fires in the reactor thread, for a write after
its commit: what was answered survives the death of the process, and a power cut once a second has passed
(with ``durability="full"``, at once). Any of them may fail with ``StateDiskFull``, with ``EngineError`` when
the disk or the database is damaged, and with ``Stopping`` when the store isn't open.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred

from resttorrent.store import statements
from resttorrent.store.backup import Backups
from resttorrent.store.database import DATABASE_NAME, Database, OpenReport
from resttorrent.store.opening import Durability
from resttorrent.store.records import (
    Deletion,
    SessionRecord,
    TokenRecord,
    TorrentBlobs,
    TorrentRecord,
    UserRecord,
)
from resttorrent.store.thread import Reactor, StoreThread


class Store:
    """
    :param state_dir: the daemon's own directory, made if missing; ``None`` keeps all in memory.
    :param monotonic: seconds, read in the store's thread.
    :param fdatasync: flushes a descriptor, in the store's thread.
    :ivar backups: makes copies of the database while it is open.
    """

    def __init__(
        self,
        state_dir: Path | None,
        *,
        durability: Durability,
        reactor: Reactor,
        monotonic: Callable[[], float] = time.monotonic,
        fdatasync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self._database = Database(state_dir, durability, monotonic, fdatasync)
        self._thread = StoreThread(reactor, self._database)
        self.backups = Backups(reactor, None if state_dir is None else state_dir / DATABASE_NAME)

    async def open(self) -> OpenReport:
        """
        Lock the directory, check the database, make or upgrade it.

        :raises StateDirInUse, StateDirUnusable, DatabaseTooNew: one line each, nothing was changed.
        """
        return await self._thread.start()

    async def close(self, clean: bool = True) -> None:
        """
        Finish what was asked, flush, release the lock; later calls fail with ``Stopping``.

        :param clean: whether the next start may trust that everything worth saving was saved.
        :raises sqlite3.Error, OSError, CommandError: something was not written; it is closed all the same.
        """
        await self.backups.stop()
        await self._thread.stop(clean)

    @property
    def degraded(self) -> str | None:
        """``state_disk_full``, ``state_disk_error`` (both heal by themselves), ``state_database_damaged``."""
        return self._database.degraded

    def oldest_waiting(self, now: float) -> float:
        """
        :param now: the reactor's time.
        :return: seconds that the oldest unanswered call has waited; 0.0 if there is none.
        """
        return self._thread.oldest_waiting(now)

    def add_session(self, record: SessionRecord) -> Deferred[None]:
        return self._thread.write(statements.add_session, record)

    def set_session_port(self, session_id: str, port: int | None) -> Deferred[None]:
        return self._thread.write(statements.set_session_port, session_id, port)

    def delete_session(self, session_id: str) -> Deferred[None]:
        """Forget a session and all its torrents."""
        return self._thread.write(statements.delete_session, session_id)

    def sessions(self) -> Deferred[list[SessionRecord]]:
        """In the order of their creation."""
        return self._thread.read(statements.sessions)

    def add_torrent(self, record: TorrentRecord, metainfo: bytes | None) -> Deferred[None]:
        """
        :raises TorrentExists: the session has it already; nothing was changed.
        :raises SessionNotFound: the session isn't in the store.
        """
        return self._thread.write(statements.add_torrent, record, metainfo)

    def remove_torrent(
        self, session_id: str, infohash: str, deletion: Deletion | None = None
    ) -> Deferred[int | None]:
        """
        :param deletion: its payload, if that is to be deleted; remembered until ``deletion_done``.
        :return: the id of ``deletion``; ``None`` without one, or if there was no such torrent.
        """
        return self._thread.write(statements.remove_torrent, session_id, infohash, deletion)

    def add_deletion(self, deletion: Deletion) -> Deferred[int | None]:
        """Remember the payload of a torrent that isn't in the store; its id."""
        return self._thread.write(statements.add_deletion, deletion)

    def deletions(self) -> Deferred[list[Deletion]]:
        """Payload that is still to be deleted, the oldest first."""
        return self._thread.read(statements.deletions)

    def deletion_done(self, deletion_id: int) -> Deferred[None]:
        return self._thread.write(statements.deletion_done, deletion_id)

    def set_stopped(self, session_id: str, infohash: str, stopped: bool, row: bytes | None) -> Deferred[None]:
        """``row=None`` leaves the stored row as it is."""
        return self._thread.write(statements.set_stopped, session_id, infohash, stopped, row)

    def save_info(
        self, session_id: str, infohash: str, info: bytes, infohash_v1: str | None, infohash_v2: str | None
    ) -> Deferred[None]:
        """A magnet has got its metadata: the info dictionary, and both hashes as far as it has them."""
        return self._thread.write(statements.save_info, session_id, infohash, info, infohash_v1, infohash_v2)

    def save_resume(
        self, session_id: str, infohash: str, resume: bytes, row: bytes, done: bool
    ) -> Deferred[None]:
        return self._thread.write(statements.save_resume, session_id, infohash, resume, row, done)

    def save_rows(self, session_id: str, rows: list[tuple[str, bytes]]) -> Deferred[None]:
        """Store (infohash, row) for many torrents at once; ``rows`` must not change until it is answered."""
        return self._thread.write(statements.save_rows, session_id, rows)

    def torrents(self, session_id: str) -> Deferred[list[TorrentRecord]]:
        """In the order of adding."""
        return self._thread.read(statements.torrents, session_id)

    def blobs(self, session_id: str, infohashes: Sequence[str]) -> Deferred[dict[str, TorrentBlobs]]:
        """Those of ``infohashes`` that the store has; ask for some hundreds at a time, they may be large."""
        return self._thread.read(statements.blobs, session_id, infohashes)

    def add_token(self, record: TokenRecord) -> Deferred[None]:
        return self._thread.write(statements.add_token, record)

    def delete_token(self, token_id: str) -> Deferred[None]:
        return self._thread.write(statements.delete_token, token_id)

    def tokens(self) -> Deferred[list[TokenRecord]]:
        """In the order of their creation."""
        return self._thread.read(statements.tokens)

    def set_tokens_used(self, times: Sequence[tuple[int, str]]) -> Deferred[None]:
        """Store (epoch seconds, id) of their last use."""
        return self._thread.write(statements.set_tokens_used, times)

    def add_user(self, record: UserRecord) -> Deferred[None]:
        """:raises UserExists: the name is taken; nothing was changed."""
        return self._thread.write(statements.add_user, record)

    def update_user(self, user_id: str, hash: str | None, scopes: tuple[str, ...] | None) -> Deferred[None]:
        """``None`` leaves what is stored."""
        return self._thread.write(statements.update_user, user_id, hash, scopes)

    def user_logged_in(self, user_id: str, hash: str, renewed: str, time: int) -> Deferred[None]:
        """At which epoch second; ``renewed`` takes the place of ``hash``, unless it is another by now."""
        return self._thread.write(statements.user_logged_in, user_id, hash, renewed, time)

    def delete_user(self, user_id: str) -> Deferred[None]:
        return self._thread.write(statements.delete_user, user_id)

    def users(self) -> Deferred[list[UserRecord]]:
        """In the order of their creation."""
        return self._thread.read(statements.users)

    def set_setting(self, name: str, value: str) -> Deferred[None]:
        """Names that begin with ``store.`` are the store's own."""
        return self._thread.write(statements.set_setting, name, value)

    def setting(self, name: str) -> Deferred[str | None]:
        return self._thread.read(statements.setting, name)
