"""
Against a real libtorrent session: snapshot + deltas = fresh list, at every revision.

Random commands change a session; clients with all kinds of fields and filters ask for what changed since
each revision that they ever saw, and their tables must come out as a fresh list has them. The ring of
tombstones is small, so that old revisions are forgotten on the way.
"""

import base64
import functools
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from resttorrent.commands.adding import add_torrent
from resttorrent.commands.answers import Tagged
from resttorrent.commands.context import Context
from resttorrent.commands.health import Health
from resttorrent.commands.listing import MAX_REVISION
from resttorrent.commands.torrents import get_torrent_list, remove_torrent, update_torrent
from resttorrent.engine import session as session_module
from resttorrent.engine.all_torrents import AllTorrentsFeed
from resttorrent.engine.engine import Engine
from resttorrent.engine.eventlog import EventLog
from resttorrent.engine.fields import NAMES
from resttorrent.engine.pace import Pace
from resttorrent.engine.session import Session
from resttorrent.engine.shared import Shared
from resttorrent.engine.table import StatusTable
from resttorrent.engine.views import Selection
from resttorrent.errors import BadParameter
from resttorrent.fetch import Fetcher
from resttorrent.paths import Roots
from resttorrent.store.revisions import Revisions
from resttorrent.store.store import Store
from resttorrent.turns import TurnMeter
from tests.crash.load import Source, tiny_sources
from tests.engine.feed_world import Subscriber
from tests.engine.follower import Rows, follow, table_of
from tests.harness import make_torrent, write_files
from tests.live.access import owners_policy

RING = 6
STEPS = 60
SEEDS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class View:
    """What a client asks for."""

    fields: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    @property
    def parameters(self) -> list[tuple[str, object]]:
        given = {"fields": self.fields, "state": self.states}
        return [(name, ",".join(words)) for name, words in given.items() if words]

    @property
    def selection(self) -> Selection:
        return Selection(self.fields or NAMES, frozenset(self.states) or None)


VIEWS = (
    View(),
    View(("infohash", "state", "name", "progress")),
    View(("name",)),
    View(("infohash", "state", "active_duration"), ("stopped",)),
    View(("total_done", "save_path"), ("seeding", "downloading", "downloading_metadata")),
)


class DeltaPropertyTests(TestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        # the session's table is made with a ring that overflows within a test
        self.patch(session_module, "StatusTable", functools.partial(StatusTable, tombstones=RING))
        self.root = Path(self.mktemp()).resolve()
        self.root.mkdir(parents=True)
        store = Store(None, durability="normal", reactor=reactor)  # type: ignore[arg-type]
        await store.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))
        self.context = self.make_context(store)
        await self.context.engine.start(clean=True)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.context.engine.stop()))
        self.session = await self.make_session()
        self.start = self.session.table.rev
        # what was seen: (revision, view, the client's table)
        self.history: list[tuple[int, View, Rows]] = []
        self.deltas = self.lists = 0

    def make_context(self, store: Store) -> Context:
        real: Any = reactor
        meter = TurnMeter()
        roots, pace = Roots([self.root]), Pace(real, meter)
        revisions = Revisions(int(time.time() * 1_000_000), 0)
        shared = Shared(real, store, revisions, roots, pace, time.time, EventLog(real, time.time))
        engine = Engine(shared, interfaces=("127.0.0.1",), discovery=False)
        return Context(
            engine=engine,
            fetcher=Fetcher(real, allow=()),
            roots=roots,
            pace=pace,
            health=Health(engine, store, meter, real.seconds),
            backups=store.backups,
            seconds=real.seconds,
            started=real.seconds(),
            policy=owners_policy(real),
        )

    async def make_session(self) -> Session:
        return await self.context.engine.create_session(port_range=(20000, 40000), memory_only=True)

    # -- asking ----------------------------------------------------------

    async def ask(self, view: View, since: int | None = None) -> Any:
        """The answer to a list, as its members."""
        pairs = [("session_id", self.session.options.id), *view.parameters]
        if since is not None:
            pairs.append(("since", str(since)))
        answer = await get_torrent_list.run(self.context, pairs)
        if isinstance(answer, Tagged):
            answer = answer.answer
        return answer

    async def look(self, view: View) -> tuple[int, Rows, list[str]]:
        """
        A fresh list: its revision, the client's table, and its keys in order.

        A client that did not ask for the keys has them from the list without fields, if that is of the same
        revision.
        """
        while True:
            listed = await self.ask(view)
            named = await self.ask(View(("infohash", "state"), view.states))
            if listed.rev == named.rev:
                break
        keys = [row["infohash"] for row in json.loads(bytes(named.torrents))]
        rows = json.loads(bytes(listed.torrents))
        self.assertEqual(listed.total, len(rows))
        merged = [{"infohash": key, **row} for key, row in zip(keys, rows, strict=True)]
        return listed.rev, table_of(merged), keys

    async def catch_up(self, rev: int, view: View, before: Rows) -> None:
        """Ask what changed since, and compare with a fresh list of the same revision."""
        while True:
            answer = await self.ask(view, since=rev)
            now, wanted, _ = await self.look(view)
            if answer.rev == now:
                break
            # counters went on between the two questions
        if hasattr(answer, "torrents"):
            self.lists += 1
            self.assertFalse(self.session.table.knows(rev), "a list for a revision that is known")
            self.assertEqual(len(json.loads(bytes(answer.torrents))), len(wanted))
            return
        self.deltas += 1
        changed, removed = (json.loads(bytes(part)) for part in (answer.changed, answer.removed))
        after = follow(before, changed, removed, view.fields or NAMES, filtered=bool(view.states))
        self.assertEqual(after, wanted, f"since {rev}: {changed} {removed}")

    # -- subscribing -----------------------------------------------------

    def subscribe(self) -> list[tuple[View, Subscriber]]:
        """Subscribers of each view, to the session and to all there are."""
        world: Any = self
        session: Any = self.session
        found = []
        for view in VIEWS:
            for followed in (session, None):
                subscriber = Subscriber(world, followed, view.selection, interval=0.1)
                self.addCleanup(subscriber.feed.stop)
                found.append((view, subscriber))
        return found

    def follow_all(self, selection: Selection, *, since: int | None, interval: float) -> AllTorrentsFeed:
        return AllTorrentsFeed(self.context.engine.boards, selection, since=since, interval=interval)

    async def check_subscriber(self, view: View, subscriber: Subscriber) -> None:
        """What it has after its next push is what a fresh list has."""
        now = -1
        while self.session.table.rev != now:
            now, wanted, _ = await self.look(view)
        subscriber.take()
        if subscriber.session is None:
            session_id = self.session.options.id
            keys = {key: f"{session_id}/{key}" for key in wanted}
            wanted = {
                keys[key]: {**row, "session_id": session_id, "infohash": keys[key]}
                for key, row in wanted.items()
            }
        self.assertEqual(subscriber.rows, wanted, subscriber.pushes[-1:])

    # -- changing --------------------------------------------------------

    def sources(self, rng: random.Random) -> list[Source]:
        """Torrents whose payload is there, and some whose payload nobody has; files and magnet links."""
        sources = tiny_sources(range(9))
        for number in range(3):
            content = self.root / f"here {number}"
            write_files(content, {"a.bin": 40_000, "b.bin": 10_000})
            sources.append(Source(f"here {number}", make_torrent(content, "v1"), None))
        rng.shuffle(sources)
        return sources

    async def add(self, source: Source, *, autostart: bool) -> str:
        pairs: list[tuple[str, object]] = [
            ("session_id", self.session.options.id),
            ("save_path", "."),
            ("autostart", autostart),
        ]
        if source.file is None:
            pairs.append(("magnet", source.magnet))
        else:
            pairs.append(("file", {"base64": base64.b64encode(source.file).decode()}))
        infohash: str = (await add_torrent.run(self.context, pairs)).infohash
        return infohash

    async def change(self, command: Any, infohash: str, *more: tuple[str, object]) -> None:
        await command.run(
            self.context, [("session_id", self.session.options.id), ("infohash", infohash), *more]
        )

    async def step(self, rng: random.Random, there: dict[str, Source], away: list[Source]) -> None:
        """One random command; ``there`` and ``away`` say which torrents the session has."""
        word = rng.choice(["add", "add", "remove", "pause", "resume", "remove and add"])
        if word == "add" and away:
            source = away.pop()
            there[await self.add(source, autostart=rng.random() < 0.6)] = source
        elif there and word != "add":
            infohash = rng.choice(list(there))
            if word in ("pause", "resume"):
                await self.change(update_torrent, infohash, ("pause", word == "pause"))
                return
            removed = Deferred.fromCoroutine(self.change(remove_torrent, infohash))
            source = there.pop(infohash)
            if word == "remove" or rng.random() < 0.5:
                await removed
            if word == "remove":
                away.insert(0, source)
            else:
                # added again, in half of the cases while libtorrent still closes its files
                there[await self.add(source, autostart=rng.random() < 0.6)] = source
                await removed

    # -- the property ----------------------------------------------------

    async def live(self, seed: int) -> None:
        rng = random.Random(seed)
        away, there = self.sources(rng), dict[str, Source]()
        subscribers = self.subscribe()
        for _ in range(STEPS):
            await self.step(rng, there, away)
            view = rng.choice(VIEWS)
            rev, table, keys = await self.look(view)
            self.assertEqual(list(table), keys)
            if not view.states:
                self.assertEqual(set(keys), set(there))
            self.history.append((rev, view, table))
            await self.check_subscriber(*rng.choice(subscribers))
            for seen in rng.sample(self.history, min(4, len(self.history))):
                await self.catch_up(*seen)
        for seen in self.history:
            await self.catch_up(*seen)
        for one in subscribers:
            await self.check_subscriber(*one)
            self.assertTrue(one[1].pushes)
        # both kinds of answers were met, or this test has shown nothing
        self.assertGreater(self.deltas, STEPS)
        self.assertGreater(self.lists, 0)

    async def test_snapshot_and_deltas(self) -> None:
        await self.live(SEEDS[0])

    async def test_snapshot_and_deltas_again(self) -> None:
        await self.live(SEEDS[1])

    async def test_snapshot_and_deltas_once_more(self) -> None:
        await self.live(SEEDS[2])

    async def test_unknown_revisions(self) -> None:
        """From before the session and from the future: a list."""
        await self.add(self.sources(random.Random(0))[0], autostart=False)
        for view in VIEWS:
            rev, wanted, _ = await self.look(view)
            for since in (0, 1, self.start - 1, rev + 1, rev + 10**6, MAX_REVISION):
                answer = await self.ask(view, since=since)
                self.assertEqual(len(json.loads(bytes(answer.torrents))), len(wanted))
        for since in (MAX_REVISION + 1, -1):
            with self.assertRaises(BadParameter):
                await self.ask(VIEWS[0], since=since)

    async def test_other_sessions_take_revisions(self) -> None:
        """The counter is the daemon's: a revision that another session took is known here, and no change."""
        sources = self.sources(random.Random(0))
        await self.add(sources[0], autostart=False)
        mine, _, _ = await self.look(VIEWS[1])
        first, self.session = self.session, await self.make_session()
        await self.add(sources[1], autostart=False)
        theirs, _, _ = await self.look(VIEWS[1])
        self.session = first
        self.assertGreater(theirs, mine)
        answer = await self.ask(VIEWS[1], since=theirs)
        self.assertEqual((answer.rev, bytes(answer.changed), bytes(answer.removed)), (theirs, b"[]", b"[]"))
