"""
docs/bounds.rst: its figures follow from the constants, and clients that do their worst are held to them.

What is measured are Python's objects, by tracemalloc: all of a connection's, or a session's, with its share
of tables. The kernel's buffers are not among them.
"""

import gc
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import txaio.tx
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access.principals import stranger_at
from resttorrent.rest.channel import MOST_HEADERS, TRAILERS, DoorChannel
from resttorrent.rest.crowd import PER_ADDRESS
from resttorrent.rest.crowd import Limits as CrowdLimits
from resttorrent.rest.request import STRANGERS_BODY
from resttorrent.rest.site import build_site
from resttorrent.socketio import Handshake, Limits, Refusal, SocketResource, SocketServer
from resttorrent.socketio.eio_socket import PACKET_COST
from resttorrent.web.examples import build_examples, packaged_examples, pages_in
from tests.access.doors import Door, lan
from tests.reference import DOCS
from tests.rest.wire import REGISTRY, Reactor, Transport, head
from tests.socketio.stage import TIMING, Recorder
from tests.socketio.test_websocket import HEADERS
from tests.socketio.wire import PING, TEXT, masked_frame

KiB = 1024
READ = 64 * KiB
"""Bytes that the reactor reads at once, and from which a transport asks for a pause (``FileDescriptor``)."""
OBJECTS = 4 * KiB
"""Of a connection; of a session twice as much."""
WEBSOCKET = 24 * KiB
"""Autobahn's objects of one."""
HEADER = 256
"""Bytes of objects for each header, beside its text."""
TRAILER = 24
"""Bytes of objects for each byte of trailers."""
ANSWER = 32 * KiB
"""The longest answer that a stranger gets, with its head."""

LINE = DoorChannel.MAX_LENGTH
KEPT_HEAD = DoorChannel.totalHeadersSize + MOST_HEADERS * HEADER
GUEST = Limits().guest
BOUNDS = {
    "silent": OBJECTS,
    "in a head": OBJECTS + KEPT_HEAD + LINE,
    "in a body": OBJECTS + KEPT_HEAD + LINE + STRANGERS_BODY * 9 // 8 + TRAILERS * TRAILER,
    "answered, not reading": OBJECTS
    + KEPT_HEAD
    + DoorChannel._optimisticEagerReadSize
    + READ
    + READ
    + ANSWER,
    "polling session": 2 * OBJECTS + KEPT_HEAD + GUEST,
    "WebSocket before CONNECT": 2 * OBJECTS + WEBSOCKET + KEPT_HEAD + GUEST * 9 // 8 + GUEST + READ + GUEST,
}
PER_STRANGER = PER_ADDRESS * max(BOUNDS["in a body"], BOUNDS["answered, not reading"])
GUESTS = Limits().guests_per_address * (BOUNDS["polling session"] + BOUNDS["WebSocket before CONNECT"])


class DocumentTests(SynchronousTestCase):
    def test_figures(self) -> None:
        text = (DOCS / "bounds.rst").read_text()
        for state, size in BOUNDS.items():
            row = re.search(rf"^{re.escape(state)}  +([\d,]+)  ", text, re.MULTILINE)
            assert row is not None, state
            self.assertEqual(row[1], f"{size:,}", state)
        largest = max(BOUNDS["in a body"], BOUNDS["answered, not reading"])
        for sentence in (
            f"{PER_ADDRESS} × {largest:,} = {PER_STRANGER:,}",  # noqa: RUF001
            f"= {GUESTS:,}",
            f"{PER_STRANGER + GUESTS:,} bytes",
        ):
            self.assertIn(sentence, " ".join(text.split()))

    def test_longest_answer(self) -> None:
        pages = pages_in(packaged_examples())
        self.assertLess(max(len(page.content) for page in pages.values()) + KiB, ANSWER)


class Sink(Transport):
    """A transport as TCP's, to a client that reads nothing; how much waits is ``unsent``."""

    most = READ
    is_reading = True

    def write(self, data: bytes) -> None:
        self._written(len(data))

    def writeSequence(self, data: Any) -> None:
        self._written(sum(map(len, data)))

    def _written(self, size: int) -> None:
        self.unsent += size
        if self.unsent > self.most and self.producer is not None:
            self.producer.pauseProducing()

    def pauseProducing(self) -> None:
        self.is_reading = False

    def resumeProducing(self) -> None:
        self.is_reading = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As TCP's."""

    def abortConnection(self) -> None:
        self.disconnecting = True


class Closed(Recorder):
    """Nobody is let in."""

    def admit(self, handshake: Handshake, namespace: str, auth: Any) -> None:
        raise Refusal("no")


class BoundCase(SynchronousTestCase):
    _txaio: Any = txaio.tx.config

    def setUp(self) -> None:
        self.clock = Clock()
        # Autobahn's own timers
        loop, self._txaio.loop = self._txaio.loop, self.clock
        self.addCleanup(setattr, self._txaio, "loop", loop)
        self.server = SocketServer(Closed(), clock=self.clock, timing=TIMING)
        reactor: Any = Reactor()
        self.site = build_site(
            REGISTRY,
            lambda principal: principal,
            judge=lambda facts: stranger_at(facts.peer),
            reactor=reactor,
            limits=CrowdLimits(per_address=PER_ADDRESS, in_all=PER_ADDRESS),
            beside={
                b"socket.io": SocketResource(self.server, reactor=self.clock),
                b"examples": build_examples(),
            },
        )

    def connect(self) -> Door:
        """A stranger's connection; it takes nothing of what is written."""
        door = Door.__new__(Door)
        door.transport = Sink(hostAddress=lan(1), peerAddress=lan(2))
        protocol: Any = self.site.buildProtocol(lan(2))
        door.protocol = protocol
        door.transport.protocol = protocol  # type: ignore[attr-defined]
        protocol.makeConnection(door.transport)
        return door

    def feed(self, door: Door, raw: bytes, piece: int = READ) -> None:
        """Send it, as far as it is read."""
        transport: Any = door.transport
        for start in range(0, len(raw), piece):
            if not transport.is_reading or transport.disconnecting:
                return
            transport.protocol.dataReceived(raw[start : start + piece])
            self.assertLess(transport.unsent, 16 * READ, "it is answered, and not read")

    def session(self, raw: bytes | None = None) -> str:
        """A polling session's target."""
        door = self.connect()
        opening = "/socket.io/?EIO=4&transport=polling"
        before = set(self.server._connections)
        self.feed(door, raw or head("GET", opening))
        door.lose()
        (sid,) = set(self.server._connections) - before
        return f"{opening}&sid={sid}"

    def assertHeld(self, state: str, make: Callable[[], Door], count: int = 2) -> None:
        """What strangers in this state hold, each, is within the bound; and they are in it."""
        # what is shared is there when it is measured
        kept = [make()]
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            kept += [make() for _ in range(count)]
            gc.collect()
            held = (tracemalloc.get_traced_memory()[0] - before) / count
        finally:
            tracemalloc.stop()
        unsent = max(door.transport.unsent for door in kept)
        for door in kept:
            self.assertFalse(door.transport.disconnecting, state)
        self.assertLessEqual(held + unsent, BOUNDS[state], state)


def wide_head(method: str, target: str, *headers: str) -> bytes:
    """A head of as many headers as there may be, which is as long as it may be."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 192.0.2.1:8080", *headers]
    room = DoorChannel.totalHeadersSize - sum(map(len, lines))
    count = MOST_HEADERS - len(lines) + 1
    each = room // count
    lines += [f"{n:03}: ".ljust(each, "x") for n in range(count)]
    return "\r\n".join((*lines, "", "")).encode()


class ConnectionTests(BoundCase):
    def test_silent(self) -> None:
        self.assertHeld("silent", self.connect, 100)

    def test_in_a_head(self) -> None:
        """As many headers as may be, then a line without an end."""

        def make() -> Door:
            door = self.connect()
            whole = wide_head("GET", "/v1/things")
            self.feed(door, whole[: -4 - 16])
            self.feed(door, b"ab" * (LINE // 2 - 100), 100)
            return door

        self.assertHeld("in a head", make)

    def test_head_without_end(self) -> None:
        for raw in (b"a" * (LINE + 3), b"GET /v1 HTTP/1.1\r\n" + b"X: y\r\n" * (MOST_HEADERS + 3)):
            door = self.connect()
            self.feed(door, raw)
            self.assertTrue(door.transport.disconnecting)

    def test_long_names(self) -> None:
        """Twisted keeps the names of headers for good."""
        door = self.connect()
        self.feed(door, b"GET /v1 HTTP/1.1\r\nHost: a\r\n" + b"x" * 300 + b": y\r\n\r\n")
        self.assertTrue(door.transport.disconnecting)

    def login(self, *headers: str) -> Door:
        """In a body that is read: a made-up command is let be anybody's."""
        self.site.door._scopes["create_thing"] = "public"
        door = self.connect()
        self.feed(door, wide_head("POST", "/v1/things", *headers))
        return door

    def test_in_a_body(self) -> None:
        def make() -> Door:
            door = self.login(f"Content-Length: {STRANGERS_BODY}")
            self.feed(door, b"ab" * (STRANGERS_BODY // 2 - 1), 50)
            return door

        self.assertHeld("in a body", make)

    def test_in_chunks_and_trailers(self) -> None:
        def make() -> Door:
            door = self.login("Transfer-Encoding: chunked")
            self.feed(door, b"10\r\n0123456789abcdef\r\n" * (STRANGERS_BODY // 16) + b"0\r\n")
            self.feed(door, b"a\r\n" * (TRAILERS // 3 - 2))
            return door

        self.assertHeld("in a body", make)

    def test_trailers_without_end(self) -> None:
        door = self.login("Transfer-Encoding: chunked")
        self.feed(door, b"0\r\n" + b"a\r\n" * TRAILERS)
        self.assertTrue(door.transport.disconnecting)

    def test_pipelined_answers_that_nobody_reads(self) -> None:
        """A million requests: a page of 17 kB, or 401; what is not read stays in the kernel."""
        for target in ("/examples/live.html", "/v1/things", "/examples/nothing"):

            def make(target: str = target) -> Door:
                door = self.connect()
                wide = wide_head("GET", target)
                small = head("GET", target)
                self.feed(door, wide + small * (10**6 * 40 // len(small)))
                transport: Any = door.transport
                self.assertFalse(transport.is_reading)
                self.assertGreater(transport.unsent, READ)
                return door

            self.assertHeld("answered, not reading", make)

    def test_they_are_answered_when_they_are_read(self) -> None:
        door = self.connect()
        transport: Any = door.transport
        small = head("GET", "/examples/live.html")
        self.feed(door, small * 100)
        waves = answered = 0
        while transport.unsent:
            waves += 1
            self.assertLess(transport.unsent, READ + ANSWER)
            answered += transport.unsent
            transport.drain()
        self.assertTrue(transport.is_reading)
        self.assertGreater(waves, 10)
        self.assertGreater(answered, 100 * 16_000)

    def test_what_comes_behind_a_request_that_waits(self) -> None:
        """A byte at a time, behind a poll."""

        def make() -> Door:
            door = self.connect()
            self.feed(door, head("GET", self.session()))
            self.feed(door, b"ab" * READ, 2)
            return door

        self.assertHeld("answered, not reading", make)


class GuestTests(BoundCase):
    def test_polling_session(self) -> None:
        """A wide head at the handshake, and refusals that are not fetched; the connection is gone."""
        refused = b"\x1e".join([b"40/x"] * (GUEST // (PACKET_COST + 64)))

        def make() -> Door:
            target = self.session(wide_head("GET", "/socket.io/?EIO=4&transport=polling"))
            door = self.connect()
            self.feed(door, head("POST", target, length=len(refused)) + refused)
            door.lose()
            door.transport = Sink()
            door.protocol = None
            return door

        self.assertHeld("polling session", make)
        self.assertEqual(len(self.server), 3)

    def test_session_of_which_more_is_asked(self) -> None:
        for eio, packet in (("4", b"40/x"), ("3", b"2" + b"x" * 1000)):
            door = self.connect()
            self.feed(door, head("GET", f"/socket.io/?EIO={eio}&transport=polling"))
            sid = next(iter(self.server._connections))
            body = b"\x1e".join([packet] * 200) if eio == "4" else b"1001:" + packet
            for _ in range(20):
                post = self.connect()
                target = f"/socket.io/?EIO={eio}&transport=polling&sid={sid}"
                self.feed(post, head("POST", target, length=len(body)) + body)
                post.lose()
            self.assertEqual(len(self.server), 0, eio)
            door.lose()
        self.assertEqual(self.server.refusals["unread"], 2)

    def websocket(self, eio: int = 4) -> Door:
        door = self.connect()
        lines = [f"{name}: {value}" for name, value in HEADERS.items()]
        self.feed(door, wide_head("GET", f"/socket.io/?EIO={eio}&transport=websocket", *lines))
        return door

    def test_websocket(self) -> None:
        """A message of two bytes at a time, or of frames of two bytes; pings; nothing read."""

        def dripping() -> Door:
            door = self.websocket()
            frame = masked_frame(TEXT, b"4" * (GUEST - 1))
            self.feed(door, frame[:-2], 2)
            return door

        def in_pieces() -> Door:
            door = self.websocket()
            self.feed(door, masked_frame(TEXT, b"44", final=False))
            self.feed(door, masked_frame(0, b"44", final=False) * 2_000)
            return door

        def pinging() -> Door:
            door = self.websocket()
            self.feed(door, masked_frame(TEXT, b"4" * (GUEST - 1), final=False))
            self.feed(door, masked_frame(PING, b"x" * 125) * 1_500)
            return door

        for make in (dripping, in_pieces, pinging):
            self.assertHeld("WebSocket before CONNECT", make)

    def test_frames_of_nothing(self) -> None:
        """A message of any number of them keeps what one keeps."""
        door = self.websocket()
        nothing = masked_frame(0, b"", final=False)
        self.feed(door, masked_frame(TEXT, b"44", final=False) + nothing * 100)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            self.feed(door, nothing * 2_000)
            gc.collect()
            self.assertLess(tracemalloc.get_traced_memory()[0] - before, 8_000)
        finally:
            tracemalloc.stop()

    def test_websocket_that_asks_and_does_not_read(self) -> None:
        """It is closed, when as much waits as may."""
        for eio, packet, count in ((4, b"40/x", 4_000), (3, b"2" + b"x" * 10_000, 100)):
            door = self.websocket(eio)
            transport: Any = door.transport
            self.feed(door, masked_frame(TEXT, packet) * count)
            self.assertEqual(len(self.server), 0, eio)
            self.assertLess(transport.unsent, READ + 2 * GUEST)

    def test_message_that_is_too_long(self) -> None:
        for raw in (
            masked_frame(TEXT, b"4" * (GUEST + 1)),
            masked_frame(TEXT, b"4" * (GUEST - 1), final=False) + masked_frame(0, b"44"),
        ):
            door = self.websocket()
            self.feed(door, raw)
            self.assertTrue(door.transport.disconnecting or not len(self.server))
            door.transport.protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[attr-defined]
        self.assertEqual((self.server.refusals["too_long"], len(self.server)), (2, 0))

    def test_as_many_as_may_be(self) -> None:
        most = Limits().guests_per_address
        for number in range(most + 5):
            door = self.websocket()
            self.assertEqual(door.transport.disconnecting, number >= most)
        self.assertEqual((len(self.server.engines.guests), len(self.server.engines.channels)), (most, most))
