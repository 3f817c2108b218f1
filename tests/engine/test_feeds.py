"""What feeds tell: openings and pushes, shared by all who stand at the same revision, and their ends."""

import gc
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.feeds import Part
from resttorrent.engine.session_feed import SessionsFeed, sessions_boards
from resttorrent.engine.torrent_feed import TorrentFeed
from resttorrent.engine.views import Selection
from tests.engine.feed_world import FakeSession, Subscriber, World, members_of, take_all
from tests.engine.follower import table_of

NAMES = Selection(("infohash", "name"))


class PartTests(SynchronousTestCase):
    def test_forms_are_made_once(self) -> None:
        part, made = Part(b'"rev":5', 5), []

        def make(members: bytes) -> bytes:
            made.append(members)
            return b"{" + members + b"}"

        for key in ("a", "b", "a"):
            self.assertEqual(part.form(key, make), b'{"rev":5}')
        self.assertEqual(made, [b'"rev":5'] * 2)


class FeedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.clock = self.world.clock
        self.session = self.world.create()
        self.session.put("a", name="A")

    def subscribe(self, session: FakeSession | None, selection: Selection = NAMES, **more: Any) -> Subscriber:
        subscriber = Subscriber(self.world, session, selection, **more)
        self.addCleanup(subscriber.feed.stop)
        return subscriber

    def assertNothingLeft(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.world.watched)


class OneSessionTests(FeedCase):
    def test_opening(self) -> None:
        feed = TorrentFeed(self.session, NAMES, interval=1)
        opening, rev = feed.opening(), self.session.table.rev
        self.assertEqual(
            opening.members,
            b'"status":"success","session_id":"s1","rev":%d,"torrents":[{"infohash":"a","name":"A"}]' % rev,
        )
        self.assertEqual((opening.id, opening.closes, feed.event), (rev, False, "v1/torrents"))
        self.assertIsNone(feed.take())
        self.assertNothingLeft()

    def test_push(self) -> None:
        feed = TorrentFeed(self.session, NAMES, interval=1)
        feed.opening()
        self.session.put("a", name="B")
        self.session.put("b", name="C")
        self.session.remove("b")
        part = feed.take()
        assert part is not None
        rev = self.session.table.rev
        self.assertEqual(
            part.members,
            b'"session_id":"s1","rev":%d,"changed":[{"infohash":"a","name":"B"}],"removed":["b"]' % rev,
        )
        self.assertEqual(part.id, rev)
        self.assertIsNone(feed.take())

    def test_key_is_always_told(self) -> None:
        self.assertEqual(
            members_of(TorrentFeed(self.session, Selection(("name",)), interval=1).opening())["torrents"],
            [{"infohash": "a", "name": "A"}],
        )

    def test_what_was_not_asked_for(self) -> None:
        subscriber = self.subscribe(self.session)
        self.session.put("a", name="A", total=5)
        self.assertIsNone(subscriber.take())
        # its cursor has moved all the same: nothing is worked out twice
        self.assertEqual(subscriber.feed._cursor, self.session.table.rev)  # type: ignore[attr-defined]

    def test_resumed(self) -> None:
        before = (self.session.table.rev, table_of(self.session.listed(NAMES)))
        self.session.put("b", name="B")
        subscriber = self.subscribe(self.session, before=before)
        self.assertEqual(subscriber.first, {})
        self.assertEqual(subscriber.rows, subscriber.wanted())

    def test_resumed_with_nothing_new(self) -> None:
        since = self.session.table.rev
        opening = TorrentFeed(self.session, NAMES, since=since, interval=1).opening()
        self.assertEqual(members_of(opening)["changed"], [])

    def test_resumed_beyond_the_table(self) -> None:
        """The revision is another session's: known here, and not gone back from."""
        since = self.world.revisions.next()
        feed = TorrentFeed(self.session, NAMES, since=since, interval=1)
        self.assertEqual(feed.opening().id, since)
        self.assertIsNone(feed.take())
        self.session.put("b")
        push = feed.take()
        assert push is not None
        self.assertEqual(len(members_of(push)["changed"]), 1)

    def test_unknown_revisions(self) -> None:
        for since in (0, 1, self.world.revisions.current + 1):
            opening = TorrentFeed(self.session, NAMES, since=since, interval=1).opening()
            self.assertEqual(len(members_of(opening)["torrents"]), 1)

    def test_change_before_the_start(self) -> None:
        """What happens between opening and start wakes as well."""
        feed, woken = TorrentFeed(self.session, NAMES, interval=60), []
        feed.opening()
        self.session.put("b")
        feed.start(lambda: woken.append(True))
        self.clock.advance(0)
        self.assertEqual(len(woken), 1)
        feed.stop()
        self.assertNothingLeft()

    def test_cursor_older_than_the_tombstones(self) -> None:
        self.world = World(ring=2)
        session = self.world.create("a", "b", "c")
        slow, slow_too, all_of_it = self.subscribe(session), self.subscribe(session), self.subscribe(None)
        for key in "abc":
            session.remove(key)
        session.put("d")
        self.assertIs(slow.take(), slow_too.take())
        all_of_it.take()
        for one in (slow, slow_too, all_of_it):
            self.assertEqual(len(one.rows), 1)
            self.assertEqual((one.rows, one.whole), (one.wanted(), 1))

    def test_counters_at_the_interval(self) -> None:
        subscriber = self.subscribe(self.session, Selection(), interval=2)
        self.session.put("a", name="A", total=7)
        self.clock.advance(1.9)
        self.assertFalse(subscriber.woken)
        self.clock.advance(0.1)
        self.assertTrue(subscriber.woken)
        subscriber.take()
        self.assertEqual(subscriber.rows["a"]["total"], 7)
        self.assertEqual(self.session.asked, 1)


class SharedTests(FeedCase):
    def test_one_part_for_all(self) -> None:
        subscribers = [self.subscribe(self.session) for _ in range(3)]
        self.session.put("a", name="B")
        parts = [subscriber.take() for subscriber in subscribers]
        self.assertIsNotNone(parts[0])
        self.assertTrue(all(part is parts[0] for part in parts))

    def test_one_opening_for_all(self) -> None:
        since = self.session.table.rev
        self.session.put("b")
        for more in ({}, {"since": since}):
            feeds = [TorrentFeed(self.session, NAMES, interval=1, **more) for _ in range(2)]
            self.assertIs(feeds[0].opening(), feeds[1].opening())

    def test_slow_ones_get_their_own(self) -> None:
        quick, slow = self.subscribe(self.session), self.subscribe(self.session)
        self.session.put("b", name="B")
        quick.take()
        self.session.put("a", name="C")
        one, other = quick.take(), slow.take()
        assert one is not None and other is not None
        self.assertEqual(len(members_of(one)["changed"]), 1)
        self.assertEqual(len(members_of(other)["changed"]), 2)

    def test_board_is_kept_while_it_is_used(self) -> None:
        """Though the views that were asked for since are more than are kept."""
        feed = TorrentFeed(self.session, NAMES, interval=1)
        for name in ("state", "total", "ratio", "eta"):
            self.session.views.of(Selection((name,)))
        other = TorrentFeed(self.session, NAMES, interval=1)
        self.assertIs(feed._board, other._board)
        del feed, other
        gc.collect()
        self.assertEqual(self.session.boards.alive(), [])

    def test_views_are_shared_with_lists(self) -> None:
        feed: Any = TorrentFeed(self.session, NAMES, interval=1)
        for name in ("state", "total", "ratio", "eta"):
            self.session.views.of(Selection((name,)))
        self.assertIs(self.session.views.of(NAMES), feed._board._view)

    def test_all_sessions_share_too(self) -> None:
        subscribers = [self.subscribe(None) for _ in range(3)]
        self.world.create().put("b")
        parts = [subscriber.take() for subscriber in subscribers]
        self.assertIsNotNone(parts[0])
        self.assertTrue(all(part is parts[0] for part in parts))


class EndTests(FeedCase):
    def test_deleted(self) -> None:
        subscriber = self.subscribe(self.session)
        self.session.put("b", name="B")
        self.world.delete(self.session)
        self.assertTrue(subscriber.woken)
        part = subscriber.take()
        assert part is not None
        self.assertFalse(part.closes)
        self.assertEqual(subscriber.rows, {})
        self.clock.advance(0)
        self.assertTrue(subscriber.woken)
        last = subscriber.take()
        assert last is not None
        self.assertEqual(last.members, b'"closed":true,"code":"session_not_found"')
        self.assertIsNone(subscriber.take())
        self.assertNothingLeft()

    def test_deleted_with_no_torrents(self) -> None:
        self.session.remove("a")
        subscriber = self.subscribe(self.session)
        self.world.delete(self.session)
        part = subscriber.take()
        assert part is not None
        self.assertTrue(part.closes)

    def test_deleted_while_it_did_not_look(self) -> None:
        self.world = World(ring=2)
        session = self.world.create()
        for key in "abcd":
            session.put(key)
        slow = self.subscribe(session)
        for key in "abc":
            session.remove(key)
        self.world.delete(session)
        slow.take()
        self.assertEqual(slow.rows, {})

    def test_deleted_with_rows_that_left_the_filter(self) -> None:
        """What the subscriber still has of it goes as well, though it has not heard that it left."""
        self.session.put("b", state="seeding")
        self.session.put("c", state="seeding")
        subscriber = self.subscribe(self.session, Selection(("name",), frozenset({"seeding"})))
        self.assertEqual(set(subscriber.rows), {"b", "c"})
        self.session.put("b", state="stopped")
        self.session.remove("c")
        self.world.delete(self.session)
        subscriber.take()
        self.assertEqual(subscriber.rows, {})

    def test_deleted_before_the_start(self) -> None:
        feed, woken = TorrentFeed(self.session, NAMES, interval=1), []
        feed.opening()
        self.world.delete(self.session)
        feed.start(lambda: woken.append(True))
        self.clock.advance(0)
        self.assertEqual(len(woken), 1)
        feed.stop()
        self.assertNothingLeft()

    def test_stopping(self) -> None:
        """The torrents are not gone: nothing is removed."""
        subscriber = self.subscribe(self.session)
        self.session.pulse.close("stopping")
        subscriber.take()
        self.assertEqual((subscriber.closed, len(subscriber.pushes)), ("stopping", 1))
        self.assertEqual(set(subscriber.rows), {"a"})

    def test_stopping_of_all(self) -> None:
        subscriber = self.subscribe(None)
        self.world.roster.close("stopping")
        subscriber.take()
        self.assertEqual(subscriber.closed, "stopping")
        self.assertEqual(set(subscriber.rows), {"s1/a"})
        self.assertNothingLeft()

    def test_stop_between_the_last_two(self) -> None:
        subscriber = self.subscribe(self.session)
        self.world.delete(self.session)
        subscriber.take()
        subscriber.feed.stop()
        self.assertNothingLeft()


class AllSessionsTests(FeedCase):
    def test_members(self) -> None:
        feed = self.world.follow_all(NAMES)
        opening = members_of(feed.opening())
        self.assertEqual(opening["torrents"], [{"session_id": "s1", "infohash": "a", "name": "A"}])
        self.assertIsNone(opening["session_id"])
        self.session.remove("a")
        push = feed.take()
        assert push is not None
        self.assertEqual(
            push.members,
            b'"session_id":null,"rev":%d,"changed":[],"removed":[{"session_id":"s1","infohash":"a"}]'
            % self.world.revisions.current,
        )

    def test_session_that_comes(self) -> None:
        subscriber = self.subscribe(None)
        other = self.world.create()
        other.put("a", name="other")
        self.clock.advance(0)
        self.assertTrue(subscriber.woken)
        subscriber.take()
        self.assertEqual(subscriber.rows["s2/a"]["name"], "other")
        # it is watched as well
        other.put("a", name="more")
        self.clock.advance(0)
        self.assertTrue(subscriber.woken)

    def test_session_that_goes(self) -> None:
        other = self.world.create()
        other.put("b")
        subscriber = self.subscribe(None)
        other.remove("b")
        other.put("c")
        self.world.delete(other)
        self.clock.advance(0)
        subscriber.take()
        self.assertEqual(set(subscriber.rows), {"s1/a"})
        self.assertEqual(subscriber.rows, subscriber.wanted())
        self.assertIsNone(subscriber.closed)

    def test_session_that_comes_with_torrents(self) -> None:
        """They are older than its coming, and new to whoever looked in between."""
        world = self.world
        other = FakeSession("other", self.clock, world.revisions, 10)
        other.put("b")
        subscriber = self.subscribe(None)
        world.all.append(other)
        world.sessions.append(other)
        world.roster.came(other)
        subscriber.take()
        self.assertEqual(set(subscriber.rows), {"s1/a", "other/b"})

    def test_session_that_goes_and_has_forgotten(self) -> None:
        self.world = World(ring=2)
        session = self.world.create("a", "b", "c", "d")
        subscriber = self.subscribe(None)
        for key in "abc":
            session.remove(key)
        self.world.delete(session)
        subscriber.take()
        self.assertEqual((subscriber.rows, subscriber.whole), ({}, 1))

    def test_too_many_that_went(self) -> None:
        """Only so much is remembered of them; a reader from before then gets the whole list."""
        self.world = World(gone=3)
        session = self.world.create()
        session.put("a")
        subscriber = self.subscribe(None)
        for _ in range(3):
            other = self.world.create()
            other.put("b")
            self.world.delete(other)
        self.assertFalse(self.world.roster.knows(subscriber.rev))
        subscriber.take()
        self.assertEqual(subscriber.rows, subscriber.wanted())
        self.assertLessEqual(self.world.roster._remembered, 3)

    def test_nothing_before_the_beginning(self) -> None:
        """Revisions of a former process are unknown, though the counter had not been set yet."""
        since = self.world.revisions.current
        self.world.revisions.current += 1000
        self.world.roster.begin()
        self.assertFalse(self.world.roster.knows(since + 500))
        self.assertTrue(self.world.roster.knows(self.world.revisions.current))

    def test_refreshed_together(self) -> None:
        other = self.world.create()
        subscribers = [self.subscribe(None), self.subscribe(None)]
        self.clock.advance(1)
        self.assertEqual((self.session.asked, other.asked), (1, 1))
        for subscriber in subscribers:
            subscriber.feed.stop()
        self.clock.advance(5)
        self.assertEqual((self.session.asked, other.asked), (1, 1))
        self.assertNothingLeft()


class SessionsTopicTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.clock: Clock = self.world.clock
        self.boards = sessions_boards(self.world.roster, self.world.revisions)
        self.shown: dict[str, Any] = {}
        self.ports: dict[str, int] = {}
        self.woken = 0

    def describe(self, session: FakeSession) -> dict[str, Any]:
        session_id = session.options.id
        return {"id": session_id, "torrents": len(session.rows), "port": self.ports.get(session_id)}

    def subscribe(self, since: int | None = None) -> SessionsFeed:
        feed = SessionsFeed(self.boards, self._describe, since=since, interval=1)
        self.apply(feed.opening())
        feed.start(self._wake)
        self.addCleanup(feed.stop)
        return feed

    @property
    def _describe(self) -> Any:
        # the same function each time, as a command's module has it
        return self.__dict__.setdefault("_described", self.describe)

    def _wake(self) -> None:
        self.woken += 1

    def apply(self, part: Part | None) -> dict[str, Any]:
        assert part is not None
        told = members_of(part)
        if "sessions" in told:
            self.shown = {one["id"]: one for one in told["sessions"]}
        for one in told.get("changed", ()):
            self.shown[one["id"]] = one
        for session_id in told.get("removed", ()):
            del self.shown[session_id]
        return told

    def assertExact(self) -> None:
        self.assertEqual(self.shown, {s.options.id: self.describe(s) for s in self.world.sessions})

    def test_life(self) -> None:
        first = self.world.create()
        feed = self.subscribe()
        self.assertExact()
        self.assertIsNone(feed.take())
        second = self.world.create()
        self.clock.advance(0)
        self.assertEqual(self.woken, 1)
        told = self.apply(feed.take())
        self.assertEqual([one["id"] for one in told["changed"]], ["s2"])
        second.put("a")
        self.clock.advance(0)
        self.assertEqual(self.woken, 2)
        self.apply(feed.take())
        self.assertExact()
        self.world.delete(first)
        self.clock.advance(0)
        self.assertEqual(self.apply(feed.take())["removed"], ["s1"])
        self.assertExact()
        feed.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.world.watched)

    def test_change_before_the_start(self) -> None:
        feed = SessionsFeed(self.boards, self._describe, interval=60)
        feed.opening()
        self.world.create()
        feed.start(self._wake)
        self.clock.advance(0)
        self.assertEqual(self.woken, 1)
        feed.stop()

    def test_what_no_event_tells(self) -> None:
        self.world.create()
        feed = self.subscribe()
        self.ports["s1"] = 6881
        self.clock.advance(1)
        self.apply(feed.take())
        self.assertExact()
        self.woken = 0
        self.clock.advance(1)
        self.assertEqual(self.woken, 0)

    def test_opening_is_of_now(self) -> None:
        """Though another one watches, and looks only at its interval."""
        self.world.create()
        self.subscribe()
        self.ports["s1"] = 6882
        self.subscribe()
        self.assertExact()

    def test_resumed(self) -> None:
        self.world.create()
        feed = self.subscribe()
        rev = feed.opening().id
        gone = self.world.create()
        self.apply(feed.take())
        self.world.delete(gone)
        self.world.create()
        self.subscribe(since=rev)
        self.shown.pop("s2", None)
        self.assertExact()

    def test_resumed_where_nobody_looked_meanwhile(self) -> None:
        self.world.create()
        feed = self.subscribe()
        rev = feed.opening().id
        feed.stop()
        del feed
        self._cleanups.clear()
        gc.collect()
        self.world.delete(self.world.sessions[0])
        opening = SessionsFeed(self.boards, self._describe, since=rev, interval=1).opening()
        self.assertEqual(members_of(opening)["sessions"], [])

    def test_stopping(self) -> None:
        self.world.create()
        feed = self.subscribe()
        self.world.roster.close("stopping")
        self.assertEqual(self.woken, 1)
        last = feed.take()
        assert last is not None
        self.assertEqual((last.members, last.closes), (b'"closed":true,"code":"stopping"', True))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CrowdTests(FeedCase):
    def test_thousand(self) -> None:
        """All are woken in one turn, by one computation."""
        crowd = [self.subscribe(self.session, Selection()) for _ in range(1000)]
        self.session.put("a", name="B")
        self.clock.advance(0)
        take_all(crowd)
        self.assertEqual({id(s.feed._board) for s in crowd}, {id(crowd[0].feed._board)})  # type: ignore[attr-defined]
        self.assertTrue(all(len(s.pushes) == 1 for s in crowd))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for subscriber in crowd:
            subscriber.feed.stop()
        self.assertNothingLeft()
