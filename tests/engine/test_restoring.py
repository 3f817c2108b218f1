"""What was stored comes back: listed at once, loaded behind that, and named where it can't be."""

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from resttorrent.engine import restoring
from resttorrent.engine.loading import CHUNK, PATIENCE, parameters_of
from resttorrent.engine.session import Session
from resttorrent.errors import (
    EngineError,
    FilesInUse,
    Loading,
    NotATorrent,
    PathOutsideRoots,
    StateDiskFull,
    TorrentExists,
)
from resttorrent.paths.presence import MARKER
from tests.harness import make_torrent, write_files

from .support import EngineCase, outcomes


class RestoringCase(EngineCase):
    def payload(self, name: str = "payload", size: int = 100_000) -> bytes:
        """A torrent whose payload lies in the root."""
        write_files(self.root / name, {"a": size, "b": 30_000})
        return make_torrent(self.root / name, "v1")

    async def stored(self, data: Any, state: str = "seeding", **changes: Any) -> tuple[Session, str]:
        session = await self.make_session()
        torrent = await self.add(session, data, **({"stopped": False} | changes))
        await self.until(lambda: self.state(session, torrent.infohash) == state)
        return session, torrent.infohash

    async def sql(self, statement: str, *arguments: Any) -> Any:
        def run(connection: Any) -> Any:
            return connection.execute(statement, arguments).fetchall()

        return await self.store._thread.write(run)

    async def logged(self, words: str) -> None:
        """Some warning must have said this; errors that were logged with it are not expected."""
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertTrue(any(words in line for line in self.lines), self.lines)

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.lines: list[str] = []

        def observe(event: Any) -> None:
            self.lines.append(formatEvent(event))

        observer: Any = observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)


class LoadingTests(RestoringCase):
    async def test_comes_back_as_it_was(self) -> None:
        session, key = await self.stored(self.payload())
        other = await self.add(session, 1)
        session = await self.restart()
        self.assertEqual(self.state(session, key), "checking_resume_data")
        await self.until_loaded(session)
        await self.until(lambda: self.state(session, key) == "seeding")
        self.assertEqual(self.state(session, other.infohash), "stopped")

    async def test_listed_but_not_loaded(self) -> None:
        """Adding it again is 409 at once; a command on it waits, and then gives up."""
        session, key = await self.stored(1, "downloading")
        gate: Deferred[None] = Deferred()
        self.store.gates["blobs"] = gate
        session = await self.restart()
        torrent = session.torrents.named(key)
        await self.fails(self.add(session, 1), TorrentExists)
        removal = Deferred.fromCoroutine(session.remove(torrent))
        await self.until(lambda: self.store.count("blobs"))
        self.timers.clock.advance(PATIENCE)
        await self.fails(removal, Loading)
        self.assertEqual((len(session.torrents), len(await self.records(session))), (1, 1))
        second = Deferred.fromCoroutine(session.remove(torrent))
        del self.store.gates["blobs"]
        gate.callback(None)
        await second
        self.assertEqual((len(session.torrents), await self.records(session)), (0, []))
        self.assertEqual(await self.libtorrents(session), [])

    async def test_one_that_is_waited_for_comes_first(self) -> None:
        session = await self.make_session()
        adds = [self.add(session, number) for number in range(CHUNK * 3)]
        torrents = [one async for one in _each(adds)]
        gate: Deferred[None] = Deferred()
        self.store.gates["blobs"] = gate
        self.store.calls.clear()
        session = await self.restart()
        await self.until(lambda: self.store.count("blobs") == 2)
        last = session.torrents.named(torrents[-1].infohash)
        peers = Deferred.fromCoroutine(session.peers(last))
        gate.callback(None)
        self.assertEqual(await peers, [])
        await self.until_loaded(session)
        asked = [args[1] for name, args in self.store.calls if name == "blobs"]
        self.assertEqual(asked[2][0], last.infohash)
        self.assertEqual(len(await self.libtorrents(session)), CHUNK * 3)

    async def test_torn_resume_data(self) -> None:
        session, key = await self.stored(self.payload())
        for torn in (b"d4:torn", b"", b"\0" * 50, b"de"):
            session = await self.restart(
                alter=lambda torn=torn: _later(  # type: ignore[misc]
                    self.sql("UPDATE resume SET data = ?", torn)
                )
            )
            await self.until_loaded(session)
            await self.until(lambda s=session: self.state(s, key) == "seeding")  # type: ignore[misc]
            await self.logged(f"resume data of {key} is of no use")
            self.lines.clear()
            # and was saved anew, or the next round would change nothing
            session._upkeep.saver.want(session.torrents.named(key))
            await session._upkeep.saver.idle()

    async def test_resume_data_of_another_torrent(self) -> None:
        session, _ = await self.stored(self.payload("one"))
        second = await self.add(session, self.payload("two"), stopped=False)
        await self.until(lambda: self.state(session, second.infohash) == "seeding")
        session = await self.restart(
            alter=lambda: _later(self.sql("UPDATE resume SET data = (SELECT max(data) FROM resume)"))
        )
        await self.until_loaded(session)
        self.assertEqual(len(await self.libtorrents(session)), 2)
        self.assertEqual([t.fault for t in session.torrents], [None, None])

    async def test_damaged_row(self) -> None:
        session, key = await self.stored(self.payload())
        session = await self.restart(alter=lambda: _later(self.sql("UPDATE torrents SET \"row\" = x'93ff'")))
        self.assertEqual(self.state(session, key), "checking_resume_data")
        await self.until_loaded(session)
        await self.until(lambda: self.state(session, key) == "seeding")

    async def test_missing_metainfo(self) -> None:
        session, key = await self.stored(self.payload())
        session = await self.restart(alter=lambda: _later(self.sql("DELETE FROM metainfo")))
        await self.until_loaded(session)
        self.assertEqual(self.state(session, key), "error")
        self.assertIn("metainfo is missing", session.table.value(key, "error"))
        torrent = session.torrents.named(key)
        await self.fails(session.peers(torrent), NotATorrent)
        # it can be stopped, not started, and removed
        await session.set_stopped(torrent, True)
        self.assertTrue((await self.records(session))[0].stopped)
        await self.fails(session.set_stopped(torrent, False), NotATorrent)
        self.assertTrue((await self.records(session))[0].stopped)
        self.assertEqual(self.state(session, key), "error")
        await session.remove(torrent)
        self.assertEqual(await self.records(session), [])

    async def test_what_could_not_be_loaded_is_tried_again(self) -> None:
        session, key = await self.stored(self.payload())
        (data,) = (await self.sql("SELECT data FROM metainfo"))[0]
        session = await self.restart(alter=lambda: _later(self.sql("UPDATE metainfo SET data = x'6a756e6b'")))
        await self.until_loaded(session)
        self.assertEqual(self.state(session, key), "error")
        await self.sql("UPDATE metainfo SET data = ?", data)
        torrent = session.torrents.named(key)
        both = (session.set_stopped(torrent, False) for _ in range(2))
        self.assertEqual(await outcomes(both), [None, None])
        await self.until(lambda: self.state(session, key) == "seeding")
        self.assertIsNone(torrent.fault)

    async def test_store_can_not_be_read(self) -> None:
        """All of it stays listed with the reason."""
        session, key = await self.stored(1, "downloading")
        self.store.failing["blobs"] = EngineError("the database is damaged")
        session = await self.restart()
        await self.until_loaded(session)
        self.assertEqual(self.state(session, key), "error")
        self.store.failing.clear()
        await session.set_stopped(session.torrents.named(key), False)
        await self.until(lambda: self.state(session, key) == "downloading")

    async def test_link_that_was_put_there_since(self) -> None:
        data = self.payload()
        session, key = await self.stored(data)
        outside = Path(self.mktemp()).resolve()
        outside.mkdir()

        async def swap() -> None:
            (self.root / "payload").rename(outside / "payload")
            (self.root / "payload").symlink_to(outside / "payload")

        session = await self.restart(alter=lambda: Deferred.fromCoroutine(swap()))
        await self.until_loaded(session)
        self.assertEqual(self.state(session, key), "error")
        self.assertIsInstance(session.torrents.named(key).fault, PathOutsideRoots)
        self.assertEqual(await self.libtorrents(session), [])

    async def test_payload_of_one_not_loaded_yet_is_not_deleted(self) -> None:
        """Two torrents share a folder; one is removed with its files while the other still loads."""
        first = self.payload(size=100_000)
        session, key = await self.stored(first)
        write_files(self.root / "payload", {"c": 1000})
        other = await self.add(session, make_torrent(self.root / "payload", "v1"), stopped=False)
        await self.until(lambda: self.state(session, other.infohash) == "seeding")
        session = await self.restart(
            alter=lambda: _later(
                self.sql("DELETE FROM metainfo WHERE torrent = (SELECT max(torrent) FROM metainfo)")
            )
        )
        await self.until_loaded(session)
        await self.fails(
            self.engine.remove_torrent(session, session.torrents.named(key), delete_files=True), FilesInUse
        )
        self.assertIn(key, session.table)
        self.assertTrue((self.root / "payload" / "a").exists())

    async def test_stop_while_it_loads(self) -> None:
        session = await self.make_session()
        for number in range(50):
            await self.add(session, number)
        gate: Deferred[None] = Deferred()
        self.store.gates["blobs"] = gate
        await self.restart()
        await self.until(lambda: self.store.count("blobs"))
        await self.engine.stop()
        gate.callback(None)
        self.assertEqual([line for line in self.lines if "could not be loaded" in line], [])
        self.assertEqual(self.flushLoggedErrors(), [])


class UncleanTests(RestoringCase):
    async def test_only_running_unfinished_torrents_are_checked(self) -> None:
        rechecked: list[str] = []
        made = parameters_of

        def parameters(torrent: Any, blobs: Any, *, recheck: bool, log: Any) -> Any:
            if recheck:
                rechecked.append(torrent.infohash)
            return made(torrent, blobs, recheck=recheck, log=log)

        self.patch(restoring, "parameters_of", parameters)
        session, complete = await self.stored(self.payload("complete"))
        stopped = await self.add(session, 1)
        running = await self.add(session, 2, stopped=False)
        await session._upkeep.saver.idle()
        session = await self.restart(clean=False)
        await self.until_loaded(session)
        self.assertEqual(rechecked, [running.infohash])
        self.assertIn(stopped.infohash, session.table)
        await self.until(lambda: self.state(session, complete) == "seeding")
        session = await self.restart(clean=True)
        await self.until_loaded(session)
        self.assertEqual(rechecked, [running.infohash])


class MissingFilesTests(RestoringCase):
    async def test_complete_torrent_whose_files_are_gone(self) -> None:
        """It is not downloaded again, maybe onto another disk; resuming it looks for the files."""
        session, key = await self.stored(self.payload())
        away = Path(self.mktemp()).resolve()
        self.assertTrue((await self.records(session))[0].done or await self._saved(session, key))

        async def unmount() -> None:
            (self.root / "payload").rename(away)

        session = await self.restart(alter=lambda: Deferred.fromCoroutine(unmount()))
        await self.until_loaded(session)
        await self.until(lambda: self.state(session, key) == "missing_files")
        self.assertIn("missing", session.table.value(key, "error"))
        session._upkeep.saver.want(session.torrents.named(key))
        session = await self.restart()
        await self.until_loaded(session)
        await self.until(lambda: self.state(session, key) == "missing_files")
        self.assertEqual([path.name for path in self.root.iterdir()], [MARKER])
        away.rename(self.root / "payload")
        await session.set_stopped(session.torrents.named(key), False)
        await self.until(lambda: self.state(session, key) == "seeding")
        self.assertIsNone(session.table.value(key, "error"))

    async def _saved(self, session: Session, key: str) -> bool:
        session._upkeep.saver.want(session.torrents.named(key))
        await session._upkeep.saver.idle()
        return (await self.records(session))[0].done


class NotStoredTests(RestoringCase):
    async def test_resume_data_is_kept_for_the_next_minute(self) -> None:
        session, key = await self.stored(self.payload())
        saver = session._upkeep.saver
        await saver.idle()
        self.store.failing["save_resume"] = StateDiskFull("full")
        saver.want(session.torrents.named(key))
        await saver.idle()
        self.assertFalse(saver.all_stored)
        self.store.failing.clear()
        before = self.store.count("save_resume")
        self.timers.clock.advance(60)
        await self.until(lambda: self.store.count("save_resume") > before)
        await saver.idle()
        self.assertTrue(saver.all_stored)

    async def test_stop_says_that_not_all_was_saved(self) -> None:
        session, key = await self.stored(self.payload())
        self.store.failing["save_resume"] = StateDiskFull("full")
        session._upkeep.saver.want(session.torrents.named(key))
        await self.fails(self.engine.stop(), EngineError)
        self.assertFalse(session._link.is_open)
        self.assertEqual(self.flushLoggedErrors(), [])


async def _each(coroutines: Any) -> Any:
    for one in [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]:
        yield await one


def _later(coroutine: Any) -> "Deferred[Any]":
    return Deferred.fromCoroutine(coroutine)
