"""
Snapshot + pushes = fresh list, whatever happens to rows, sessions and subscribers, and in whatever order.

Subscribers take when they were woken, some much later; the rings are small, so that what they stood at is
forgotten now and then.
"""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.views import Selection
from tests.engine.feed_world import Subscriber, World, take_all

KEYS = "abcde"
SELECTIONS = (
    Selection(),
    Selection(("infohash", "state", "progress")),
    Selection(("name",)),
    Selection(("name", "infohash"), frozenset({"seeding"})),
    Selection(("progress",), frozenset({"seeding", "stopped"})),
)
VALUES = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["stopped", "seeding", "downloading"]),
        "progress": st.sampled_from([None, 0.5, 1.0]),
        "name": st.sampled_from([None, 'q"']),
        "total": st.integers(0, 1),
    }
)
NUMBER = st.integers(0, 5)
KEY = st.sampled_from(KEYS)
STEP = st.one_of(
    st.tuples(st.just("put"), NUMBER, KEY, VALUES),
    st.tuples(st.just("put"), NUMBER, KEY, VALUES),
    st.tuples(st.just("remove"), NUMBER, KEY, st.none()),
    st.tuples(st.just("create"), NUMBER, KEY, st.none()),
    st.tuples(st.just("delete"), NUMBER, KEY, st.none()),
    st.tuples(st.just("subscribe"), NUMBER, KEY, st.sampled_from(SELECTIONS)),
    st.tuples(st.just("subscribe to all"), NUMBER, KEY, st.sampled_from(SELECTIONS)),
    st.tuples(st.just("come back"), NUMBER, KEY, st.none()),
    st.tuples(st.just("leave"), NUMBER, KEY, st.none()),
    st.tuples(st.just("take"), NUMBER, KEY, st.none()),
    st.tuples(st.just("turn"), NUMBER, KEY, st.none()),
    st.tuples(st.just("second"), NUMBER, KEY, st.none()),
)


class Life:
    """What happens in one example."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.case = case
        self.world = World(ring=3, gone=6)
        self.subscribers: list[Subscriber] = []
        self.left: list[Subscriber] = []
        self.world.create()

    def do(self, word: str, number: int, key: str, what: Any) -> None:
        sessions, world = self.world.sessions, self.world
        session = sessions[number % len(sessions)] if sessions else None
        subscriber = self.subscribers[number % len(self.subscribers)] if self.subscribers else None
        if word == "create":
            world.create(key)
        elif word == "put" and session:
            session.put(key, **what)
        elif word == "remove" and session:
            session.remove(key)
        elif word == "delete" and session:
            world.delete(session)
            # as it closes, its torrents go one by one
            session.remove(key)
        elif word == "subscribe" and session:
            self.subscribers.append(Subscriber(world, session, what, interval=1 + number % 2))
        elif word == "subscribe to all":
            self.subscribers.append(Subscriber(world, None, what, interval=1 + number % 2))
        elif word == "leave" and subscriber:
            subscriber.feed.stop()
            self.subscribers.remove(subscriber)
            self.left.append(subscriber)
        elif word == "come back" and self.left:
            self.come_back(self.left[number % len(self.left)])
        elif word == "take" and subscriber and subscriber.woken:
            self.take(subscriber)
        elif word in ("turn", "second"):
            world.clock.advance(word == "second")

    def come_back(self, gone: Subscriber) -> None:
        if gone.session is None or gone.session in self.world.sessions:
            again = Subscriber(self.world, gone.session, gone.selection, before=(gone.rev, gone.rows))
            self.subscribers.append(again)
            self.check(again)

    def take(self, subscriber: Subscriber) -> None:
        part = subscriber.take()
        if part is None or not part.closes:
            self.check(subscriber)

    def check(self, subscriber: Subscriber) -> None:
        self.case.assertEqual(subscriber.rows, subscriber.wanted(), subscriber.pushes)

    def end(self) -> None:
        """All who have something to learn are woken for it, and then have it."""
        self.world.clock.advance(2)
        for _ in range(3):
            take_all(self.subscribers)
            self.world.clock.advance(0)
        for subscriber in self.subscribers:
            self.check(subscriber)
            deleted = subscriber.session is not None and subscriber.session not in self.world.sessions
            self.case.assertEqual(subscriber.closed, "session_not_found" if deleted else None)
            self.case.assertIsNone(subscriber.take())
            subscriber.feed.stop()
            subscriber.feed.stop()
        self.case.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.case.assertFalse(self.world.watched)


class FeedPropertyTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(st.lists(STEP, max_size=40))
    def test_exact(self, steps: list[tuple[str, int, str, Any]]) -> None:
        life = Life(self)
        for step in steps:
            life.do(*step)
        life.end()

    def test_a_long_life(self) -> None:
        """Thousands of steps, with subscribers that look seldom: whole lists are told beside differences."""
        rng = random.Random(5)
        words = {"put": 20, "remove": 8, "turn": 8, "second": 1, "take": 8, "create": 1, "delete": 1}
        words |= {"subscribe": 1, "subscribe to all": 1, "leave": 1, "come back": 1}
        steps = rng.choices(list(words), list(words.values()), k=6000)
        life = Life(self)
        whole = pushes = 0
        for word in steps:
            what: Any = rng.choice(SELECTIONS)
            if word == "put":
                state = rng.choice(["stopped", "seeding", "downloading"])
                what = {"state": state, "total": rng.randrange(2), "progress": rng.choice([None, 1.0])}
            elif word in ("subscribe", "subscribe to all") and len(life.subscribers) > 12:
                word = "leave"
            life.do(word, rng.randrange(60), rng.choice(KEYS), what)
        for subscriber in (*life.subscribers, *life.left):
            pushes += len(subscriber.pushes)
            whole += subscriber.whole
        life.end()
        self.assertGreater(whole, 20)
        self.assertGreater(pushes - whole, 200)
