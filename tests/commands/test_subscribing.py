"""Which topic takes which parameters, and what a subscription begins with, against a real engine."""

import json
from typing import Any

from twisted.internet.defer import Deferred

from resttorrent.commands.answers import Answer, Subscribed
from resttorrent.commands.context import Context
from resttorrent.commands.health import Health
from resttorrent.commands.subscribing import subscribe, unsubscribe
from resttorrent.engine.engine import Engine
from resttorrent.engine.feeds import Feed, Part
from resttorrent.engine.pace import Pace
from resttorrent.errors import (
    BadParameter,
    CommandError,
    NotFound,
    ParameterConflict,
    SessionNotFound,
    UnknownParameter,
)
from resttorrent.fetch import Fetcher
from resttorrent.paths import Roots
from resttorrent.turns import TurnMeter
from tests.engine.support import EngineCase
from tests.live.access import owners_policy


class FakeSubscriptions:
    """A live connection with one subscription, "1"."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def end(self, subscription: str) -> None:
        if subscription != "1":
            raise NotFound("this connection has no such subscription", field="subscription")
        self.ended.append(subscription)


def told(part: Part | None) -> dict[str, Any]:
    assert part is not None
    members: dict[str, Any] = json.loads(b"{" + part.members + b"}")
    return members


class SubscribingCase(EngineCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.context = self.make_context(self.engine)
        self.session = await self.make_session()
        self.session_id = self.session.options.id
        self.woken: Deferred[None] = Deferred()

    def make_context(self, engine: Engine, subscriptions: FakeSubscriptions | None = None) -> Context:
        real: Any = self.timers
        meter = TurnMeter()
        return Context(
            engine=engine,
            fetcher=Fetcher(real, allow=()),
            roots=Roots([self.root]),
            pace=Pace(real, meter),
            health=Health(engine, self.store, meter, real.seconds),
            backups=self.store.backups,
            seconds=real.seconds,
            started=real.seconds(),
            policy=owners_policy(real),
            subscriptions=subscriptions,
        )

    async def subscribe(self, **parameters: object) -> Feed:
        result = await subscribe.run(self.context, parameters.items())
        assert isinstance(result, Subscribed)
        self.addCleanup(result.feed.stop)
        return result.feed

    async def refused(self, error: type[CommandError], field: str, **parameters: object) -> str:
        raised = await self.fails(self.subscribe(**parameters), error)
        assert isinstance(raised, CommandError)
        self.assertEqual(raised.field, field, parameters)
        return raised.message

    def begin(self, feed: Feed) -> dict[str, Any]:
        """Its opening; ``next`` waits for the pushes."""
        opening = told(feed.opening())
        self.assertEqual(opening.pop("status"), "success")
        feed.start(self._wake)
        return opening

    def _wake(self) -> None:
        if not self.woken.called:
            self.woken.callback(None)

    async def next(self, feed: Feed) -> tuple[dict[str, Any], bool]:
        """The next push, and whether it is the last."""
        while (part := feed.take()) is None:
            await self.woken
            self.woken = Deferred()
        return told(part), part.closes


class ParameterTests(SubscribingCase):
    async def test_topics(self) -> None:
        events = {"torrents", "sessions", "stats", "log"}
        found = {(await self.subscribe(topic=topic)).event for topic in events}
        self.assertEqual(found, {f"v1/{topic}" for topic in events})
        await self.refused(BadParameter, "topic")
        for topic in ("", "torrent", "Torrents", None, 5):
            await self.refused(BadParameter, "topic", topic=topic)

    async def test_what_a_topic_has_no_use_for(self) -> None:
        given = {
            "session_id": self.session_id,
            "fields": "name",
            "state": "seeding",
            "filter": {"state": "seeding"},
            "interval_ms": 500,
        }
        useless = {
            "torrents": set(),
            "sessions": {"session_id", "fields", "state", "filter"},
            "stats": {"fields", "state", "filter"},
            "log": {"fields", "state", "filter", "interval_ms"},
        }
        for topic, names in useless.items():
            for name, value in given.items():
                if name in names:
                    message = await self.refused(BadParameter, name, topic=topic, **{name: value})
                    self.assertIn(topic, message)
                else:
                    await self.subscribe(topic=topic, **{name: value})

    async def test_coming_back(self) -> None:
        """A client that comes back says where it was, whatever the topic."""
        for topic in ("torrents", "sessions", "stats", "log"):
            self.begin(await self.subscribe(topic=topic, since=5))

    async def test_wrong_values(self) -> None:
        for name, value in (
            ("interval_ms", 99),
            ("interval_ms", 60_001),
            ("since", -1),
            ("fields", "nme"),
            ("state", "running"),
        ):
            await self.refused(BadParameter, name, topic="torrents", **{name: value})
        await self.refused(UnknownParameter, "fieds", topic="torrents", fieds="name")

    async def test_wrong_filters(self) -> None:
        wrong: tuple[object, ...] = (
            {},
            [],
            "",
            "seeding",
            "[",
            "[1]",
            "[" * 3000,
            {"label": "a"},
            {"state": "seeding", "label": "a"},
            {"state": "running"},
            {"state": []},
            {"state": [{}]},
            {"state": None},
            '{"state": "running"}',
        )
        for value in wrong:
            await self.refused(BadParameter, "filter", topic="torrents", filter=value)

    async def test_two_filters(self) -> None:
        same = {"state": "seeding, error", "filter": {"state": ["error", "seeding"]}}
        await self.subscribe(topic="torrents", **same)
        await self.refused(
            ParameterConflict, "state", topic="torrents", state="error", filter={"state": "seeding"}
        )

    async def test_no_such_session(self) -> None:
        for topic in ("torrents", "stats", "log"):
            await self.refused(SessionNotFound, "session_id", topic=topic, session_id="none")


class TorrentsTests(SubscribingCase):
    async def test_snapshot_is_fresh(self) -> None:
        torrent = await self.add(self.session, 1)
        feed = await self.subscribe(topic="torrents", session_id=self.session_id, fields="name,state")
        opening = self.begin(feed)
        self.assertEqual(opening["session_id"], self.session_id)
        (row,) = opening["torrents"]
        self.assertEqual(set(row), {"infohash", "name", "state"})
        self.assertEqual(row["infohash"], torrent.infohash)

    async def test_filters(self) -> None:
        torrent = await self.add(self.session, 1)
        await self.until(lambda: self.state(self.session, torrent.infohash) == "stopped")
        for given, count in (
            ({"state": "stopped"}, 1),
            ({"filter": {"state": "stopped"}}, 1),
            ({"filter": '{"state": ["stopped", "error"]}'}, 1),
            ({"filter": {"state": "seeding,error"}}, 0),
        ):
            opening = self.begin(await self.subscribe(topic="torrents", session_id=self.session_id, **given))
            self.assertEqual(len(opening["torrents"]), count, given)

    async def test_pushed(self) -> None:
        feed = await self.subscribe(topic="torrents", session_id=self.session_id, interval_ms=60_000)
        rev = self.begin(feed)["rev"]
        torrent = await self.add(self.session, 1)
        push, _ = await self.next(feed)
        self.assertGreater(push["rev"], rev)
        self.assertEqual([row["infohash"] for row in push["changed"]], [torrent.infohash])
        await self.engine.remove_torrent(self.session, torrent, delete_files=False)
        while not push["removed"]:
            push, _ = await self.next(feed)
        self.assertEqual(push["removed"], [torrent.infohash])
        resumed = await self.subscribe(topic="torrents", session_id=self.session_id, since=rev)
        self.assertEqual(self.begin(resumed)["removed"], [torrent.infohash])

    async def test_deleted_session(self) -> None:
        torrent = await self.add(self.session, 1)
        feed = await self.subscribe(topic="torrents", session_id=self.session_id)
        everything = await self.subscribe(topic="torrents")
        self.begin(feed)
        everything.opening()
        await self.engine.delete_session(self.session)
        push, last = await self.next(feed)
        self.assertEqual((push["removed"], last), ([torrent.infohash], False))
        push, last = await self.next(feed)
        self.assertEqual((push, last), ({"closed": True, "code": "session_not_found"}, True))
        gone = {"session_id": self.session_id, "infohash": torrent.infohash}
        self.assertEqual(told(everything.take())["removed"], [gone])

    async def test_stopping_daemon(self) -> None:
        await self.add(self.session, 1)
        feeds = [
            await self.subscribe(topic="torrents", session_id=self.session_id),
            await self.subscribe(topic="torrents"),
            await self.subscribe(topic="sessions"),
        ]
        for feed in feeds:
            self.begin(feed)
        await self.engine.stop()
        for feed in feeds:
            push, last = await self.next(feed)
            self.assertEqual((push, last), ({"closed": True, "code": "stopping"}, True))

    async def test_all_sessions(self) -> None:
        feed = await self.subscribe(topic="torrents", fields="name")
        self.assertEqual(self.begin(feed)["torrents"], [])
        other = await self.make_session()
        torrent = await self.add(other, 1)
        push, _ = await self.next(feed)
        (row,) = push["changed"]
        self.assertEqual((row["session_id"], row["infohash"]), (other.options.id, torrent.infohash))

    async def test_session_deleted_meanwhile(self) -> None:
        """It goes while its figures are awaited: there is no such session then."""
        # of one that is not stored, so that it goes at once
        fleeting = await self.make_session(memory_only=True)
        asked = Deferred.fromCoroutine(self.subscribe(topic="torrents", session_id=fleeting.options.id))
        await self.engine.delete_session(fleeting)
        await self.fails(asked, SessionNotFound)


class SessionsTests(SubscribingCase):
    async def test_life(self) -> None:
        feed = await self.subscribe(topic="sessions")
        (shown,) = self.begin(feed)["sessions"]
        self.assertEqual((shown["id"], shown["port"]), (self.session_id, self.session.port))
        other = await self.make_session()
        push, _ = await self.next(feed)
        self.assertEqual([one["id"] for one in push["changed"]], [other.options.id])
        await self.add(other, 1)
        push, _ = await self.next(feed)
        self.assertEqual([one["torrents"] for one in push["changed"]], [1])
        await self.engine.delete_session(self.session)
        push, _ = await self.next(feed)
        self.assertEqual((push["changed"], push["removed"]), ([], [self.session_id]))


class UnsubscribeTests(SubscribingCase):
    async def test_unsubscribe(self) -> None:
        live = FakeSubscriptions()
        context = self.make_context(self.engine, live)
        answer = await unsubscribe.run(context, [("subscription", "1")])
        self.assertEqual((answer, live.ended), (Answer(), ["1"]))
        error = await self.fails(unsubscribe.run(context, [("subscription", "2")]), NotFound)
        self.assertEqual(error.field, "subscription")  # type: ignore[attr-defined]

    async def test_where_nothing_lives_on(self) -> None:
        self.assertEqual((unsubscribe.method, unsubscribe.route), (None, None))
        await self.fails(unsubscribe.run(self.context, [("subscription", "1")]), NotFound)
