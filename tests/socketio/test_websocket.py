"""WebSockets below a site: Autobahn's half, and what the transport says, on in-memory connections."""

from typing import Any

import txaio.tx
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from resttorrent.socketio.connection import PATIENCE
from tests.rest.wire import Wire, head

from .stage import TIMEOUT, payload_of
from .test_polling import OPEN, SiteCase
from .wire import BINARY, CLOSE, TEXT, masked_frame

TARGET = OPEN.replace("polling", "websocket")
HEADERS = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def _cut(raw: bytes) -> list[bytes]:
    """Whole frames, one by one."""
    frames = []
    while raw:
        length, start = raw[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(raw[2:start], "big")
        frames.append(raw[: start + length])
        raw = raw[start + length :]
    return frames


def _become_tcp(wire: Any) -> None:
    """Give a transport what TCP's have beside what all have."""
    wire.transport.protocol = wire.protocol
    wire.transport.setTcpNoDelay = lambda enabled: None


class Browser:
    """A client's end of a WebSocket."""

    def __init__(self, wire: Wire, target: str, headers: dict[str, str]) -> None:
        self.wire = wire
        self.transport: Any = wire.transport
        _become_tcp(wire)
        wire.send(head("GET", target, headers))
        answer, _, self._rest = wire.received().partition(b"\r\n\r\n")
        self.status = int(answer.split()[1])
        self.head = answer

    def send(self, *messages: str | bytes) -> None:
        for message in messages:
            if isinstance(message, bytes):
                self.feed(masked_frame(BINARY, message))
            else:
                self.feed(masked_frame(TEXT, message.encode()))

    def feed(self, raw: bytes) -> None:
        self.transport.protocol.dataReceived(raw)

    def frames(self) -> list[bytes]:
        raw, self._rest = self._rest + self.wire.received(), b""
        return _cut(raw)

    def taken(self) -> list[str | bytes]:
        return [payload_of(frame) for frame in self.frames()]

    def lose(self) -> None:
        self.transport.protocol.connectionLost(Failure(ConnectionDone()))


class WebSocketCase(SiteCase):
    _txaio: Any = txaio.tx.config

    def setUp(self) -> None:
        super().setUp()
        # Autobahn's own timers don't run by the reactor that it is given
        self._loop, self._txaio.loop = self._txaio.loop, self.clock

    def tearDown(self) -> None:
        # no cleanup: trial runs them earlier
        try:
            super().tearDown()
        finally:
            self._txaio.loop = self._loop

    def browser(self, target: str = TARGET, **headers: str) -> Browser:
        return Browser(self.wire(), target, {**HEADERS, **headers})

    def joined(self) -> Browser:
        browser = self.browser()
        browser.send("40")
        browser.taken()
        return browser


class OpeningTests(WebSocketCase):
    def test_open(self) -> None:
        browser = self.browser()
        self.assertEqual(browser.status, 101)
        # RFC 6455 §1.3's example
        self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", browser.head)
        (greeting,) = browser.taken()
        self.assertIn('"upgrades":[]', str(greeting))
        browser.send("40")
        self.assertTrue(str(browser.taken()[0]).startswith('40{"sid"'))
        browser.lose()
        self.assertEqual((len(self.server), self.clock.getDelayedCalls()), (0, []))

    def test_handshake(self) -> None:
        target = TARGET.replace("EIO=4", "EIO=3")
        self.browser(f"{target}&token=%C3%A9", **{"X-Thing": "y"})
        handshake = self.recorder.sockets[0].handshake
        self.assertEqual((handshake.query["token"], handshake.address), ("é", "127.0.0.1"))
        self.assertEqual(handshake.headers["x-thing"], "y")

    def test_refusals(self) -> None:
        """With HTTP's answer, before there is a WebSocket."""
        for target in (OPEN, TARGET + "&sid=unknown", TARGET.replace("EIO=4", "EIO=5"), "/socket.io/"):
            self.assertEqual(self.browser(target).status, 400, target)
        self.assertEqual(self.browser(**{"Sec-WebSocket-Version": "8"}).status, 400)
        self.server.stop()
        self.assertEqual(self.browser().status, 503)

    def test_no_compression(self) -> None:
        browser = self.browser(**{"Sec-WebSocket-Extensions": "permessage-deflate"})
        self.assertNotIn(b"Extensions", browser.head)

    def test_frames_along_with_the_handshake(self) -> None:
        """What a client sends without waiting for the answer is not lost."""
        wire = self.wire()
        _become_tcp(wire)
        wire.send(head("GET", TARGET, HEADERS) + masked_frame(TEXT, b"40"))
        self.assertEqual(self.recorder.heard, [("connect", "/", None)])


class MessageTests(WebSocketCase):
    def test_there_and_back(self) -> None:
        browser = self.joined()
        browser.send('452-7["é€𝄞",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"\1", b"")
        self.assertEqual(self.recorder.heard[-1], ("event", "/", "é€𝄞", [b"\1", b""], 7))
        self.recorder.sockets[0].acknowledge(7, "é€𝄞", b"\2")
        self.assertEqual(browser.taken(), ['461-7["é€𝄞",{"_placeholder":true,"num":0}]', b"\2"])

    def test_sizes(self) -> None:
        """The three ways to write a length."""
        browser = self.joined()
        for size in (10, 125, 126, 1000, 65_535, 65_536, 200_000):
            self.recorder.sockets[0].emit("x", "x" * size)
            self.assertEqual(browser.taken(), [f'42["x","{"x" * size}"]'])

    def test_fragments(self) -> None:
        """A client may cut its messages."""
        browser = self.joined()
        browser.feed(masked_frame(TEXT, b'42["a', final=False) + masked_frame(0, b'"]'))
        self.assertEqual(self.recorder.heard[-1], ("event", "/", "a", [], None))

    def test_no_utf8(self) -> None:
        browser = self.joined()
        browser.feed(masked_frame(TEXT, b'42["\xff"]'))
        self.assertHungUp(browser)

    def test_too_long(self) -> None:
        """By its length, before it is there."""
        browser = self.joined()
        browser.feed(b"\x81\xff" + (16 * 1024 * 1024 + 1).to_bytes(8, "big") + bytes(4))
        self.assertHungUp(browser)

    def test_malformed_packet(self) -> None:
        browser = self.joined()
        browser.send("9")
        self.assertEqual(self.closed_with(browser), 1000)
        self.assertEqual(len(self.server), 0)

    def assertHungUp(self, browser: Browser) -> None:
        """Without a word: who sends such things would not read it."""
        self.assertTrue(browser.transport.disconnected)
        browser.lose()
        self.assertEqual(len(self.server), 0)

    def closed_with(self, browser: Browser) -> int:
        """The code in the close frame; then the client hangs up."""
        frame = browser.frames()[-1]
        self.assertEqual(frame[0], 0x80 | CLOSE)
        browser.lose()
        return int.from_bytes(frame[2:4], "big")

    def test_failure_of_ours(self) -> None:
        """It is logged, and the session ends."""
        browser = self.joined()
        (connection,) = self.server._connections.values()

        def fail(*arguments: object) -> None:
            raise ZeroDivisionError

        self.patch(connection.engine, "receive_text", fail)
        browser.send("4x")
        self.assertEqual(self.closed_with(browser), 1000)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.server), 0)


class UpgradeTests(WebSocketCase):
    def test_upgrade(self) -> None:
        target = self.begin()
        wire = self.wire()
        self.ask("POST", target, body=b"40")
        wire.ask("GET", target)
        wire.send(head("GET", target))
        browser = self.browser(target.replace("polling", "websocket"))
        self.assertEqual(wire.received(), b"")
        browser.send("2probe")
        self.assertEqual((browser.taken(), wire.answer().body), (["3probe"], b"6"))
        self.recorder.sockets[0].emit("between")
        browser.send("5")
        self.assertEqual(browser.taken(), ['42["between"]'])
        self.assertEqual(self.ask("GET", target).status, 400)
        second = self.browser(target.replace("polling", "websocket"))
        self.assertEqual(second.frames()[-1][0], 0x80 | CLOSE)
        second.lose()
        browser.send('42["still here"]')
        self.assertEqual(self.recorder.heard[-1][2], "still here")

    def test_probe_that_leaves(self) -> None:
        target = self.begin()
        browser = self.browser(target.replace("polling", "websocket"))
        browser.send("2probe")
        browser.lose()
        self.assertEqual(self.ask("POST", target, body=b"40").status, 200)
        self.assertEqual(len(self.server), 1)


class BackPressureTests(WebSocketCase):
    def test_client_that_does_not_read(self) -> None:
        """Its transport says so; what is sent then waits here, and it is read from no more."""
        browser = self.joined()
        socket = self.recorder.sockets[0]
        self.assertTrue(socket.writable)
        browser.transport.most = 64 * 1024
        socket.emit("x", "x" * 70_000)
        self.assertFalse(socket.writable)
        socket.emit("y")
        self.assertEqual(len(browser.taken()), 1)
        socket.emit("z", "z" * PATIENCE)
        self.assertEqual(browser.transport.producerState, "paused")
        browser.transport.drain()
        self.assertEqual([str(frame)[:6] for frame in browser.taken()], ['42["y"', '42["z"'])
        self.assertEqual(browser.transport.producerState, "producing")

    def test_writable(self) -> None:
        browser = self.joined()
        browser.transport.most = 64 * 1024
        self.recorder.sockets[0].emit("x", "x" * 70_000)
        self.assertFalse(self.recorder.sockets[0].writable)
        self.recorder.taken()
        browser.transport.drain()
        self.assertEqual(self.recorder.taken(), [("writable", "/")])


class EndTests(WebSocketCase):
    def test_client_closes(self) -> None:
        browser = self.joined()
        browser.send("1")
        self.assertEqual((len(self.server), browser.frames()[-1][0]), (0, 0x80 | CLOSE))
        browser.feed(masked_frame(CLOSE, b"\x03\xe8"))
        self.assertTrue(browser.transport.disconnecting)
        browser.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_never_answers_the_close(self) -> None:
        """It is hung up on, in time; nothing is sent to it meanwhile."""
        browser = self.joined()
        self.recorder.sockets[0].disconnect(close=True)
        self.assertEqual(browser.frames()[-1][0], 0x80 | CLOSE)
        browser.send('42["too late"]')
        self.assertEqual(self.recorder.heard[-1][0], "disconnect")
        self.clock.advance(5.5)
        self.assertTrue(browser.transport.disconnected)
        browser.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_is_gone(self) -> None:
        browser = self.joined()
        browser.lose()
        self.assertEqual(self.recorder.heard[-1], ("disconnect", "/", "the connection was lost"))
        self.recorder.sockets[0].emit("x")
        self.assertEqual((browser.frames(), self.clock.getDelayedCalls()), ([], []))

    def test_silent_client(self) -> None:
        browser = self.joined()
        self.clock.advance(25.0)
        self.assertEqual(browser.taken(), ["2"])
        self.clock.advance(TIMEOUT)
        self.assertEqual((browser.frames()[-1][0], len(self.server)), (0x80 | CLOSE, 0))
        browser.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
