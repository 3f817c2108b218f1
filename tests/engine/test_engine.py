"""All sessions of a daemon: restored, bound again, deleted, stopped in the middle of anything."""

from typing import Any

from twisted.internet.defer import Deferred, fail

from resttorrent.engine.engine import RETRY_BIND
from resttorrent.engine.leftovers import RETRY
from resttorrent.engine.session import SAVE_TIMEOUT, Session
from resttorrent.engine.shared import SessionOptions
from resttorrent.engine.torrent import Torrent
from resttorrent.errors import (
    EngineError,
    EngineTimeout,
    FilesInUse,
    Loading,
    PathOutsideRoots,
    PortInUse,
    SessionIsMemoryOnly,
    SessionNotFound,
    StateDiskFull,
    Stopping,
)
from resttorrent.store.records import Deletion
from tests.harness import make_torrent, write_files
from tests.swarm.network import free_ports, hold, release

from .support import EngineCase, outcomes


class PortTests(EngineCase):
    async def test_taken_port_at_restore(self) -> None:
        """No port, a reason in /health, the former port still stored; bound 30 s later, when it is free."""
        port = free_ports(1)
        session = await self.make_session(port_range=(port, port))
        held: list[Any] = []
        self.addCleanup(lambda: release(held))

        async def take() -> None:
            held.extend(hold(port))

        session = await self.restart(alter=lambda: Deferred.fromCoroutine(take()))
        await self.until_revived()
        self.assertTrue(session.lacks_port)
        self.assertIsNone(session.port)
        self.assertEqual([reason.code for reason in self.engine.reasons()], ["session_not_listening"])
        self.assertEqual([record.port for record in await self.store.sessions()], [port])
        # in vain once more
        self.timers.clock.advance(RETRY_BIND)
        await self.until(lambda: len(self.timers.clock.getDelayedCalls()) and not session._binding)
        self.assertIsNone(session.port)
        release(held)
        await self.until(lambda: self._retry_is_due())
        self.timers.clock.advance(RETRY_BIND)
        await self.until(lambda: session.port == port)
        self.assertEqual(self.engine.reasons(), [])

    def _retry_is_due(self) -> bool:
        return self.engine._retry is not None

    async def test_former_port_is_taken_again(self) -> None:
        first = free_ports(3)
        session = await self.make_session(port_range=(first, first + 2))
        other = await self.make_session(port_range=(first, first + 2))
        self.assertEqual((session.port, other.port), (first, first + 1))
        await self.engine.delete_session(session)
        session = await self.restart()
        await self.until(lambda: session.port is not None and session.former_port == session.port)
        self.assertEqual(session.port, first + 1)

    async def test_store_fails_while_it_binds(self) -> None:
        """The torrents are loaded all the same."""
        first = free_ports(2)
        session = await self.make_session(port_range=(first, first + 1))
        await self.add(session, 1)
        held: list[Any] = []
        self.addCleanup(lambda: release(held))

        async def take() -> None:
            held.extend(hold(first))
            self.store.failing["set_session_port"] = StateDiskFull("full")

        session = await self.restart(alter=lambda: Deferred.fromCoroutine(take()))
        await self.until_loaded(session)
        self.assertEqual(session.port, first + 1)
        self.assertEqual(len(await self.libtorrents(session)), 1)

    async def test_nothing_is_left_of_what_could_not_be_made(self) -> None:
        port = free_ports(1)
        held = hold(port)
        self.addCleanup(lambda: release(held))
        await self.fails(self.make_session(port_range=(port, port)), PortInUse)
        self.store.failing["add_session"] = StateDiskFull("full")
        await self.fails(self.make_session(), StateDiskFull)
        self.assertEqual((list(self.engine), await self.store.sessions()), ([], []))
        await self.until(lambda: not self.engine._alive)


class DeletingTests(EngineCase):
    async def test_twice_at_once(self) -> None:
        session = await self.make_session()
        first, second = await outcomes(self.engine.delete_session(session) for _ in range(2))
        self.assertIsNone(first)
        self.assertIsInstance(second, SessionNotFound)

    async def test_store_fails(self) -> None:
        session = await self.make_session()
        self.store.failing["delete_session"] = StateDiskFull("full")
        await self.fails(self.engine.delete_session(session), StateDiskFull)
        self.assertIs(self.engine.session(session.options.id.upper()), session)
        await self.add(session, 1)

    async def test_libtorrent_hangs(self) -> None:
        """Ten seconds, then it is answered, and the session is gone from the list."""
        session = await self.make_session()
        self.patch(session._link.ports, "release", lambda: Deferred())
        deleted = Deferred.fromCoroutine(self.engine.delete_session(session))
        await self.until(lambda: session.closing)
        self.timers.clock.advance(10)
        await deleted
        self.assertRaises(SessionNotFound, self.engine.session, session.options.id)
        await session.ended()


class StoppingTests(EngineCase):
    async def test_while_a_session_is_made(self) -> None:
        made = Deferred.fromCoroutine(self.make_session())
        await self.engine.stop()
        await self.fails(made, Stopping)
        self.assertEqual(await self.store.sessions(), [])

    async def test_while_sessions_open(self) -> None:
        for _ in range(2):
            await self.make_session()
        before = await self.store.sessions()
        await self.engine.stop()
        engine = self.make_engine()
        await engine.start(clean=True)
        sessions = list(engine)
        self.assertFalse(any(session._link.is_open for session in sessions))
        await engine.stop()
        self.assertFalse(any(session._link.is_open for session in sessions))
        self.assertEqual(await self.store.sessions(), before)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_before_all_is_listed(self) -> None:
        """Its start is broken off: sessions that were never opened end at once."""
        await self.make_session()
        await self.engine.stop()
        self.store.gates["torrents"] = Deferred()
        engine = self.make_engine()
        starting = Deferred.fromCoroutine(engine.start(clean=True))
        await self.until(lambda: self.store.count("torrents"))
        # a session that is listed already, as if there were a second one to come
        record = (await self.store.sessions())[0]
        listed = Session(SessionOptions.of_record(record), engine._shared, port=record.port)
        engine._sessions[record.id] = listed
        engine._alive.add(listed)
        starting.addErrback(lambda failure: None)
        starting.cancel()
        await engine.stop()
        await self.fails(listed.open(), Stopping)

    async def test_soon_after_a_session_was_deleted(self) -> None:
        """What the deleted session still has to do is waited for."""
        session = await self.make_session()
        await self.engine.delete_session(session)
        self.assertTrue(session._link.is_open)
        await self.engine.stop()
        self.assertFalse(session._link.is_open)

    async def test_store_hangs(self) -> None:
        session = await self.make_session()
        write_files(self.root / "payload", {"a": 40_000})
        torrent = await self.add(session, make_torrent(self.root / "payload"), stopped=False)
        await self.until(lambda: self.state(session, torrent.infohash) == "seeding")
        self.store.gates["save_resume"] = Deferred()
        session._upkeep.saver.want(torrent)
        stopped = Deferred.fromCoroutine(self.engine.stop())
        await self.until(lambda: self.store.count("save_resume") and self._waits_for(SAVE_TIMEOUT))
        self.timers.clock.advance(SAVE_TIMEOUT)
        await self.fails(stopped, EngineError)
        self.assertFalse(session._link.is_open)

    async def test_libtorrent_hangs(self) -> None:
        session = await self.make_session()
        self.patch(session.refresher, "_post", lambda: None)
        stopped = Deferred.fromCoroutine(self.engine.stop())
        await self.until(lambda: session.refresher._waiting)
        self.timers.clock.advance(10)
        await self.fails(stopped, EngineError)
        self.assertFalse(session._link.is_open)

    def _waits_for(self, seconds: float) -> bool:
        now = self.timers.clock.seconds()
        return any(call.getTime() == now + seconds for call in self.timers.clock.getDelayedCalls())

    async def test_nothing_is_made_afterwards(self) -> None:
        await self.engine.stop()
        await self.fails(self.make_session(), Stopping)


class LeftoverTests(EngineCase):
    """Payload that is to be deleted, and what comes between."""

    async def seeding(self, session: Session, *names: str) -> Torrent:
        write_files(self.root / "payload", dict.fromkeys(names, 40_000))
        torrent = await self.add(session, make_torrent(self.root / "payload"), stopped=False)
        await self.until(lambda: self.state(session, torrent.infohash) == "seeding")
        return torrent

    async def cut_short(self, session: Session, torrent: Torrent) -> None:
        """Remove it as a process does that dies before its first file is deleted."""
        self.patch(session, "delete_files", lambda *args: Deferred())
        removal = Deferred.fromCoroutine(self.engine.remove_torrent(session, torrent, delete_files=True))
        # the engine may be stopped before it has come so far
        removal.addErrback(lambda failure: failure.trap(Stopping))
        await self.until(lambda: torrent not in session.torrents and torrent.handle is None)
        await self.until(lambda: not len(session._link._removing))

    def there(self) -> list[str]:
        return sorted(path.name for path in (self.root / "payload").glob("*"))

    async def until_nothing_is_left(self) -> None:
        while await self.store.deletions():
            await self.store.setting("any")

    async def test_nothing_is_left_of_a_whole_removal(self) -> None:
        for memory_only in (False, True):
            session = await self.make_session(memory_only=memory_only)
            self.memory_only = memory_only
            torrent = await self.seeding(session, "a", "b")
            await self.engine.remove_torrent(session, torrent, delete_files=True)
            self.assertFalse((self.root / "payload").exists())
            self.assertEqual(await self.store.deletions(), [])
        self.assertEqual(self.store.count("add_deletion"), 1)

    async def test_next_process_deletes(self) -> None:
        """All but what another torrent uses: one that was there, and one that was added meanwhile."""
        session = await self.make_session()
        shared = await self.seeding(session, "a", "b")
        torrent = await self.seeding(session, "c")
        await self.cut_short(session, torrent)
        (left,) = await self.store.deletions()
        self.assertEqual(
            (left.save_path, sorted(left.files)), (str(self.root), [f"payload/{n}" for n in "abc"])
        )
        self.assertEqual(self.there(), ["a", "b", "c"])
        session = await self.restart(clean=False)
        self.assertIn(shared.infohash, session.table)
        await self.until_nothing_is_left()
        self.assertEqual(self.there(), ["a", "b"])

    async def test_memory_only(self) -> None:
        lasting = await self.make_session()
        session = await self.make_session(memory_only=True)
        self.memory_only = True
        await self.cut_short(session, await self.seeding(session, "a"))
        await self.restart(clean=False)
        await self.until_nothing_is_left()
        self.assertFalse((self.root / "payload").exists())
        self.assertEqual([session.options.id for session in self.engine], [lasting.options.id])

    async def test_memory_only_needs_no_store(self) -> None:
        self.memory_only = True
        session = await self.make_session()
        torrent = await self.seeding(session, "a")
        self.store.failing["add_deletion"] = StateDiskFull("full")
        await self.engine.remove_torrent(session, torrent, delete_files=True)
        self.assertFalse((self.root / "payload").exists())

    async def test_session_that_is_gone(self) -> None:
        """Its thread has ended; the files go all the same."""
        session = await self.make_session()
        torrent = await self.seeding(session, "a")
        self.patch(session, "delete_files", lambda *args: fail(Stopping("the session is closed")))
        await self.engine.remove_torrent(session, torrent, delete_files=True)
        self.assertFalse((self.root / "payload").exists())
        self.assertEqual(await self.store.deletions(), [])

    async def test_what_fails_for_ever_is_tried_once(self) -> None:
        session = await self.make_session()
        for error in (PathOutsideRoots("a link"), EngineError("refused")):
            torrent = await self.seeding(session, "a")
            self.patch(session, "delete_files", lambda *args, error=error: fail(error))
            await self.fails(self.engine.remove_torrent(session, torrent, delete_files=True), type(error))
            self.assertEqual(await self.store.deletions(), [])
        await self.store.add_deletion(Deletion("/", ["etc/x"]))
        await self.restart()
        await self.until_nothing_is_left()

    async def test_files_that_libtorrent_may_still_have(self) -> None:
        session = await self.make_session()
        torrent = await self.seeding(session, "a")
        self.patch(session._link, "remove", lambda handle: fail(EngineTimeout("no answer")))
        await self.fails(self.engine.remove_torrent(session, torrent, delete_files=True), EngineTimeout)
        self.assertEqual(self.there(), ["a"])
        self.assertEqual(await self.store.deletions(), [])

    async def test_files_of_one_that_is_not_loaded(self) -> None:
        """They may be the same, so it waits."""
        write_files(self.root / "payload", {"a": 40_000})
        await self.store.add_deletion(Deletion(str(self.root), ["payload/a"]))
        await self.engine.stop()
        self.engine = self.make_engine()
        trials = []

        async def files_near(deletion: Deletion) -> frozenset[str]:
            trials.append(deletion)
            if len(trials) == 1:
                raise Loading("wait")
            return frozenset()

        self.patch(self.engine._leftovers, "files_near", files_near)
        await self.engine.start(clean=True)
        await self.until(lambda: self.engine._leftovers._retry is not None)
        self.assertEqual(self.there(), ["a"])
        self.timers.clock.advance(RETRY)
        await self.until_nothing_is_left()
        self.assertEqual((len(trials), self.there()), (2, []))

    async def test_end_that_could_not_be_stored(self) -> None:
        """Stored later, so that the next start does not delete what came there since."""
        session = await self.make_session()
        torrent = await self.seeding(session, "a")
        self.store.failing["deletion_done"] = StateDiskFull("full")
        await self.engine.remove_torrent(session, torrent, delete_files=True)
        self.assertEqual(len(await self.store.deletions()), 1)
        del self.store.failing["deletion_done"]
        self.timers.clock.advance(RETRY)
        await self.until_nothing_is_left()

    async def test_stop_in_the_middle(self) -> None:
        """Sessions that have ended show no torrents, but their files stay; the next process goes on."""
        session = await self.make_session()
        shared = await self.seeding(session, "a")
        await self.cut_short(session, await self.seeding(session, "b"))
        await self.engine.stop()
        self.engine = self.make_engine()
        self.store.gates["blobs"] = Deferred()
        await self.engine.start(clean=True)
        await self.engine.stop()
        self.store.gates.pop("blobs").callback(None)
        self.assertEqual(self.there(), ["a", "b"])
        self.assertEqual(len(await self.store.deletions()), 1)
        session = await self.restart()
        await self.until_nothing_is_left()
        self.assertEqual((self.there(), len(session.torrents)), (["a"], 1))
        self.assertIn(shared.infohash, session.table)


class SharingTests(EngineCase):
    """Torrents of different sessions that use the same files."""

    async def here(self, session: Session, data: bytes) -> Any:
        torrent = await self.add(session, data, stopped=False)
        await self.until(lambda: self.state(session, torrent.infohash) == "seeding")
        return torrent

    async def test_sessions_come_and_go_while_files_are_compared(self) -> None:
        write_files(self.root / "payload", {"a": 40_000, "b": 100})
        data = make_torrent(self.root / "payload")
        first, second = await self.make_session(), await self.make_session()
        torrent = await self.here(first, data)
        await self.here(second, data)
        removal = Deferred.fromCoroutine(self.engine.remove_torrent(first, torrent, delete_files=True))
        busy = Deferred.fromCoroutine(outcomes(self.make_session() for _ in range(2)))
        adds = Deferred.fromCoroutine(outcomes(self.add(second, number) for number in range(20)))
        await removal
        for result in [*await busy, *await adds]:
            self.assertIsInstance(result, (Session, Torrent))
        # the other session's torrent keeps them
        self.assertTrue((self.root / "payload" / "a").exists())
        ((_, other),) = [(s, t) for s in self.engine for t in s.torrents if t.infohash == torrent.infohash]
        await self.engine.remove_torrent(second, other, delete_files=True)
        self.assertFalse((self.root / "payload").exists())

    async def test_unfinished_in_the_same_folder(self) -> None:
        first, second = await self.make_session(), await self.make_session()
        await self.add(first, 1)
        await self.fails(self.add(second, 1), FilesInUse)
        await self.add(second, 1, save_path="elsewhere")

    async def test_session_is_deleted_while_it_is_looked_at(self) -> None:
        """The torrent is complete in the first session, so the others are looked at too."""
        write_files(self.root / "payload", {"a": 40_000})
        data = make_torrent(self.root / "payload")
        first, second, third = [await self.make_session() for _ in range(3)]
        await self.here(first, data)
        added = Deferred.fromCoroutine(self.add(third, data))
        await self.engine.delete_session(second)
        self.assertIn(await added, third.torrents)

    async def test_torrent_that_would_outlive_its_session(self) -> None:
        session = await self.make_session(memory_only=True)
        await self.fails(self.add(session, 1, memory_only=False), SessionIsMemoryOnly)
