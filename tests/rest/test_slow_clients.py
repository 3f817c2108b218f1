"""Clients that send or read slowly, or are many."""

import json
import resource
from ipaddress import ip_network
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from resttorrent.errors import Busy, TooMany
from resttorrent.rest.channel import LINGER
from resttorrent.rest.crowd import (
    IN_ALL,
    MOST_TURNED_AWAY,
    PATIENCE,
    Crowd,
    Limits,
    TurnedAway,
    possible_limits,
)
from resttorrent.rest.deadlines import BODY, BODY_RATE, FAREWELL, HEAD, IDLE, STALL, Progress, unsent
from resttorrent.rest.site import DoorSite
from tests.access.doors import Door

from .feeding import NUMBERS, EventReader, Feeds
from .wire import Wire, World, head

PUSH = 50_000
MOST_TURNS = 20_000
STILL = 50
"""Turns without a write, after which it has come to a halt."""


class Client(Protocol):
    """Reads events, in HTTP/1.0 so that there are no chunks; stops when told to."""

    def __init__(self) -> None:
        self.reader = EventReader()
        self.steps: list[tuple[int, int]] = []
        self.opened: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self._head = b""

    def connectionMade(self) -> None:
        request = head("GET", "/v1/numbers").replace(b"HTTP/1.1", b"HTTP/1.0")
        self.transport.write(request)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        if not self._head.endswith(b"\r\n\r\n"):
            head, separator, data = (self._head + data).partition(b"\r\n\r\n")
            self._head = head + separator
        for event in self.reader.feed(data):
            pushed = json.loads(event.data)
            if "status" in pushed:
                self.opened.callback(None)
            else:
                self.steps.append((pushed["from"], pushed["to"]))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class SlowClientTests(TestCase):
    async def test_stops_reading_and_goes_on(self) -> None:
        from twisted.internet import reactor

        loop: Any = reactor
        feeds = Feeds()
        world = World(registry=NUMBERS, context=feeds)
        port = loop.listenTCP(0, world.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = TCP4ClientEndpoint(loop, "127.0.0.1", port.getHost().port)
        client = await connectProtocol(endpoint, Client())
        transport: Any = client.transport
        self.addCleanup(lambda: client.lost)
        self.addCleanup(transport.abortConnection)
        await client.opened
        transport.pauseProducing()
        feeds.filler = b"x" * PUSH

        # until the system's buffers are full, and ours
        turns = still = 0
        while still < STILL:
            turns += 1
            self.assertLess(turns, MOST_TURNS)
            cursor = feeds.feed.cursor
            feeds.step()
            await deferLater(loop, 0)
            still = still + 1 if feeds.feed.cursor == cursor else 0
        [channel] = [c for c in world.site.connections if c is not world.wire.protocol]
        lower: Any = channel.transport
        # the system takes a little more whenever it likes
        loop.removeWriter(lower)
        stuck, taken = feeds.feed.cursor, feeds.feed.taken
        for _ in range(1000):
            feeds.step()
        await deferLater(loop, 0)
        self.assertEqual((feeds.feed.cursor, feeds.feed.taken), (stuck, taken))
        self.assertLess(len(lower.dataBuffer) + lower._tempDataLen, 64 * 1024 + PUSH + 1024)

        loop.addWriter(lower)
        transport.resumeProducing()
        while not client.steps or client.steps[-1][1] != feeds.count:
            await deferLater(loop, 0)
        # none lost, none twice, and what was missed in one piece
        self.assertEqual(client.steps[0][0], 7)
        for (_, last), (first, _) in zip(client.steps, client.steps[1:], strict=False):
            self.assertEqual(last, first)
        self.assertEqual(client.steps[-1], (stuck, feeds.count))


JSON = {"Content-Type": "application/json"}


class SlowlorisTests(SynchronousTestCase):
    """Threat table, *Slowloris*: what drips is cut, however steadily it drips."""

    def setUp(self) -> None:
        self.world = World()
        self.wire = self.world.wire
        self.advance = self.world.reactor.advance

    def drip(self, raw: bytes, seconds: float, every: float = 0.5) -> float:
        """Send a byte at a time; how long that went well."""
        passed = 0.0
        for n in range(int(seconds / every)):
            if self.wire.transport.disconnecting:
                break
            self.wire.send(raw[n : n + 1] or b"x")
            self.advance(every)
            passed += every
        return passed

    def test_head(self) -> None:
        lasted = self.drip(head("GET", "/v1/things")[:-2] + b"X: " + b"x" * 1000, 120)
        self.assertTrue(HEAD <= lasted <= HEAD + 1.5, lasted)
        self.assertEqual(self.world.site.refusals["slow"], 1)

    def test_request_line(self) -> None:
        self.assertLessEqual(self.drip(b"G" * 1000, 120), HEAD + 1.5)

    def test_empty_lines_first(self) -> None:
        self.wire.send(b"\r\n")
        self.assertLessEqual(self.drip(b"G" * 1000, 120), HEAD + 1.5)

    def test_head_of_a_later_request(self) -> None:
        self.wire.ask("GET", "/v1/things")
        self.advance(IDLE - 2)
        lasted = self.drip(b"GET /" + b"x" * 1000, 120)
        self.assertTrue(HEAD <= lasted <= HEAD + 1.5, lasted)

    def test_head_that_came_behind_another_request(self) -> None:
        self.wire.send(head("GET", "/v1/wait") + b"GET /")
        self.advance(1000)
        self.world.context.held[0].callback(None)
        self.assertFalse(self.wire.transport.disconnecting)
        self.assertLessEqual(self.drip(b"x" * 1000, 120), HEAD + 1.5)

    def test_body(self) -> None:
        self.wire.send(head("POST", "/v1/things", JSON, 1000))
        lasted = self.drip(b" " * 1000, 120)
        self.assertTrue(BODY <= lasted <= BODY + 1.5, lasted)
        self.assertEqual(self.world.context.called, [])

    def test_large_body_has_more_time(self) -> None:
        size = 20 * BODY_RATE
        self.wire.send(head("POST", "/v1/things", JSON, size))
        lasted = self.drip(b" " * 1000, 120)
        self.assertTrue(BODY + 20 <= lasted <= BODY + 21.5, lasted)

    def test_chunks(self) -> None:
        self.wire.send(head("POST", "/v1/things", {**JSON, "Transfer-Encoding": "chunked"}))
        self.assertLessEqual(self.drip(b"1\r\n \r\n" * 1000, 120), BODY + 1.5)

    def test_chunks_gain_time_by_what_came(self) -> None:
        self.wire.send(head("POST", "/v1/things", {**JSON, "Transfer-Encoding": "chunked"}))
        chunk = b"%x\r\n" % BODY_RATE + b" " * BODY_RATE + b"\r\n"
        for _ in range(30):
            self.wire.send(chunk)
            self.advance(1)
        self.assertFalse(self.wire.transport.disconnecting)
        self.wire.send(b"2\r\n{}\r\n0\r\n\r\n")
        self.assertEqual(self.wire.answer().status, 201)

    def test_refused_body(self) -> None:
        self.wire.send(head("POST", "/v1/things", {**JSON, "Origin": "null"}, 1000))
        self.assertLessEqual(self.drip(b" " * 1000, 120), LINGER + 0.5)

    def test_silence(self) -> None:
        self.advance(IDLE + 1)
        self.assertTrue(self.wire.transport.disconnecting)

    def test_closed_connection_that_stays(self) -> None:
        self.advance(IDLE + 1)
        self.assertFalse(self.wire.transport.disconnected)
        self.advance(FAREWELL + 1)
        self.assertTrue(self.wire.transport.disconnected)

    def test_no_timer_is_left(self) -> None:
        self.wire.send(b"GET /")
        self.wire.lose()
        self.assertEqual(self.world.reactor.getDelayedCalls(), [])


class GreedyClientTests(SynchronousTestCase):
    """Threat table, *Greedy client*: who does not read its answer is broken off."""

    def setUp(self) -> None:
        self.world = World()
        self.wire = self.world.wire
        self.advance = self.world.reactor.advance
        self.transport: Any = self.wire.transport

    def leave_unread(self, size: int) -> None:
        """What a TCP transport would hold, if the system's buffers were full."""
        self.transport.dataBuffer = b"x" * size

    def test_never_reads(self) -> None:
        self.wire.ask("GET", "/v1/things")
        self.leave_unread(1000)
        self.advance(1)
        self.advance(STALL - 1)
        self.assertFalse(self.transport.disconnected)
        self.advance(1)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.world.site.refusals["stalled"], 1)

    def test_while_a_command_runs(self) -> None:
        self.wire.ask("GET", "/v1/things")
        self.wire.send(head("GET", "/v1/wait"))
        self.leave_unread(1000)
        self.advance(1)
        self.advance(STALL)
        self.assertTrue(self.transport.disconnected)

    def test_after_the_last_answer(self) -> None:
        self.wire.ask("GET", "/v1/things", {"Connection": "close"})
        self.leave_unread(1000)
        self.advance(1)
        self.advance(STALL)
        self.assertTrue(self.transport.disconnected)

    def test_reads_slowly(self) -> None:
        self.wire.ask("GET", "/v1/things")
        for left in range(1000, 0, -10):
            self.leave_unread(left)
            self.advance(10)
            self.assertFalse(self.transport.disconnecting)
        self.leave_unread(0)
        self.advance(IDLE - 2)
        self.assertFalse(self.transport.disconnecting)
        self.advance(3)
        self.assertTrue(self.transport.disconnecting)

    def test_more_that_is_written_proves_nothing(self) -> None:
        progress = Progress(10, 0)
        self.assertFalse(progress.stalled(20, STALL - 1))
        self.assertTrue(progress.stalled(30, STALL))
        self.assertFalse(progress.stalled(29, STALL + 1))

    def test_asks_for_much_and_reads_nothing(self) -> None:
        """In 64 KiB there is room for a thousand requests, but not for their answers."""
        self.transport.most = 64 * 1024
        self.world.context.rows = 2000
        one = len(self.wire.ask("GET", "/v1/things").body)
        self.transport.drain()
        self.wire.send(head("GET", "/v1/things") * 1000)
        self.assertLess(self.transport.peak, self.transport.most + one + 1000)
        whole = self.wire.received().count(b"HTTP/1.1 200")
        while self.transport.unsent:
            self.transport.drain()
            whole += self.wire.received().count(b"HTTP/1.1 200")
        self.assertEqual(whole, 1000)
        self.assertLess(self.transport.peak, self.transport.most + one + 1000)
        # and it is heard as before
        self.assertEqual(self.wire.ask("GET", "/v1/things").status, 200)

    def test_goes_on_sending_and_reads_nothing(self) -> None:
        for target in ("/v1/things", "/v1/wait"):
            wire = Wire(self.world.site)
            transport: Any = wire.transport
            wire.send(head("GET", target))
            transport.producer.pauseProducing()
            for _ in range(10):
                if transport.producerState != "producing":
                    break
                wire.send(b"GET / HTTP/1.1\r\n" * 600)
            else:
                self.fail("it is read on and on")

    def test_lost_in_between(self) -> None:
        self.transport.most = 100
        self.wire.send(head("GET", "/v1/things") * 3)
        self.wire.lose()
        self.assertEqual(self.wire.received().count(b"HTTP/1.1 200"), 1)
        self.assertEqual(self.world.reactor.getDelayedCalls(), [])

    def test_what_waits_below_tls_counts(self) -> None:
        class Lower:
            dataBuffer, offset, _tempDataLen = b"12345", 2, 10

        class Upper:
            transport = Lower()
            _appSendBuffer = (b"abc", b"d")

        self.assertEqual(unsent(Upper()), 3 + 10 + 4)


class CrowdTests(SynchronousTestCase):
    """Threat table, *Slowloris*: caps on connections, from one address and in all."""

    def setUp(self) -> None:
        self.world = World()
        self.world.site.crowd.limits = Limits(per_address=2, in_all=5)
        self.wires: list[Door] = []

    def connect(self, peer: Any) -> Door:
        wire = Door(self.world.site, peer=peer)
        self.wires.append(wire)
        return wire

    def assertTurnedAway(self, peer: Any, status: int, code: str) -> None:
        wire = self.connect(peer)
        self.assertIsInstance(wire.protocol, TurnedAway)
        wire.send(head("GET", "/v1/things"))
        answer = wire.answer()
        self.assertEqual((answer.status, answer.json["code"]), (status, code))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertTrue(wire.transport.disconnecting)
        wire.lose()

    def test_from_one_address(self) -> None:
        peer = IPv4Address("TCP", "192.0.2.9", 1000)
        first = self.connect(peer)
        self.connect(peer)
        self.assertTurnedAway(peer, 429, "too_many")
        self.assertEqual(self.world.site.refusals[429], 1)
        self.assertEqual(
            self.connect(IPv4Address("TCP", "192.0.2.10", 1)).ask("GET", "/v1/things").status, 200
        )
        first.lose()
        self.assertEqual(self.connect(peer).ask("GET", "/v1/things").status, 200)

    def test_from_one_network(self) -> None:
        for last in (1, 2):
            self.connect(IPv6Address("TCP", f"2001:db8::{last}", 1))
        self.assertTurnedAway(IPv6Address("TCP", "2001:db8::3", 1), 429, "too_many")
        self.connect(IPv6Address("TCP", "2001:db8:0:1::1", 1)).ask("GET", "/v1/things")

    def test_trusted_proxy(self) -> None:
        """It has everybody behind it, and is counted in all alone."""
        crowd = Crowd(Limits(per_address=1, in_all=3), [ip_network("192.0.2.7/32")])
        proxy, other = (IPv4Address("TCP", f"192.0.2.{n}", 1) for n in (7, 8))
        for address in (proxy, proxy, other):
            self.assertIsNone(crowd.refusal(address))
            crowd.enter(address)
        self.assertIsInstance(crowd.refusal(proxy), Busy)
        crowd.leave(proxy)
        self.assertIsInstance(crowd.refusal(other), TooMany)
        self.assertIsNone(crowd.refusal(proxy))

    def test_in_all(self) -> None:
        # the world has one
        for peer in [IPv4Address("TCP", "127.0.0.1", 1)] * 3 + [UNIXAddress(None)]:
            self.assertEqual(self.connect(peer).ask("GET", "/v1/things").status, 200)
        for other in (
            UNIXAddress(None),
            IPv4Address("TCP", "127.0.0.1", 1),
            IPv4Address("TCP", "192.0.2.1", 1),
        ):
            self.assertTurnedAway(other, 503, "busy")

    def test_silent_ones_are_told_soon(self) -> None:
        self.world.site.crowd.limits = Limits(per_address=0, in_all=5)
        wire = self.connect(IPv4Address("TCP", "192.0.2.9", 1))
        self.assertEqual(wire.received(), b"")
        self.world.reactor.advance(PATIENCE)
        self.assertEqual(wire.answer().status, 429)
        self.assertTrue(wire.transport.disconnecting)

    def test_not_too_many_are_told(self) -> None:
        self.world.site.crowd.limits = Limits(per_address=0, in_all=5)
        peer = IPv4Address("TCP", "192.0.2.9", 1)
        for _ in range(MOST_TURNED_AWAY):
            self.connect(peer)
        self.assertIsNone(self.world.site.buildProtocol(peer))
        self.wires[0].lose()
        self.assertIsNotNone(self.world.site.buildProtocol(peer))

    def test_nothing_is_counted_twice_or_kept(self) -> None:
        crowd = self.world.site.crowd
        peer = IPv4Address("TCP", "192.0.2.9", 1)
        for _ in range(10):
            wire = self.connect(peer)
            wire.send(head("GET", "/v1/things", {"Connection": "close"}))
            wire.lose()
        self.assertEqual((crowd._in_all, dict(crowd._from)), (1, {}))
        self.assertEqual(len(self.world.site.watch), 1)

    def test_descriptors_are_left_to_others(self) -> None:
        for soft, in_all in ((1024, 768), (65_536, IN_ALL), (300, 150), (resource.RLIM_INFINITY, IN_ALL)):
            self.patch(resource, "getrlimit", lambda what, soft=soft: (soft, soft))
            self.assertEqual(possible_limits().in_all, in_all, soft)
        self.assertIsInstance(self.world.site, DoorSite)
