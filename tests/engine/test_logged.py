"""What a running engine logs: each thing once, in its order, nothing that only a restart brought."""

from typing import Any

from twisted.internet.defer import Deferred

from resttorrent.engine.engine import RETRY_BIND
from resttorrent.errors import SessionNotFound, StateDiskFull, TorrentExists, TorrentNotFound
from tests.harness import make_torrent, write_files
from tests.swarm.network import free_ports, hold, release

from .support import EngineCase, outcomes


class LoggedTests(EngineCase):
    def logged(self) -> list[str]:
        return [entry.event for entry in self.engine.log.newest(1000).entries]

    async def test_torrents(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1)
        await self.fails(self.add(session, 1), TorrentExists)
        for stopped in (False, False, True, True):
            await session.set_stopped(torrent, stopped)
        results = await outcomes(
            self.engine.remove_torrent(session, torrent, delete_files=False) for _ in range(2)
        )
        self.assertEqual([type(result) for result in results], [type(None), TorrentNotFound])
        await self.engine.delete_session(session)
        await self.fails(self.engine.delete_session(session), SessionNotFound)
        self.assertEqual(
            self.logged(),
            ["session_created", "torrent_added", "torrent_resumed", "torrent_stopped", "torrent_removed",
             "session_deleted"],
        )  # fmt: skip
        entries = self.engine.log.newest(1000).entries
        self.assertEqual({entry.session_id for entry in entries}, {session.options.id})
        self.assertEqual([entry.infohash for entry in entries], [None, *[torrent.infohash] * 4, None])
        self.assertEqual(entries[1].message, "tiny 1: added")

    async def test_complete_torrent(self) -> None:
        """Added first, finished then, though its data was there; not again when it is loaded or checked."""
        write_files(self.root / "payload", {"a": 100_000})
        session = await self.make_session()
        torrent = await self.add(session, make_torrent(self.root / "payload", "v1"), stopped=False)
        await self.until(lambda: self.state(session, torrent.infohash) == "seeding")
        self.assertEqual(self.logged(), ["session_created", "torrent_added", "torrent_finished"])
        await self.until(lambda: torrent.done)
        torrent.live.force_recheck()
        await self.until(lambda: self.state(session, torrent.infohash) == "checking")
        await self.until(lambda: self.state(session, torrent.infohash) == "seeding")
        self.assertEqual(len(self.logged()), 3)
        before = self.engine.log.last
        session = await self.restart()
        await self.until_loaded(session)
        await self.until(lambda: self.state(session, torrent.infohash) == "seeding")
        self.assertEqual(self.logged(), [])
        self.assertGreater(self.engine.log.last, before)
        self.assertTrue(self.engine.log.after(before, limit=1).gap)

    async def test_files_that_are_missing(self) -> None:
        write_files(self.root / "payload", {"a": 100_000})
        session = await self.make_session()
        torrent = await self.add(session, make_torrent(self.root / "payload", "v1"), stopped=False)
        await self.until(lambda: torrent.done)

        async def lose() -> None:
            (self.root / "payload" / "a").unlink()

        session = await self.restart(alter=lambda: Deferred.fromCoroutine(lose()))
        await self.until(lambda: self.state(session, torrent.infohash) == "missing_files")
        self.assertEqual(self.logged(), ["torrent_error"])

    async def test_addition_that_was_taken_back(self) -> None:
        session = await self.make_session()
        self.store.failing["add_torrent"] = StateDiskFull("full")
        await self.fails(self.add(session, 1), StateDiskFull)
        self.assertEqual(self.logged(), ["session_created", "torrent_added", "torrent_removed"])
        self.assertEqual(self.engine.log.newest(1).entries[0].message, "tiny 1: not added after all")

    async def test_taken_port(self) -> None:
        """Told once, and once more when the port is bound at last."""
        port = free_ports(1)
        await self.make_session(port_range=(port, port))
        held: list[Any] = []
        self.addCleanup(lambda: release(held))

        async def take() -> None:
            held.extend(hold(port))

        session = await self.restart(alter=lambda: Deferred.fromCoroutine(take()))
        await self.until_revived()
        self.assertTrue(session.lacks_port)
        for _ in range(2):
            self.timers.clock.advance(RETRY_BIND)
            await self.until(lambda: not session._binding and self.timers.clock.getDelayedCalls())
        self.assertEqual(self.logged(), ["listen_failed"])
        release(held)
        self.timers.clock.advance(RETRY_BIND)
        await self.until(lambda: session.port == port)
        self.assertEqual(self.logged(), ["listen_failed", "listen_succeeded"])
