"""Loading stored torrents: in chunks, those first that somebody waits for, each failing alone."""

from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.infohash import Identity
from resttorrent.engine.loading import CHUNK, PATIENCE, Loader, parameters_of
from resttorrent.engine.metainfo import MAX_TRACKERS, MAX_WEB_SEEDS
from resttorrent.engine.pace import Pace
from resttorrent.engine.torrent import Torrent
from resttorrent.errors import CommandError, EngineError, Loading, NotATorrent
from resttorrent.store.records import TorrentBlobs
from resttorrent.turns import TurnMeter
from tests.harness import tiny_torrent

from .fakes import torrent

NOTHING = TorrentBlobs(None, None, None)


class LoaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.fetched: list[tuple[list[str], Deferred[dict[str, TorrentBlobs]]]] = []
        self.started: list[Torrent] = []
        self.failed: list[tuple[Torrent, CommandError]] = []
        self.errors: dict[Torrent, Exception] = {}
        pace = Pace(self.clock, TurnMeter(lambda: 0.0))
        self.loader = Loader(pace, self.fetch, self.start, lambda *args: self.failed.append(args))

    def fetch(self, infohashes: Any) -> "Deferred[dict[str, TorrentBlobs]]":
        self.fetched.append((list(infohashes), Deferred()))
        return self.fetched[-1][1]

    async def start(self, made: Torrent, blobs: TorrentBlobs) -> None:
        self.started.append(made)
        if made in self.errors:
            raise self.errors[made]

    def load(self, count: int) -> list[Torrent]:
        many = [torrent(number) for number in range(count)]
        for made in many:
            self.loader.add(made)
        return many

    def run_loader(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self.loader.run())

    def wait(self, made: Torrent) -> "Deferred[None]":
        return Deferred.fromCoroutine(self.loader.wait_for(made))

    def test_chunks(self) -> None:
        many = self.load(CHUNK + 1)
        done = self.run_loader()
        self.assertEqual(len(self.fetched[0][0]), CHUNK)
        self.fetched[0][1].callback({})
        self.assertEqual(self.fetched[1][0], [many[-1].infohash])
        self.fetched[1][1].callback({})
        self.successResultOf(done)
        self.assertEqual((self.started, len(self.loader)), (many, 0))

    def test_waited_for_comes_first(self) -> None:
        many = self.load(CHUNK * 2 + 1)
        self.run_loader()
        waiting = self.wait(many[-1])
        self.fetched[0][1].callback({})
        self.assertEqual(self.fetched[1][0][0], many[-1].infohash)
        self.assertNoResult(waiting)
        self.fetched[1][1].callback({})
        self.successResultOf(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_patience(self) -> None:
        (made,) = self.load(1)
        waiting = self.wait(made)
        self.clock.advance(PATIENCE - 1)
        self.assertNoResult(waiting)
        self.clock.advance(1)
        self.failureResultOf(waiting, Loading)
        self.run_loader()
        self.fetched[0][1].callback({})
        self.assertEqual(self.started, [made])

    def test_waiter_that_left(self) -> None:
        (made,) = self.load(1)
        waiting = self.wait(made)
        waiting.addErrback(lambda failure: None)
        waiting.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.run_loader()
        self.fetched[0][1].callback({})

    def test_loaded_already(self) -> None:
        self.successResultOf(self.wait(torrent()))

    def test_each_fails_alone(self) -> None:
        first, second, third = self.load(3)
        self.errors = {first: NotATorrent("junk"), second: ZeroDivisionError("ours")}
        waiting = self.wait(first)
        done = self.run_loader()
        self.fetched[0][1].callback({})
        self.successResultOf(done)
        self.successResultOf(waiting)
        self.assertEqual([made for made, _ in self.failed], [first, second])
        self.assertIsInstance(self.failed[1][1], EngineError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.started, [first, second, third])

    def test_store_fails(self) -> None:
        """What was to be read has failed, all else is loaded."""
        many = self.load(CHUNK + 1)
        done = self.run_loader()
        self.fetched[0][1].errback(EngineError("damaged"))
        self.fetched[1][1].callback({})
        self.successResultOf(done)
        self.assertEqual([made for made, _ in self.failed], many[:CHUNK])
        self.assertEqual((self.started, len(self.loader)), (many[CHUNK:], 0))

    def test_dropped_meanwhile(self) -> None:
        first, second = self.load(2)
        self.run_loader()
        self.loader.drop(first)
        self.fetched[0][1].callback({})
        self.assertEqual(self.started, [second])

    def test_stop(self) -> None:
        """Whoever waits is told, nothing more begins, and nothing counts as failed."""
        many = self.load(CHUNK + 1)
        waiting = self.wait(many[-1])
        done = self.run_loader()
        self.loader.stop()
        self.successResultOf(waiting)
        self.fetched[0][1].errback(EngineError("closed"))
        self.successResultOf(done)
        self.loader.add(many[0])
        self.assertEqual((self.started, self.failed, len(self.loader)), ([], [], 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ParametersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines: list[Any] = []
        self.log = Logger(observer=self.lines.append)  # type: ignore[arg-type]
        self.data = tiny_torrent(1)
        self.params = lt.load_torrent_buffer(self.data)
        self.made = torrent(identity=Identity.of(self.params.info_hashes))

    def resume(self, params: lt.add_torrent_params) -> bytes:
        params.have_pieces = [True]
        return bytes(lt.write_resume_data_buf(params))

    def parameters(self, blobs: TorrentBlobs, *, recheck: bool = False) -> lt.add_torrent_params:
        return parameters_of(self.made, blobs, recheck=recheck, log=self.log)

    def test_resume_data(self) -> None:
        blobs = TorrentBlobs(self.data, None, self.resume(self.params))
        params = self.parameters(blobs)
        self.assertEqual((params.have_pieces[0], params.save_path), (True, "/d"))
        assert params.ti is not None
        self.assertEqual((self.made.name, self.made.top), ("tiny 1", "tiny 1"))
        self.assertEqual(list(self.parameters(blobs, recheck=True).have_pieces), [])
        self.assertEqual(self.lines, [])

    def test_torn(self) -> None:
        good = self.resume(self.params)
        for torn in (good[:-5], b"", b"de", b"\0" * 9):
            params = self.parameters(TorrentBlobs(self.data, None, torn))
            self.assertEqual(list(params.have_pieces), [])
            self.assertIn(self.made.infohash, str(self.lines.pop()["infohash"]))

    def test_tracker_that_is_no_text(self) -> None:
        self.params.trackers = ["http://x/abc"]
        torn = self.resume(self.params).replace(b"http://x/abc", b"http://x/\xff\xfec")
        params = self.parameters(TorrentBlobs(self.data, None, torn))
        self.assertEqual((list(params.trackers), list(params.have_pieces)), ([], []))
        self.assertEqual(len(self.lines), 1)

    def test_addresses_are_as_few_and_as_fit_as_a_files(self) -> None:
        """Whatever resume data was written from."""
        self.params.trackers = ["gopher://x/", *(f"http://x/{number}" for number in range(500))]
        self.params.url_seeds = ["file:///etc/passwd", *(f"http://x/{number}" for number in range(500))]
        self.params.dht_nodes = [("node.invalid", 1)]
        params = self.parameters(TorrentBlobs(self.data, None, self.resume(self.params)))
        self.assertEqual(list(params.trackers), [f"http://x/{number}" for number in range(MAX_TRACKERS)])
        self.assertEqual(list(params.url_seeds), [f"http://x/{number}" for number in range(MAX_WEB_SEEDS)])
        self.assertEqual((list(params.dht_nodes), params.have_pieces[0]), ([], True))

    def test_hashes_are_the_torrents_own(self) -> None:
        other = lt.load_torrent_buffer(tiny_torrent(2))
        params = self.parameters(TorrentBlobs(self.data, None, self.resume(other)))
        self.assertEqual(params.info_hashes, self.params.info_hashes)

    def test_nothing_stored(self) -> None:
        self.assertRaises(NotATorrent, self.parameters, NOTHING)
        self.assertRaises(NotATorrent, self.parameters, TorrentBlobs(b"junk", None, None))

    def test_magnet(self) -> None:
        key = self.made.infohash
        self.made.magnet = f"magnet:?xt=urn:btih:{key}"
        self.assertIsNone(self.parameters(NOTHING).ti)
        assert self.params.ti is not None
        info = bytes(self.params.ti.info_section())
        params = self.parameters(TorrentBlobs(None, info, None))
        assert params.ti is not None
        self.assertEqual((params.ti.name(), str(params.info_hashes.v1)), ("tiny 1", key))
