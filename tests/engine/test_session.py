"""One session, with a real libtorrent on loopback: adding, changing, closing, and what goes wrong."""

import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred, DeferredList

from resttorrent.engine.ports import seems_free
from resttorrent.engine.torrent import Torrent
from resttorrent.errors import (
    CommandError,
    EngineTimeout,
    PathOutsideRoots,
    SessionNotFound,
    StateDiskFull,
    TorrentExists,
    TorrentNotFound,
)
from tests.harness import Seed, make_torrent, tiny_torrent, write_files

from .support import EngineCase, outcomes

INTERFACES = ("127.0.0.1",)


class MuteTracker:
    """A socket that listens and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/announce"

    def close(self) -> None:
        self._socket.close()


class AddingTests(EngineCase):
    async def assertNothingLeft(self, session: Any, infohash: str) -> None:
        self.assertEqual(len(session.torrents), 0)
        self.assertNotIn(infohash, session.table)
        self.assertEqual(await self.libtorrents(session), [])
        self.store.failing.clear()
        self.assertEqual(await self.records(session), [])

    async def test_add(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1)
        self.assertEqual(self.state(session, torrent.infohash), "stopped")
        self.assertEqual([r.infohash for r in await self.records(session)], [torrent.infohash])

    async def test_same_torrent_at_the_same_time(self) -> None:
        session = await self.make_session()
        first, second = await outcomes(self.add(session, 1) for _ in range(2))
        self.assertIn(first, session.torrents)
        self.assertIsInstance(second, TorrentExists)
        self.assertEqual(len(session.torrents), 1)

    async def test_store_fails(self) -> None:
        session = await self.make_session()
        self.store.failing["add_torrent"] = StateDiskFull("full")
        await self.fails(self.add(session, 1), StateDiskFull)
        await self.assertNothingLeft(session, load_key(1))
        await self.add(session, 1)

    async def test_libtorrent_fails(self) -> None:
        session = await self.make_session()
        session._link.live.add_torrent(params_of(1, self.root))
        # its alert must not be taken for the answer to what is asked below
        await session.refresher.fresh()
        await self.fails(self.add(session, 1), TorrentExists)
        (handle,) = await self.libtorrents(session)
        await session._link.remove(handle)
        await self.assertNothingLeft(session, load_key(1))

    async def test_libtorrent_refuses_at_once(self) -> None:
        session = await self.make_session()

        def refuse(params: object) -> "Deferred[lt.torrent_handle]":
            raise TorrentExists("there")

        self.patch(session._link, "add", refuse)
        await self.fails(self.add(session, 1), TorrentExists)
        await self.assertNothingLeft(session, load_key(1))

    async def test_undoing_fails_too(self) -> None:
        """The caller hears of the first error, and nothing of the torrent stays in memory."""
        session = await self.make_session()
        self.store.failing["remove_torrent"] = StateDiskFull("full")
        self.patch(session.refresher, "fresh", lambda: failed(EngineTimeout("no status")))
        await self.fails(self.add(session, 1), EngineTimeout)
        self.assertEqual(len(session.torrents), 0)
        self.assertEqual(await self.libtorrents(session), [])

    async def test_unexpected_error(self) -> None:
        session = await self.make_session()
        self.store.failing["add_torrent"] = ZeroDivisionError("ours")
        await self.fails(self.add(session, 1), ZeroDivisionError)
        await self.assertNothingLeft(session, load_key(1))

    async def test_link_leads_out_of_the_roots(self) -> None:
        outside = Path(self.mktemp()).resolve()
        write_files(outside / "payload", {"a": 20_000, "b": 1})
        (self.root / "payload").symlink_to(outside)
        session = await self.make_session()
        await self.fails(self.add(session, make_torrent(outside / "payload")), PathOutsideRoots)
        self.assertEqual((len(session.torrents), await self.records(session)), (0, []))

    async def test_session_is_deleted_meanwhile(self) -> None:
        session = await self.make_session()
        adds = Deferred.fromCoroutine(outcomes(self.add(session, number) for number in range(50)))
        deleted = Deferred.fromCoroutine(self.engine.delete_session(session))
        results = await adds
        await deleted
        for result in results:
            self.assertIsInstance(result, (CommandError, Torrent))
        self.assertEqual(await self.store.sessions(), [])
        self.assertEqual(await self.records(session), [])

    async def test_memory_only_session_is_deleted_meanwhile(self) -> None:
        session = await self.make_session(memory_only=True)
        adds = Deferred.fromCoroutine(
            outcomes(self.add(session, number, memory_only=True) for number in range(20))
        )
        deleted = Deferred.fromCoroutine(self.engine.delete_session(session))
        for result in await adds:
            self.assertIsInstance(result, CommandError)
        await deleted


class ChangingTests(EngineCase):
    async def test_remove_and_add_again_many_times(self) -> None:
        session = await self.make_session()
        for _ in range(20):
            torrent = await self.add(session, 1)
            removed = Deferred.fromCoroutine(session.remove(torrent))
            while torrent in session.torrents:
                await session.fresh()
            again = await self.add(session, 1, stopped=False)
            await removed
            await session.remove(again)
        self.assertEqual(len(session.torrents), 0)
        self.assertEqual(session.torrents._by_handle, {})
        self.assertEqual(await self.libtorrents(session), [])
        self.assertEqual(await self.records(session), [])

    async def test_stopped_again_is_remembered(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1)
        await session.set_stopped(torrent, False)
        self.assertNotEqual(self.state(session, torrent.infohash), "stopped")
        self.assertFalse((await self.records(session))[0].stopped)
        await session.set_stopped(torrent, True)
        self.assertEqual(self.state(session, torrent.infohash), "stopped")
        self.assertTrue((await self.records(session))[0].stopped)

    async def test_store_fails_to_stop(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1, stopped=False)
        self.store.failing["set_stopped"] = StateDiskFull("full")
        await self.fails(session.set_stopped(torrent, True), StateDiskFull)
        await session.fresh()
        self.assertEqual(
            (torrent.stopped, self.state(session, torrent.infohash) == "stopped"), (False, False)
        )

    async def test_store_fails_to_remove(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1)
        self.store.failing["remove_torrent"] = StateDiskFull("full")
        await self.fails(session.remove(torrent), StateDiskFull)
        self.assertIn(torrent, session.torrents)
        self.assertIn(torrent.infohash, session.table)

    async def test_all_at_once(self) -> None:
        """Pauses, resumes and removals of one torrent: one removal wins, whoever comes late hears 404."""
        session = await self.make_session()
        torrent = await self.add(session, 1)
        work: list[Coroutine[Any, Any, object]] = [session.set_stopped(torrent, n % 2 == 0) for n in range(6)]
        work += [session.remove(torrent) for _ in range(3)]
        work += [session.set_stopped(torrent, n % 2 == 0) for n in range(6)]
        results = await outcomes(work)
        for result in results:
            self.assertIsInstance(result, (TorrentNotFound, type(None)))
        self.assertEqual([result is None for result in results[6:9]], [True, False, False])
        self.assertEqual(await self.records(session), [])
        self.assertEqual(await self.libtorrents(session), [])

    async def test_handle_that_is_gone(self) -> None:
        """libtorrent's "invalid handle" is a torrent that is not there, never a mistake of the daemon's."""
        session = await self.make_session()
        torrent = await self.add(session, 1)
        await session._link.remove(torrent.live)
        # its disk jobs may hold it a little longer
        await self.until(lambda: not torrent.live.is_valid())
        await self.fails(session.peers(torrent), TorrentNotFound)
        await self.fails(session.connect_peer(torrent, "127.0.0.1", 1), TorrentNotFound)
        await self.fails(session.set_stopped(torrent, False), TorrentNotFound)

    async def test_libtorrent_does_not_let_go(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1)
        handle = torrent.live
        self.patch(session._link, "_heard", lambda handle, what: None)
        removal = Deferred.fromCoroutine(session.remove(torrent))
        await self.until(lambda: handle in session._link._removing)
        self.timers.clock.advance(60)
        await self.fails(removal, EngineTimeout)
        self.assertEqual(session.torrents._by_handle, {})


class MagnetTests(EngineCase):
    """Hybrid torrents asked for by one of their hashes: the key stays, the other becomes an alias."""

    async def follow(self, hashes: str) -> None:
        home = Path(self.mktemp()).resolve()
        write_files(home / "payload", {"a": 40_000, "b": 30_000})
        data = make_torrent(home / "payload", "hybrid")
        info = lt.load_torrent_buffer(data).ti
        assert info is not None
        v1, v2 = str(info.info_hashes().v1), str(info.info_hashes().v2)
        seed = Seed(data, home)
        self.addCleanup(seed.close)
        links = {"v1": f"urn:btih:{v1}", "v2": f"urn:btmh:1220{v2}"}
        session = await self.make_session()
        torrent = await self.add(session, f"magnet:?xt={links[hashes]}&x.pe={seed.address}", stopped=False)
        key = {"v1": v1, "v2": v2[:40]}[hashes]
        self.assertEqual(torrent.infohash, key)
        await self.until(lambda: self.state(session, key) == "seeding")
        for name in (v1, v2, v2[:40]):
            self.assertIs(session.torrents.named(name), torrent)
        row = session.table[key].row
        self.assertEqual(row[:3], (key, v1, v2))
        await self.fails(self.add(session, data), TorrentExists)
        await session._upkeep.saver.idle()
        session = await self.restart()
        await self.until_loaded(session)
        await self.until(lambda: self.state(session, key) == "seeding")
        self.assertEqual(session.torrents.named(v1).infohash, key)

    async def test_v1_magnet(self) -> None:
        await self.follow("v1")

    async def test_v2_magnet(self) -> None:
        await self.follow("v2")

    async def test_metadata_brings_a_link_out_of_the_roots(self) -> None:
        """The files of a magnet are known late; a link that lies in their way stops it."""
        home = Path(self.mktemp()).resolve()
        outside = home / "outside"
        write_files(home / "payload", {"a": 40_000, "b": 30_000})
        outside.mkdir()
        (self.root / "payload").symlink_to(outside)
        seed = Seed(make_torrent(home / "payload", "v1"), home, upload_limit=20_000)
        self.addCleanup(seed.close)
        session = await self.make_session()
        torrent = await self.add(session, seed.magnet, stopped=False)
        await self.until(lambda: torrent.stopped)
        await session.fresh()
        await self.until(lambda: self.state(session, torrent.infohash) == "stopped")
        await self.fails(session.set_stopped(torrent, False), PathOutsideRoots)


class TrackerSsrfTests(EngineCase):
    """Threat table, *SSRF by a tracker or web seed*: libtorrent's own guards are on in a session of ours."""

    async def test_guards(self) -> None:
        told = (await self.make_session())._link.live.get_settings()
        guards = {name: told[name] for name in ("ssrf_mitigation", "validate_https_trackers", "allow_idna")}
        self.assertEqual(
            guards, {"ssrf_mitigation": True, "validate_https_trackers": True, "allow_idna": False}
        )


class LifeTests(EngineCase):
    memory_only = True

    async def test_open_bind_close(self) -> None:
        session = await self.make_session()
        port = session.port
        assert port is not None
        self.assertFalse(seems_free(INTERFACES, port))
        await self.engine.delete_session(session)
        self.assertTrue(seems_free(INTERFACES, port))
        self.assertEqual(list(self.engine), [])

    async def test_two_sessions(self) -> None:
        first, second = await self.make_session(), await self.make_session()
        self.assertNotEqual(first.port, second.port)
        await self.add(first, 1)
        await self.add(second, 1, save_path="elsewhere")
        await self.engine.delete_session(first)
        self.assertEqual(len(second.torrents), 1)
        await second.fresh()
        again = await self.make_session(port_range=(first.port, first.port))
        self.assertEqual(again.port, first.port)

    async def test_tracker_that_never_answers(self) -> None:
        tracker = MuteTracker()
        self.addCleanup(tracker.close)
        session = await self.make_session()
        home = Path(self.mktemp())
        write_files(home, {"a": 1000})
        torrent = await self.add(session, make_torrent(home / "a", tracker=tracker.url), stopped=False)
        self.assertTrue(torrent.has_trackers)
        port = session.port
        assert port is not None
        await session.close()
        self.assertTrue(seems_free(INTERFACES, port))
        # the announces go on behind it
        self.assertTrue(session._link.is_open)
        await session.ended()
        self.assertFalse(session._link.is_open)

    async def test_trackers_get_little_time_at_the_stop(self) -> None:
        """
        What libtorrent is told when the session closes, before any announce begins: one keeps the timeout
        that it began with.
        """
        session = await self.make_session()
        link, told = session._link, []
        apply = link.apply

        def note(settings: dict[str, Any]) -> None:
            is_paused = link.live.is_paused()
            apply(settings)
            told.append((is_paused, settings, link.live.get_settings()["stop_tracker_timeout"]))

        self.patch(link, "apply", note)
        begun = link.live.get_settings()["stop_tracker_timeout"]
        await session.close()
        self.assertIn((False, {"stop_tracker_timeout": 2}, 2), told)
        self.assertEqual(begun, 2)

    async def test_torrent_that_was_just_removed_still_tells_its_tracker(self) -> None:
        """The session must not be destroyed under the announce: that would freeze the reactor."""
        session = await self.make_session()
        for end in (session.remove, lambda torrent: session.set_stopped(torrent, True)):
            session._announced_until = 0.0
            data = tiny_torrent(1).removesuffix(b"e")
            data = b"d8:announce21:http://127.0.0.1:1/a/" + data[1:] + b"e"
            torrent = await self.add(session, data, stopped=False)
            await end(torrent)
            self.assertGreater(session._announced_until, self.timers.seconds())

    async def test_nothing_asked_of_a_closed_session_waits(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1)
        pending = session.refresher.fresh()
        await self.engine.delete_session(session)
        await pending.addErrback(lambda failure: failure.trap(SessionNotFound))
        await session.ended()
        for call in (
            self.add(session, 2),
            session.remove(torrent),
            session.peers(torrent),
            session.delete_files(torrent, [], frozenset()),
        ):
            await self.fails(call, CommandError)
        await session.fresh()

    async def test_files_are_deleted_while_the_session_goes(self) -> None:
        """The worker is not started again by those who come late, and its thread ends."""
        session = await self.make_session()
        torrent = await self.add(session, 1)
        removal = Deferred.fromCoroutine(self.engine.remove_torrent(session, torrent, delete_files=True))
        deleted = Deferred.fromCoroutine(self.engine.delete_session(session))
        await DeferredList([removal, deleted], consumeErrors=True)
        await session.ended()
        self.assertFalse(session._link.worker._pool.started)


class DroppedAlertsTests(EngineCase):
    memory_only = True

    async def test_flood(self) -> None:
        """With a queue for a few alerts, all additions and removals end and the table comes out right."""
        session = await self.make_session()
        session._link.apply({"alert_queue_size": 5})
        await session.refresher.fresh()
        dropped = []

        def drop() -> None:
            dropped.append(1)
            session._upkeep.resynchronise()

        self.patch(session._link, "_dropped", drop)
        # else the first look at the root parts what is asked
        await self.engine._roots_watch.require(str(self.root))
        # all asked in one turn of the reactor, in which no alert is popped
        adds = Deferred.fromCoroutine(
            outcomes(self.add(session, number, stopped=False) for number in range(300))
        )
        session._link.apply({"alert_queue_size": 100_000})
        self.assertEqual([result for result in await adds if not isinstance(result, Torrent)], [])
        await self.until(lambda: dropped)
        await self.until(lambda: session._upkeep._seen is None)
        await session.fresh()
        self.assertEqual(len(session.table), 300)
        await self.until(
            lambda: {entry.row[4] for entry in session.table.entries.values()} == {"downloading"}
        )

    async def test_removal_whose_answer_is_lost(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1)
        self.patch(session._link, "_heard", lambda handle, what: None)
        removal = Deferred.fromCoroutine(session.remove(torrent))
        await self.until(lambda: len(session._link._removing))
        handle = next(iter(session._link._removing))
        await self.until(lambda: not handle.is_valid())
        session._link._on_dropped(None)  # type: ignore[arg-type]
        await removal

    async def test_what_is_reported_meanwhile_is_newer(self) -> None:
        session = await self.make_session()
        torrent = await self.add(session, 1)
        looking: list[Any] = []
        real = session._link.worker.call
        held: Deferred[None] = Deferred()

        def call(function: Any, *args: Any) -> Any:
            looking.append(function)
            return real(function, *args).addCallback(lambda result: held.addCallback(lambda _: result))

        self.patch(session._link.worker, "call", call)
        session._upkeep.resynchronise()
        self.assertEqual(len(looking), 1)
        session._upkeep.resynchronise()
        self.assertEqual(len(looking), 1)
        self.patch(session._link.worker, "call", real)
        # what the worker saw is a torrent that is stopped
        await real(lambda: None)
        await session.set_stopped(torrent, False)
        await self.until(lambda: self.state(session, torrent.infohash) == "downloading")
        states = []
        session.table.watch(lambda: states.append(self.state(session, torrent.infohash)))
        held.callback(None)
        await self.until(lambda: session._upkeep._seen is None)
        self.assertNotIn("stopped", states)
        self.assertEqual(self.state(session, torrent.infohash), "downloading")


def failed(error: Exception) -> "Deferred[None]":
    deferred: Deferred[None] = Deferred()
    deferred.errback(error)
    return deferred


def params_of(number: int, save_path: Path) -> lt.add_torrent_params:
    params = lt.load_torrent_buffer(tiny_torrent(number))
    params.save_path = str(save_path)
    return params


def load_key(number: int) -> str:
    return str(lt.load_torrent_buffer(tiny_torrent(number)).info_hashes.v1)
