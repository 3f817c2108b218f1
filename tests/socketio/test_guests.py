"""Clients that are in no namespace, so that nobody knows who they are; and what all together may hold."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio import Handshake, Limits, Refusal, Refused
from resttorrent.socketio.eio_payload import BINARY as OCTETS

from .stage import CONNECT, FakeChannel, Recorder, Stage
from .test_polling import OPEN, SiteCase
from .test_websocket import WebSocketCase
from .wire import BINARY, TEXT, masked_frame

GUEST = 1000


class GuestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stage = Stage(limits=Limits(guest=GUEST, guests=4, guests_per_address=2))
        self.server = self.stage.server
        self.engines = self.server.engines

    def handshake(self, address: str) -> Handshake:
        return Handshake({"EIO": "4", "transport": "polling"}, {}, address)

    def test_joining_and_leaving(self) -> None:
        """Who has joined is none, who has left is one again, with the limits of one."""
        channel = self.stage.by_channel()
        self.assertEqual(len(self.engines.guests), 1)
        channel.send("40")
        self.assertEqual((len(self.engines.guests), channel.settled), (0, True))
        channel.send("41")
        assert channel.connection is not None
        self.assertEqual((len(self.engines.guests), channel.connection.engine.joined), (1, False))
        self.stage.clock.advance(CONNECT)
        self.assertEqual((len(self.engines.guests), len(self.server)), (0, 0))
        self.assertEqual(self.server.refusals, {"not_joined": 1})

    def test_put_out_of_the_namespace(self) -> None:
        channel = self.stage.by_channel()
        channel.send("40")
        recorder: Any = self.stage.application
        recorder.sockets[0].disconnect()
        self.assertEqual(len(self.engines.guests), 1)
        self.stage.clock.advance(CONNECT)
        self.assertEqual(len(self.server), 0)

    def test_refused_namespace(self) -> None:
        channel = self.stage.by_channel()
        channel.send("40/random")
        self.assertEqual((len(self.engines.guests), channel.settled), (1, False))

    def test_from_one_address_and_in_all(self) -> None:
        for address in ("a", "a"):
            self.server.open(self.handshake(address))
        with self.assertRaises(Refused) as raised:
            self.server.check(self.handshake("a"), method="GET", websocket=False)
        self.assertEqual(raised.exception.status, 429)
        for address in ("b", "b"):
            self.server.open(self.handshake(address))
        with self.assertRaises(Refused):
            self.server.open(self.handshake("c"))
        self.assertEqual(self.server.refusals, {"429": 1})

    def test_those_who_joined_leave_room(self) -> None:
        for _ in range(10):
            self.stage.by_channel().send("40")
        self.assertEqual((len(self.server), len(self.engines.guests)), (10, 0))

    def test_nobodys_address(self) -> None:
        """An empty one counts in all alone."""
        self.server.address_of = lambda handshake: ""
        for _ in range(4):
            self.server.open(self.handshake("a"))
        with self.assertRaises(Refused):
            self.server.open(self.handshake("b"))

    def test_what_waits(self) -> None:
        """Refusals that a guest does not fetch; each packet costs more than its bytes."""
        connection = self.stage.by_polling()
        for number in range(3):
            self.stage.post(connection, "40/x")
            self.assertFalse(connection.engine.closed, number)
        self.stage.post(connection, "40/x")
        self.assertTrue(connection.engine.closed)
        self.assertEqual(self.server.refusals, {"unread": 1})

    def test_pings_of_old_clients(self) -> None:
        """They are answered with what they say: a client that does not read gets no more."""
        stage = Stage(Recorder(), eio=3)
        connection = stage.by_polling()
        self.assertTrue(connection.engine.joined)
        body = stage.body("2" + "x" * 900_000)
        for _ in range(100):
            if connection.engine.closed:
                break
            connection.begin_post()
            connection.post(body, binary=False)
        self.assertTrue(connection.engine.closed)
        self.assertEqual(stage.server.engines.held.total, 0)

    def test_no_attachments(self) -> None:
        channel = self.stage.by_channel()
        channel.send('451-["x",{"_placeholder":true,"num":0}]')
        self.assertEqual((len(self.server), channel.dropped), (0, 1))


class HeldTests(SynchronousTestCase):
    """All together may hold so much; then who holds the most goes."""

    def setUp(self) -> None:
        self.stage = Stage(limits=Limits(held=10_000))
        self.held = self.stage.server.engines.held

    def joined(self) -> FakeChannel:
        channel = self.stage.by_channel()
        channel.send("40")
        return channel

    def assertPutOut(self, most: FakeChannel, *others: FakeChannel) -> None:
        self.assertEqual(most.dropped, 1)
        self.assertEqual([channel.dropped for channel in others], [0] * len(others))
        self.assertEqual(self.stage.server.refusals, {"held": 1})

    def end(self, *channels: FakeChannel) -> None:
        for channel in channels:
            assert channel.connection is not None
            channel.connection.lose_channel(channel)
        self.assertEqual((self.held.total, len(self.stage.server)), (0, 0))

    def test_attachments(self) -> None:
        small, big = self.joined(), self.joined()
        event = '452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        for channel, size in ((big, 8_000), (small, 1_900)):
            channel.send(event, b"x" * size)
        self.assertEqual(self.held.total, 9_900)
        last = self.joined()
        last.send(event, b"x" * 200)
        self.assertPutOut(big, small, last)
        self.assertEqual(self.held.total, 2_100)
        small.send(b"x")
        self.assertEqual(self.held.total, 200)
        self.end(small, last)

    def test_unsent(self) -> None:
        small, big = self.joined(), self.joined()
        sockets = self.stage.application.sockets  # type: ignore[attr-defined]
        for channel, socket, size in ((big, sockets[1], 9_000), (small, sockets[0], 2_000)):
            assert channel.connection is not None
            channel.connection.pause(channel)
            socket.emit("x", "y" * size)
        self.assertPutOut(big, small)
        small.drain()
        self.assertEqual(self.held.total, 0)
        self.end(small)

    def test_parts_of_messages(self) -> None:
        one, other = self.joined(), self.joined()
        assert one.connection is not None and other.connection is not None
        one.connection.receive_part(9_000)
        other.connection.receive_part(900)
        self.assertEqual(self.held.total, 9_900)
        other.connection.receive_part(1_100)
        self.assertPutOut(one, other)
        other.connection.receive_part(0)
        self.assertEqual(self.held.total, 0)
        self.end(other)


class WireTests(WebSocketCase):
    limits = Limits(max_payload=5_000, guest=GUEST)

    def test_message(self) -> None:
        """Short before somebody is known, long after, in one packet too."""
        for message in (b"4" * (GUEST + 1), b"40" + b" " * GUEST):
            browser = self.browser()
            browser.feed(masked_frame(TEXT, message))
            self.assertTrue(browser.transport.disconnected or browser.transport.disconnecting)
            browser.lose()
            self.assertEqual((len(self.server), self.recorder.heard), (0, []))
        self.assertEqual(self.server.refusals["too_long"], 2)
        browser = self.browser()
        long = masked_frame(TEXT, b'42["' + b"x" * 100_000 + b'"]')
        browser.feed(masked_frame(TEXT, b"40") + long)
        self.assertEqual(self.recorder.heard[-1][0], "event")
        browser.lose()
        self.assertEqual(len(self.server.engines.channels), 0)

    def test_parts_are_weighed(self) -> None:
        browser = self.joined()
        browser.feed(masked_frame(TEXT, b'42["' + b"x" * 6_000, final=False))
        self.assertEqual(self.server.engines.held.total, 6_004)
        browser.feed(masked_frame(0, b"x" * 2_000 + b'"]')[:1_000])
        self.assertGreater(self.server.engines.held.total, 6_800)
        browser.feed(masked_frame(0, b"x" * 2_000 + b'"]')[1_000:])
        self.assertEqual(self.recorder.heard[-1][2], "x" * 8_000)
        self.assertEqual(self.server.engines.held.total, 0)
        browser.feed(masked_frame(BINARY, b"x" * 100, final=False))
        browser.lose()
        self.assertEqual(self.server.engines.held.total, 0)

    def test_too_many(self) -> None:
        """The answer says when to try again."""
        self.server.engines.limits = Limits(guests_per_address=1)
        first = self.browser()
        browser = self.browser()
        self.assertEqual(browser.status, 429)
        self.assertIn(b"Retry-After: ", browser.head)
        browser.lose()
        first.lose()
        self.assertEqual(len(self.server.engines.channels), 0)
        self.assertEqual(self.browser().status, 101)

    def test_probes_count(self) -> None:
        """A WebSocket beside polls counts until it has taken them over, for somebody who has joined."""
        target = self.begin()
        browser = self.browser(target.replace("polling", "websocket"))
        self.assertEqual(len(self.server.engines.channels), 1)
        browser.send("2probe", "5")
        self.assertEqual(len(self.server.engines.channels), 1)
        browser.send("40")
        self.assertEqual(len(self.server.engines.channels), 0)
        browser.lose()
        self.assertEqual(len(self.server.engines.channels), 0)


class PollTests(SiteCase):
    limits = Limits(max_payload=5_000, guest=GUEST)

    def test_body(self) -> None:
        target = self.begin()
        self.assertEqual(self.ask("POST", target, body=b"40" + b" " * GUEST).status, 413)
        self.assertEqual((len(self.server), self.server.refusals["too_long"]), (0, 1))
        target = self.begin()
        self.assertEqual(self.ask("POST", target, body=b"40").status, 200)
        self.assertEqual(self.ask("POST", target, body=b'42["' + b"x" * 4_000 + b'"]').status, 200)
        self.assertEqual(self.ask("POST", target, body=b"4" * 5_001).status, 413)

    def test_nobodys_body(self) -> None:
        """For a session that there is not, no more is read than for a guest."""
        for target in (OPEN, OPEN + "&sid=unknown"):
            self.assertEqual(self.ask("POST", target, body=b"4" * (GUEST + 1)).status, 413)

    def test_refusal(self) -> None:
        """Who is not let in stays a guest, an old client too."""

        def admit(handshake: Handshake, namespace: str, auth: Any) -> None:
            raise Refusal("no")

        self.patch(self.recorder, "admit", admit)
        for eio in ("3", "4"):
            target = self.begin(OPEN.replace("EIO=4", f"EIO={eio}"))
            body = b"40" + b" " * GUEST
            headers = {"Content-Type": OCTETS.decode()}
            self.assertEqual(self.ask("POST", target, headers, body).status, 413)
