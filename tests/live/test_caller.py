"""Subscriptions of a client: pushes while it takes them, merged when it does not."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access.quotas import Quota
from resttorrent.engine.feeds import Part
from resttorrent.live import caller as caller_module
from tests.rest.feeding import FakeFeed
from tests.socketio.stage import Stage

from .house import House, Visitor, closing


def _spans(pushes: list[Any]) -> list[tuple[str, int, int]]:
    """Subscription, and from where to where it counts."""
    return [(body["subscription"], body["from"], body["to"]) for _, body in pushes]


class CallerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.feeds = self.house.feeds
        self.visitor = self.house.visitor()

    def watch(self, visitor: Visitor | None = None) -> FakeFeed:
        """A subscription of a visitor."""
        answer = (visitor or self.visitor).answer("watch")
        self.assertEqual(answer["status"], "success")
        return self.house.feed

    def pause(self, visitor: Visitor | None = None) -> None:
        channel = (visitor or self.visitor).channel
        assert channel.connection is not None
        channel.connection.pause(channel)


class QuotaTests(CallerCase):
    def test_of_one_client(self) -> None:
        """The subscriptions of all its sockets together."""
        quota = self.house.door._subscriptions = Quota(2, "subscriptions")
        first, second = self.house.visitor(), self.house.visitor()
        self.watch(first)
        self.watch(second)
        refused = second.answer("watch")
        self.assertEqual((refused["status"], refused["code"]), ("fail", "too_many"))
        self.assertEqual(self.house.door.refusals, {"too_many": 1})
        first.leave()
        self.watch(second)
        second.leave()
        self.assertEqual(len(quota), 0)


class PushTests(CallerCase):
    def test_answer_then_pushes(self) -> None:
        self.visitor.call("watch", t_id="1", ack=5)
        answer = {"subscription": "1", "status": "success", "rev": 7, "t_id": "1"}
        self.assertEqual(self.visitor.told(), [answer, ["ack", 5, answer]])
        self.feeds.step()
        self.assertEqual(
            self.visitor.told(),
            [["v1/numbers", {"subscription": "1", "from": 7, "to": 8, "filler": ""}]],
        )
        self.feeds.wake()
        self.assertEqual(self.visitor.told(), [])

    def test_push_at_the_start(self) -> None:
        """Even if there is something at once, the answer is first."""

        def start(feed: FakeFeed, wake: Any) -> None:
            feed.wake = wake
            self.feeds.step()

        self.patch(FakeFeed, "start", start)
        self.visitor.call("watch", ack=1)
        answer, acknowledged, push = self.visitor.told()
        self.assertEqual((answer["subscription"], acknowledged[0], push[0]), ("1", "ack", "v1/numbers"))

    def test_merged_while_the_client_is_full(self) -> None:
        """Nothing is taken meanwhile: what a slow client costs is a number."""
        feed = self.watch()
        self.pause()
        for _ in range(1000):
            self.feeds.step()
        self.assertEqual(feed.taken, 0)
        self.assertEqual(self.visitor.told(), [])
        assert self.visitor.channel.connection is not None
        self.assertEqual(self.visitor.channel.connection.engine.unsent, 0)
        self.visitor.channel.drain()
        self.assertEqual(_spans(self.visitor.told()), [("1", 7, 1007)])
        self.feeds.step()
        self.assertEqual(_spans(self.visitor.told()), [("1", 1007, 1008)])

    def test_full_again_and_again(self) -> None:
        """A channel that is full after each push gets one each time it is not."""
        for _ in range(3):
            self.watch()
        self.visitor.channel.full_after = 1
        self.feeds.step()
        got = _spans(self.visitor.told())
        self.assertEqual(got, [("1", 7, 8)])
        for _ in range(2):
            self.visitor.channel.drain()
            got += _spans(self.visitor.told())
        self.assertEqual(got, [("1", 7, 8), ("2", 7, 8), ("3", 7, 8)])

    def test_answers_while_full(self) -> None:
        """They wait in their order, pushes only after them."""
        self.watch()
        self.pause()
        self.visitor.call("say", text="a")
        self.feeds.step()
        self.visitor.call("say", text="b")
        self.assertEqual(self.visitor.told(), [])
        self.visitor.channel.drain()
        first, second, push = self.visitor.told()
        self.assertEqual((first["text"], second["text"], push[1]["to"]), ("a", "b", 8))

    def test_large_pushes_inside_a_turn(self) -> None:
        """When a flood of pushes meets a channel that has become full, the rest stays in the feeds."""
        for _ in range(10):
            self.watch()
        self.pause()
        self.feeds.filler = b"x" * 500_000
        self.feeds.step()
        self.visitor.channel.full_after = 64 * 1024
        self.visitor.channel.drain()
        self.assertEqual(len(self.visitor.told()), 1)
        untaken = [feed for feed in self.feeds.feeds if not feed.taken]
        self.assertGreater(len(untaken), 4)
        for _ in range(9):
            self.visitor.channel.drain()
        self.assertEqual([s for s, _, _ in _spans(self.visitor.told())], [str(n) for n in range(2, 11)])

    def test_fair(self) -> None:
        """One that always has something more does not keep the others waiting: each wake is one push."""
        greedy, modest = self.watch(), self.watch()
        self.pause()
        self.feeds.step()
        parts = [Part(b'"from":%d,"to":0' % n, n) for n in range(4)]
        self.patch(greedy, "take", lambda: parts.pop(0))
        self.visitor.channel.drain()
        self.assertEqual([s for s, _, _ in _spans(self.visitor.told())], ["1", "2"])
        self.assertEqual(len(parts), 3)
        self.assertGreater(modest.taken, 0)

    def test_poller(self) -> None:
        """A poll that is not there is the same thing as a full channel; one poll takes all that waits."""
        stage: Stage = self.house.stage
        connection = stage.by_polling()
        stage.post(connection, "40", '42["v1",{"command":"watch"}]', '42["v1",{"command":"watch"}]')
        stage.poll(connection)
        for _ in range(5):
            self.feeds.step()
        self.assertEqual([feed.taken for feed in self.feeds.feeds], [0, 0])
        waiting = stage.poll(connection)
        first, second = waiting.packets(4)
        self.assertIn('"subscription":"1","from":7,"to":12', str(first))
        self.assertIn('"subscription":"2","from":7,"to":12', str(second))
        waiting = stage.poll(connection)
        self.assertIsNone(waiting.answer)
        self.feeds.step()
        self.assertEqual(len(waiting.packets(4)), 1)


class SharingTests(CallerCase):
    def test_frames(self) -> None:
        """Clients with the same view get the very same bytes, made once."""
        others = [self.house.visitor() for _ in range(3)]
        for visitor in (self.visitor, *others):
            self.watch(visitor)
        self.feeds.step()
        frames = [visitor.channel.frames[-1] for visitor in (self.visitor, *others)]
        self.assertEqual({id(frame) for frame in frames}, {id(frames[0])})

    def test_other_ids(self) -> None:
        """The second subscription of a client has frames of its own."""
        self.watch()
        self.watch()
        self.feeds.step()
        first, second = self.visitor.channel.frames
        self.assertNotEqual(first, second)
        self.assertEqual([s for s, _, _ in _spans(self.visitor.told())], ["1", "2"])


class EndTests(CallerCase):
    def test_unsubscribe(self) -> None:
        feed = self.watch()
        self.pause()
        self.feeds.step()
        self.visitor.call("unwatch", subscription="1")
        self.assertFalse(feed.watching)
        self.visitor.channel.drain()
        self.assertEqual(self.visitor.told(), [{"status": "success"}])
        self.assertEqual(feed.taken, 0)
        self.assertEqual(self.visitor.answer("unwatch", subscription="1")["code"], "not_found")

    def test_others_stay(self) -> None:
        first, second = self.watch(), self.watch()
        self.visitor.answer("unwatch", subscription="1")
        self.feeds.step()
        self.assertEqual(_spans(self.visitor.told()), [("2", 7, 8)])
        self.assertEqual((first.watching, second.watching), (False, True))
        self.assertEqual(self.visitor.answer("watch")["subscription"], "3")

    def test_subscriptions_of_others(self) -> None:
        self.watch()
        answer = self.house.visitor().answer("unwatch", subscription="1")
        self.assertEqual((answer["code"], answer["field"]), ("not_found", "subscription"))
        self.assertTrue(self.house.feed.watching)

    def test_closing_part(self) -> None:
        """A feed that ends says so, and is a subscription no more."""
        feed = self.watch()
        self.feeds.last = closing()
        self.feeds.step()
        self.assertEqual(
            self.visitor.told(),
            [["v1/numbers", {"subscription": "1", "closed": True, "code": "session_not_found"}]],
        )
        self.assertFalse(feed.watching)
        self.assertEqual(self.visitor.answer("unwatch", subscription="1")["code"], "not_found")

    def test_client_leaves(self) -> None:
        """Nothing stays behind, due or not."""
        first, second = self.watch(), self.watch()
        self.pause()
        self.feeds.step()
        self.visitor.leave()
        self.assertEqual((first.watching, second.watching, first.taken), (False, False, 0))
        self.feeds.step()
        self.assertEqual(self.visitor.told(), [])
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_client_leaves_while_it_subscribes(self) -> None:
        """The command is broken off, and the feed that came too late is stopped."""
        self.visitor.call("watch", name="later")
        self.visitor.leave()
        self.assertEqual(self.house.world.ended, {"later": "broken off"})
        self.assertEqual(self.feeds.feeds, [])

    def test_most_subscriptions(self) -> None:
        self.patch(caller_module, "MOST_SUBSCRIPTIONS", 2)
        self.watch()
        self.watch()
        self.assertEqual(self.visitor.answer("watch")["code"], "too_many")
        self.assertEqual((self.house.feed.watching, self.house.feed.stopped), (False, 1))
        self.visitor.answer("unwatch", subscription="2")
        self.assertEqual(self.visitor.answer("watch")["subscription"], "3")


class MistakeTests(CallerCase):
    def test_opening_that_fails(self) -> None:
        """It is answered, and nothing counts as subscribed."""
        self.feeds.error = ZeroDivisionError()
        self.assertEqual(self.visitor.answer("watch")["code"], "internal_error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.house.feed.watching, self.house.feed.stopped), (False, 1))
        self.feeds.error = None
        self.assertEqual(self.visitor.answer("watch")["subscription"], "1")

    def test_push_that_fails(self) -> None:
        """It ends its subscription; what others had is sent."""
        broken, whole = self.watch(), self.watch()

        def fail() -> Part:
            raise ZeroDivisionError

        self.patch(broken, "take", fail)
        self.pause()
        self.feeds.step()
        self.visitor.channel.drain()
        first, second = self.visitor.told()
        self.assertEqual(first[1], {"subscription": "1", "closed": True, "code": "internal_error"})
        self.assertEqual(second[1]["to"], 8)
        self.assertEqual((broken.watching, whole.watching), (False, True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
