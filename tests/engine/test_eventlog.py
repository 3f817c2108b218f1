"""The event log: ids, history, what was lost is said, one call for many entries, feeds that share parts."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.eventlog import (
    EXCERPTS,
    LONGEST_MESSAGE,
    LONGEST_NAME,
    OPENING,
    PUSH,
    EventLog,
    LogFeed,
)
from resttorrent.engine.feeds import Part
from resttorrent.engine.log_entries import SESSION_DELETED, Excerpt

from .fakes import torrent

FIRST = 1000


def members(part: Part | None) -> Any:
    assert part is not None
    return json.loads(b"{" + part.members + b"}")


def messages(excerpt: Excerpt) -> list[str]:
    return [entry["message"] for entry in json.loads(excerpt.json)]


class LogCase(SynchronousTestCase):
    history = 10

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = EventLog(self.clock, lambda: 1.23456, history=self.history)
        self.log.begin(FIRST)

    def add(self, *texts: object, **values: Any) -> None:
        for text in texts:
            self.log.add("torrent_added", str(text), **values)


class HistoryTests(LogCase):
    def test_entry(self) -> None:
        self.log.add("file_error", "no", level="error", session_id="s", infohash="i")
        (entry,) = json.loads(self.log.newest(5).json)
        self.assertEqual(
            entry,
            {
                "id": FIRST + 1, "time": 1.235, "level": "error", "event": "file_error",
                "session_id": "s", "infohash": "i", "message": "no",
            },
        )  # fmt: skip

    def test_ids_rise_by_one(self) -> None:
        self.add(*range(25))
        self.assertEqual([e.id for e in self.log.newest(100).entries], list(range(FIRST + 16, FIRST + 26)))
        self.assertEqual(self.log.last, FIRST + 25)

    def test_after(self) -> None:
        self.add("a", "b", "c")
        found = self.log.after(FIRST + 1, limit=10)
        self.assertEqual((messages(found), found.rev, found.gap), (["b", "c"], FIRST + 3, False))
        found = self.log.after(FIRST + 3, limit=10)
        self.assertEqual((messages(found), found.rev, found.gap), ([], FIRST + 3, False))

    def test_pages(self) -> None:
        self.add(*"abcde")
        since, seen = FIRST, []
        while page := messages(found := self.log.after(since, limit=2)):
            self.assertLessEqual(len(page), 2)
            since = found.rev
            seen += page
        self.assertEqual("".join(seen), "abcde")

    def test_unknown_since(self) -> None:
        """Of an earlier process, beyond the present, older than what is kept: all that there is, marked."""
        self.add("a", "b")
        for since in (0, FIRST - 1, FIRST + 3, 2**53 - 1):
            found = self.log.after(since, limit=10)
            self.assertEqual((messages(found), found.gap), (["a", "b"], True), since)
        self.add(*range(8))
        self.assertFalse(self.log.after(FIRST, limit=10).gap)
        self.add("one too many")
        self.assertTrue(self.log.after(FIRST, limit=10).gap)
        self.assertFalse(self.log.after(FIRST + 1, limit=10).gap)

    def test_filters(self) -> None:
        self.add("a", session_id="s")
        self.add("b", session_id="t", level="error")
        self.add("c", session_id="s", level="warning")
        self.assertEqual(messages(self.log.newest(10, session_id="s")), ["a", "c"])
        self.assertEqual(messages(self.log.newest(10, level="warning")), ["b", "c"])
        self.assertEqual(messages(self.log.after(FIRST, limit=10, level="error")), ["b"])
        self.assertEqual(self.log.after(FIRST, limit=10, level="error").rev, FIRST + 3)
        self.assertEqual(messages(self.log.after(FIRST + 1, limit=10, session_id="s")), ["c"])
        self.assertEqual(messages(self.log.newest(1, session_id="s")), ["c"])

    def test_strangers_text(self) -> None:
        self.add("a\r\nb\x1b[31m\u202e\ud800", "x" * 100_000)
        first, second = messages(self.log.newest(2))
        self.assertEqual(first, r"a\r\nb\x1b[31m\u202e\ud800")
        self.assertLess(len(second), LONGEST_MESSAGE + 40)

    def test_named(self) -> None:
        made = torrent(name="n" * 10_000)
        self.log.add_about(made, "torrent_added", "added", session_id="s")
        made.name = None
        self.log.add_about(made, "torrent_removed", "removed", session_id="s")
        first, second = self.log.newest(2).entries
        self.assertTrue(first.message.startswith("n" * LONGEST_NAME + "..."))
        self.assertTrue(first.message.endswith(": added"))
        self.assertEqual((second.message, second.infohash), (f"{made.infohash}: removed", made.infohash))

    def test_same_question_same_object(self) -> None:
        self.add("a", "b")
        self.assertIs(self.log.after(FIRST, limit=5), self.log.after(FIRST, limit=5))
        self.assertIs(self.log.newest(5), self.log.newest(5))
        before = self.log.after(FIRST, limit=5)
        self.add("c")
        self.assertEqual(messages(self.log.after(FIRST, limit=5)), ["a", "b", "c"])
        self.assertEqual(messages(before), ["a", "b"])

    def test_many_questions_are_not_all_remembered(self) -> None:
        self.add("a")
        for limit in range(1, 3 * EXCERPTS):
            self.log.after(FIRST, limit=limit)
        self.assertLessEqual(len(self.log._excerpts), EXCERPTS)

    @given(
        st.lists(st.tuples(st.sampled_from("st"), st.sampled_from(["info", "error"])), max_size=40),
        st.integers(-3, 45),
        st.integers(1, 12),
        st.sampled_from([None, "s"]),
        st.sampled_from(["info", "warning", "error"]),
    )
    def test_like_a_plain_list(
        self, added: list[tuple[str, Any]], since: int, limit: int, session_id: str | None, level: Any
    ) -> None:
        log = EventLog(Clock(), lambda: 0.0, history=self.history)
        log.begin(FIRST)
        for session, its_level in added:
            log.add("torrent_added", "", session_id=session, level=its_level)
        entries = [(FIRST + 1 + i, s, lv) for i, (s, lv) in enumerate(added)]
        kept, lost = entries[-self.history :], entries[: -self.history]
        named = FIRST + since
        known = (lost[-1][0] if lost else FIRST) <= named <= FIRST + len(added)
        fitting = [
            i
            for i, s, lv in kept
            if (i > named or not known) and session_id in (None, s) and (level == "info" or lv == "error")
        ]
        found = log.after(named, limit=limit, session_id=session_id, level=level)
        self.assertEqual([e.id for e in found.entries], fitting[:limit])
        self.assertEqual(found.gap, not known)
        self.assertEqual(found.rev, fitting[limit - 1] if len(fitting) >= limit else FIRST + len(added))


class WatchTests(LogCase):
    def setUp(self) -> None:
        super().setUp()
        self.called: list[str] = []

    def watch(self, name: str) -> Callable[[], None]:
        return self.log.watch(lambda: self.called.append(name))

    def test_once_in_a_turn(self) -> None:
        unwatch = self.watch("a")
        self.add(1, 2, 3)
        self.assertEqual(self.called, [])
        self.clock.advance(0)
        self.assertEqual(self.called, ["a"])
        self.add(4)
        self.clock.advance(0)
        self.assertEqual(self.called, ["a", "a"])
        unwatch()
        unwatch()
        self.add(5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_watches(self) -> None:
        self.add(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_left_before_it_was_called(self) -> None:
        unwatch = self.watch("a")
        self.add(1)
        unwatch()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_ends_the_other(self) -> None:
        unwatch: list[Callable[[], None]] = []
        self.log.watch(lambda: unwatch[0]())
        unwatch.append(self.watch("a"))
        self.add(1)
        self.clock.advance(0)
        self.assertEqual(self.called, [])

    def test_one_that_fails(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        self.log.watch(fail)
        self.watch("a")
        self.add(1)
        self.clock.advance(0)
        self.assertEqual(self.called, ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class FeedTests(LogCase):
    history = 3000

    def setUp(self) -> None:
        super().setUp()
        self.woken = 0
        # after all feeds were stopped
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def wake(self) -> None:
        self.woken += 1

    def feed(self, **values: Any) -> LogFeed:
        feed = LogFeed(self.log, **values)
        self.addCleanup(feed.stop)
        return feed

    def started(self, **values: Any) -> LogFeed:
        feed = self.feed(**values)
        feed.opening()
        feed.start(self.wake)
        return feed

    def test_opening(self) -> None:
        self.add(*range(OPENING + 50))
        part = self.feed().opening()
        told = members(part)
        self.assertEqual([e["message"] for e in told["entries"]], [str(i) for i in range(50, OPENING + 50)])
        self.assertEqual((told["status"], told["rev"], told["gap"]), ("success", self.log.last, False))
        self.assertEqual((part.id, part.closes), (self.log.last, False))

    def test_opening_since(self) -> None:
        self.add(*"abc")
        told = members(self.feed(since=FIRST + 2).opening())
        self.assertEqual([e["message"] for e in told["entries"]], ["c"])
        self.assertFalse(told["gap"])
        told = members(self.feed(since=5).opening())
        self.assertEqual([e["message"] for e in told["entries"]], ["a", "b", "c"])
        self.assertTrue(told["gap"])

    def test_push(self) -> None:
        self.add("before")
        feed = self.started()
        self.assertIsNone(feed.take())
        self.add("a", "b")
        self.clock.advance(0)
        self.assertEqual(self.woken, 1)
        part = feed.take()
        told = members(part)
        self.assertEqual(list(told), ["entries"])
        self.assertEqual([e["message"] for e in told["entries"]], ["a", "b"])
        assert part is not None
        self.assertEqual(part.id, self.log.last)
        self.assertIsNone(feed.take())

    def test_logged_between_opening_and_start(self) -> None:
        feed = self.feed()
        feed.opening()
        self.add("a")
        feed.start(self.wake)
        self.clock.advance(0)
        self.assertEqual(self.woken, 1)
        self.assertEqual([e["message"] for e in members(feed.take())["entries"]], ["a"])

    def test_shared(self) -> None:
        one, other, third = self.started(), self.started(), self.started(session_id="s")
        self.add("a", session_id="s")
        part = one.take()
        self.assertIsNotNone(part)
        self.assertIs(part, other.take())
        self.assertIsNot(part, third.take())
        self.assertIs(self.feed().opening(), self.feed().opening())

    def test_many_in_pieces(self) -> None:
        """A push holds so many; the rest follows, each with a wake of its own."""
        feed = self.started()
        self.add(*range(2 * PUSH + 1))
        sizes = []
        for _ in range(3):
            self.clock.advance(0)
            part = feed.take()
            sizes.append(len(members(part)["entries"]))
        self.assertEqual(sizes, [PUSH, PUSH, 1])
        self.assertEqual(self.woken, 3)
        self.clock.advance(0)
        self.assertEqual(self.woken, 3)
        self.assertIsNone(feed.take())

    def test_long_opening_in_pieces(self) -> None:
        self.add(*range(PUSH + 1))
        feed = self.feed(since=FIRST)
        self.assertEqual(members(feed.opening())["rev"], FIRST + PUSH)
        feed.start(self.wake)
        self.clock.advance(0)
        self.assertEqual(self.woken, 1)
        self.assertEqual(len(members(feed.take())["entries"]), 1)

    def test_fell_behind(self) -> None:
        feed = self.started()
        self.add(*range(self.history + 5))
        told = members(feed.take())
        self.assertEqual(list(told), ["gap", "entries"])
        self.assertIs(told["gap"], True)
        self.assertEqual(told["entries"][0]["message"], "5")
        self.assertNotIn("gap", members(feed.take()))

    def test_other_sessions(self) -> None:
        feed = self.started(session_id="s")
        self.add("a", session_id="t")
        self.assertIsNone(feed.take())
        self.add("b", session_id="s")
        self.assertEqual([e["message"] for e in members(feed.take())["entries"]], ["b"])

    def test_session_deleted(self) -> None:
        feed, all_of_them = self.started(session_id="s"), self.started()
        self.log.add(SESSION_DELETED, "", session_id="s")
        self.clock.advance(0)
        self.assertEqual([e["event"] for e in members(feed.take())["entries"]], [SESSION_DELETED])
        self.woken = 0
        self.clock.advance(0)
        self.assertEqual(self.woken, 1)
        part = feed.take()
        self.assertEqual(members(part), {"closed": True, "code": "session_not_found"})
        assert part is not None
        self.assertTrue(part.closes)
        self.assertIsNone(feed.take())
        self.assertIsNotNone(all_of_them.take())
        self.clock.advance(0)
        self.assertIsNone(all_of_them.take())

    def test_resumed_after_the_session_was_deleted(self) -> None:
        self.log.add(SESSION_DELETED, "", session_id="s")
        feed = self.feed(since=FIRST, session_id="s")
        self.assertEqual(len(members(feed.opening())["entries"]), 1)
        feed.start(self.wake)
        self.clock.advance(0)
        self.assertEqual(self.woken, 1)
        part = feed.take()
        assert part is not None
        self.assertTrue(part.closes)

    def test_stop(self) -> None:
        feed = self.started()
        self.add("a")
        feed.stop()
        feed.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.add("b")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(feed.take())
        self.assertEqual(self.woken, 0)
