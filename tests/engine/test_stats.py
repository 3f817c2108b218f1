"""Figures: one question for all who follow, rates from counters, states from the table, nothing left."""

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.feeds import Part
from resttorrent.engine.link import Counters
from resttorrent.engine.meter import StateCount
from resttorrent.engine.session import Session
from resttorrent.engine.stats import SHARED_FOR, Statistics, StatsFeed
from resttorrent.engine.table import StatusTable
from resttorrent.errors import EngineTimeout, SessionNotFound
from tests.harness import Seed, make_torrent, write_files

from .support import EngineCase
from .synthetic import Revisions, make_row

NOW = 5000.0


class FakeSession:
    """A session whose counters are answered when the test says so."""

    def __init__(self, name: str = "s") -> None:
        self.options = SimpleNamespace(id=name)
        self.table = StatusTable(Revisions())
        self.closing = False
        self.refreshed = 0
        self.asked: list[Deferred[Counters]] = []

    async def fresh(self) -> None:
        self.refreshed += 1

    async def counters(self) -> Counters:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def put(self, number: int, **values: Any) -> None:
        rates = {"download_payload_rate": 0, "upload_payload_rate": 0}
        self.table.put(f"{number}", make_row(f"{number}", **(rates | values)))


class StatsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.session = FakeSession()
        self.sessions = [self.session]
        self.stats = Statistics(self.clock, lambda: NOW + self.clock.seconds(), lambda: self.sessions)
        self.engine = SimpleNamespace(stats=self.stats)
        self.woken: list[str] = []
        # after all feeds were stopped
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def feed(self, session: FakeSession | None = None, interval: float = 1.0) -> StatsFeed:
        feed = StatsFeed(self.engine, session, interval=interval)
        self.addCleanup(feed.stop)
        return feed

    def started(
        self, session: FakeSession | None = None, interval: float = 1.0, name: str = "a"
    ) -> StatsFeed:
        feed = self.feed(session, interval)
        feed.opening()
        feed.start(lambda: self.woken.append(name))
        return feed

    def answer(self, download: int = 0, upload: int = 0, peers: int = 0, session: Any = None) -> None:
        """Answer the one open question."""
        (asked,) = (session or self.session).asked
        (session or self.session).asked.clear()
        asked.callback(Counters(download, upload, peers))

    def members(self, part: Part | None) -> Any:
        assert part is not None
        return json.loads(b"{" + part.members + b"}")


class FiguresTests(StatsCase):
    def test_first_push(self) -> None:
        """At once for one who was shown nothing; a first rate is the rows', after they were refreshed."""
        self.session.put(1, state="seeding", upload_payload_rate=30)
        self.session.put(2, state="downloading", download_payload_rate=5, upload_payload_rate=1)
        feed = self.started(self.session)
        self.clock.advance(0)
        self.assertEqual(self.session.refreshed, 1)
        self.assertEqual(self.woken, [])
        self.answer(700, 300, 4)
        self.assertEqual(self.woken, ["a"])
        part = feed.take()
        told = {
            "session_id": "s", "time": NOW,
            "download_payload_rate": 5, "upload_payload_rate": 31,
            "total_download": 700, "total_upload": 300,
            "torrents": {"seeding": 1, "downloading": 1}, "peers": 4,
        }  # fmt: skip
        self.assertEqual(self.members(part), told)
        self.assertEqual(list(self.members(part)), list(told))
        assert part is not None
        self.assertEqual((part.id, part.closes), (int(NOW * 1000) + 1, False))
        self.assertIsNone(feed.take())

    def test_rates_are_differences(self) -> None:
        feed = self.started(self.session)
        self.clock.advance(0)
        self.answer(1000, 0)
        for download, expected in ((3000, 2000), (3000, 0), (3500, 500)):
            self.clock.advance(1)
            self.answer(download, 0)
            told = self.members(feed.take())
            self.assertEqual((told["download_payload_rate"], told["total_download"]), (expected, download))
        self.assertEqual(self.session.refreshed, 1)

    def test_rates_at_short_intervals(self) -> None:
        """Bytes that come in bursts: each rate is over a second."""
        feed = self.started(self.session, interval=0.25)
        self.clock.advance(0)
        self.answer(0)
        rates = []
        for number in range(1, 13):
            self.clock.advance(0.25)
            self.answer(1000 * (number // 4))
            rates.append(self.members(feed.take())["download_payload_rate"])
        self.assertEqual(rates[4:], [1000] * 8)

    def test_nothing_changes(self) -> None:
        """It is pushed all the same: time goes on."""
        feed = self.started(self.session)
        self.clock.advance(0)
        self.answer()
        seen = [self.members(feed.take())["time"]]
        for _ in range(3):
            self.clock.advance(1)
            self.answer()
            seen.append(self.members(feed.take())["time"])
        self.assertEqual(seen, [NOW, NOW + 1, NOW + 2, NOW + 3])

    def test_all_sessions(self) -> None:
        other = FakeSession("t")
        self.sessions.append(other)
        self.session.put(1, state="seeding", upload_payload_rate=30)
        other.put(1, state="seeding", upload_payload_rate=3)
        other.put(2, state="stopped")
        feed = self.started()
        self.clock.advance(0)
        self.answer(1, 2, 3)
        self.assertEqual(self.woken, [])
        self.answer(10, 20, 30, other)
        told = self.members(feed.take())
        self.assertIsNone(told["session_id"])
        self.assertEqual(told["upload_payload_rate"], 33)
        self.assertEqual((told["total_download"], told["total_upload"], told["peers"]), (11, 22, 33))
        self.assertEqual(told["torrents"], {"seeding": 2, "stopped": 1})

    def test_no_sessions(self) -> None:
        self.sessions.clear()
        feed = self.started()
        # nothing is unknown: the opening said it all
        self.assertEqual(self.members(self.feed().opening())["total_download"], 0)
        self.clock.advance(1)
        self.assertEqual(self.members(feed.take())["torrents"], {})
        self.sessions.append(self.session)
        self.clock.advance(1)
        self.answer(7)
        self.assertEqual(self.members(feed.take())["total_download"], 7)

    def test_opening_before_anything_is_known(self) -> None:
        self.session.put(1, state="seeding")
        told = self.members(self.feed(self.session).opening())
        self.assertEqual(next(iter(told)), "status")
        self.assertEqual((told["status"], told["torrents"]), ("success", {"seeding": 1}))
        self.assertEqual(
            [told[name] for name in ("total_download", "download_payload_rate", "peers")], [None] * 3
        )

    def test_opening_with_fresh_figures(self) -> None:
        """Those who ask at about the same time share the question; the first push comes at the interval."""
        self.clock.advance(0.5)
        asked = [Deferred.fromCoroutine(self.stats.fresh(self.session)) for _ in range(3)]
        self.answer(1, 2, 3)
        for one in asked:
            self.successResultOf(one)
        self.successResultOf(Deferred.fromCoroutine(self.stats.fresh(self.session)))
        self.assertEqual(self.session.asked, [])
        feed = self.feed(self.session)
        self.assertEqual(self.members(feed.opening())["total_upload"], 2)
        feed.start(lambda: self.woken.append("a"))
        self.clock.advance(0.4)
        self.assertEqual(self.session.asked, [])
        self.clock.advance(0.1)
        self.answer()
        self.assertEqual(self.woken, ["a"])

    def test_old_figures_are_not_gone_on_from(self) -> None:
        """Of one who asked and never followed: a rate since then would say nothing of now."""
        asked = Deferred.fromCoroutine(self.stats.fresh(self.session))
        self.answer(0)
        self.successResultOf(asked)
        self.clock.advance(3600)
        asked = Deferred.fromCoroutine(self.stats.fresh(self.session))
        self.answer(3_600_000)
        self.successResultOf(asked)
        self.assertEqual(self.members(self.feed(self.session).opening())["download_payload_rate"], 0)

    def test_libtorrent_does_not_answer(self) -> None:
        feed = self.started(self.session)
        self.clock.advance(0)
        self.answer(5)
        feed.take()
        self.clock.advance(1)
        self.session.asked.pop().errback(EngineTimeout("no"))
        told = self.members(feed.take())
        self.assertEqual((told["total_download"], told["peers"], told["torrents"]), (None, None, {}))
        self.clock.advance(1)
        self.answer(6)
        self.assertEqual(self.members(feed.take())["total_download"], 6)

    def test_a_mistake_of_ours(self) -> None:
        feed = self.started(self.session)
        self.clock.advance(0)
        self.session.asked.pop().errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(1)
        self.answer(6)
        self.assertEqual(self.members(feed.take())["total_download"], 6)


class FollowersTests(StatsCase):
    def test_shared(self) -> None:
        feeds = [self.started(self.session, name=f"{n}") for n in range(5)]
        self.clock.advance(0)
        self.answer()
        self.assertEqual(sorted(self.woken), ["0", "1", "2", "3", "4"])
        parts = {id(feed.take()) for feed in feeds}
        self.assertEqual(len(parts), 1)

    def test_intervals_share_the_question(self) -> None:
        fast, slow, everything = (
            self.started(self.session, 1.0), self.started(self.session, 3.0), self.started(None, 1.5)
        )  # fmt: skip
        self.clock.advance(0)
        self.answer()
        for feed in (fast, slow, everything):
            self.assertIsNotNone(feed.take())
        self.clock.advance(1)
        self.answer()
        self.assertIsNotNone(fast.take())
        self.assertIsNone(slow.take())
        self.clock.pump([0.5, 0.5])
        self.answer()
        self.clock.advance(1)
        self.answer()
        for feed in (fast, slow, everything):
            self.assertIsNotNone(feed.take())

    def test_one_question_at_a_time(self) -> None:
        feed = self.started(self.session)
        self.clock.pump([0, 1, 1, 1])
        self.assertEqual(len(self.session.asked), 1)
        self.answer()
        self.assertIsNotNone(feed.take())

    def test_one_who_takes_seldom(self) -> None:
        feed = self.started(self.session)
        self.clock.advance(0)
        for _ in range(5):
            self.answer()
            self.clock.advance(1)
        self.answer()
        self.assertEqual(self.members(feed.take())["time"], NOW + 5)
        self.assertIsNone(feed.take())

    def test_stop(self) -> None:
        one, other = self.started(self.session), self.started(self.session, name="b")
        self.clock.advance(0)
        one.stop()
        one.stop()
        self.answer()
        self.assertEqual(self.woken, ["b"])
        self.assertIsNone(one.take())
        other.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.stats._tickers, self.stats._meters), ({}, {}))

    def test_stop_while_measuring(self) -> None:
        feed = self.started(self.session)
        self.clock.advance(0)
        feed.stop()
        self.answer()
        self.assertEqual(self.woken, [])
        again = self.started(self.session, name="b")
        self.clock.advance(0)
        self.answer()
        self.assertEqual(self.woken, ["b"])
        self.assertIsNotNone(again.take())

    def test_one_that_fails(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        first = self.feed(self.session)
        first.start(fail)
        self.started(self.session)
        self.clock.advance(0)
        self.answer()
        self.assertEqual(self.woken, ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_session_gone(self) -> None:
        feed, of_all = self.started(self.session), self.started(name="all")
        self.clock.advance(0)
        self.answer()
        feed.take()
        of_all.take()
        self.woken.clear()
        self.session.closing = True
        self.sessions.clear()
        self.stats.left(self.session)
        self.clock.advance(0)
        self.assertEqual(self.woken, ["a"])
        part = feed.take()
        self.assertEqual(self.members(part), {"closed": True, "code": SessionNotFound.code})
        assert part is not None
        self.assertTrue(part.closes)
        self.assertIsNone(feed.take())
        self.clock.advance(1)
        self.assertEqual(self.members(of_all.take())["torrents"], {})

    def test_session_gone_before_the_start(self) -> None:
        feed = self.feed(self.session)
        feed.opening()
        self.session.closing = True
        feed.start(lambda: self.woken.append("a"))
        self.clock.advance(0)
        self.assertEqual(self.woken, ["a"])
        part = feed.take()
        assert part is not None
        self.assertTrue(part.closes)

    def test_daemon_stops(self) -> None:
        feed = self.started()
        self.stats.close("stopping")
        self.clock.advance(0)
        self.assertEqual(self.members(feed.take()), {"closed": True, "code": "stopping"})


class StateCountTests(SynchronousTestCase):
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 5), st.sampled_from(["seeding", "stopped", "error", None]), st.booleans()
            ),
            max_size=60,
        )
    )
    def test_like_a_count(self, steps: list[tuple[int, str | None, bool]]) -> None:
        """Rows come, change and go; now and then they are counted."""
        table = StatusTable(Revisions())
        counter = StateCount(table)
        for number, state, count in steps:
            if state is None:
                table.remove(f"{number}")
            else:
                table.put(f"{number}", make_row(f"{number}", state=state, total=table.rev))
            if count:
                self.check(counter, table)
        self.check(counter, table)

    def check(self, counter: StateCount, table: StatusTable) -> None:
        expected: dict[str, int] = {}
        for key in table.entries:
            state = table.value(key, "state")
            expected[state] = expected.get(state, 0) + 1
        self.assertEqual(counter.counts(), expected)


class SessionFiguresTests(EngineCase):
    """With libtorrent itself."""

    memory_only = True

    async def test_states_and_end(self) -> None:
        session = await self.make_session()
        woken: list[bool] = []
        await self.engine.stats.fresh(session)
        feed = StatsFeed(self.engine, session, interval=0.1)
        told = json.loads(b"{" + feed.opening().members + b"}")
        self.assertEqual((told["session_id"], told["torrents"]), (session.options.id, {}))
        self.assertEqual((told["total_download"], told["total_upload"], told["peers"]), (0, 0, 0))
        feed.start(lambda: woken.append(True))
        for number in range(3):
            await self.add(session, number)
        parts: list[Any] = []

        def stopped() -> bool:
            part = feed.take()
            if part is not None:
                parts.append(json.loads(b"{" + part.members + b"}"))
            return bool(parts) and parts[-1].get("torrents") == {"stopped": 3}

        await self.until(stopped)
        self.assertTrue(woken)
        await self.engine.delete_session(session)
        last = feed.take()
        assert last is not None
        self.assertTrue(last.closes)
        self.assertEqual(self.engine.stats._tickers, {})

    async def figures(self, session: Session | None) -> Any:
        stats = self.engine.stats
        # as those see it who ask when nobody else has
        await deferLater(reactor, 2 * SHARED_FOR)
        await stats.fresh(session)
        return json.loads(b"{" + stats.part(session).members + b"}")

    async def test_download(self) -> None:
        """Totals and peers are those of the torrents, and a removal takes nothing off the totals."""
        write_files(self.root / "seeded", {"a": 200_000})
        data = make_torrent(self.root / "seeded", "v1")
        seed = Seed(data, self.root)
        self.addCleanup(seed.close)
        session = await self.make_session()
        torrent = await self.add(session, data, stopped=False, save_path="dl")
        torrent.live.connect_peer(seed.endpoint)
        await self.until(lambda: self.state(session, torrent.infohash) == "seeding")
        await session.fresh()
        row = {
            name: session.table.value(torrent.infohash, name)
            for name in ("total_payload_download", "num_peers")
        }
        shown = await self.figures(session)
        self.assertGreaterEqual(shown["total_download"], 200_000)
        self.assertEqual(shown["total_download"], row["total_payload_download"])
        self.assertEqual((shown["torrents"], shown["total_upload"]), ({"seeding": 1}, 0))
        self.assertLessEqual(shown["peers"], 1)
        await session.remove(torrent)
        for later in (await self.figures(session), await self.figures(None)):
            self.assertEqual((later["total_download"], later["torrents"]), (shown["total_download"], {}))

    async def test_peers(self) -> None:
        write_files(self.root / "seeded", {"a": 2_000_000})
        data = make_torrent(self.root / "seeded", "v1")
        seed = Seed(data, self.root, upload_limit=20_000)
        self.addCleanup(seed.close)
        session = await self.make_session()
        torrent = await self.add(session, data, stopped=False, save_path="dl")
        torrent.live.connect_peer(seed.endpoint)
        await self.until(lambda: seed.num_peers)
        self.assertEqual((await self.figures(session))["peers"], 1)
        await session.remove(torrent)
        await self.until(lambda: not seed.num_peers)
        self.assertEqual((await self.figures(session))["peers"], 0)
