"""Long-polling below a site: requests and answers on in-memory connections."""

from collections.abc import Mapping

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio import Limits, SocketResource, SocketServer
from tests.rest.wire import Response, Wire, World, head

from .stage import CONNECT, INTERVAL, TIMEOUT, TIMING, Recorder

OPEN = "/socket.io/?EIO=4&transport=polling"


class SiteCase(SynchronousTestCase):
    allow_origin: str | None = None
    limits = Limits(max_payload=1000)

    def setUp(self) -> None:
        self.clock = Clock()
        self.recorder = Recorder()
        self.server = SocketServer(self.recorder, clock=self.clock, timing=TIMING, limits=self.limits)
        resource = SocketResource(self.server, reactor=self.clock, allow_origin=self.allow_origin)
        self.world = World(beside={b"socket.io": resource})

    def tearDown(self) -> None:
        # the last for WebSockets that nobody closes from the other side
        for delay in (INTERVAL + TIMEOUT, max(TIMEOUT, CONNECT), 5.5):
            self.clock.advance(delay)
        self.assertEqual((len(self.server), self.clock.getDelayedCalls()), (0, []))

    def wire(self) -> Wire:
        return Wire(self.world.site)

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        return self.wire().ask(method, target, headers, body)

    def begin(self, target: str = OPEN) -> str:
        """A session; the target of its requests."""
        opened = self.ask("GET", target)
        (connection,) = list(self.server._connections.values())[-1:]
        self.assertIn(connection.engine.sid.encode(), opened.body)
        return f"{target}&sid={connection.engine.sid}"


class RequestTests(SiteCase):
    def test_open(self) -> None:
        opened = self.ask("GET", OPEN)
        self.assertEqual(opened.status, 200)
        self.assertTrue(opened.body.startswith(b'0{"sid":"'))
        self.assertEqual(opened.headers["content-type"], "text/plain; charset=UTF-8")
        self.assertEqual(opened.headers["cache-control"], "no-store")
        self.assertEqual(opened.headers["x-content-type-options"], "nosniff")
        self.assertNotIn("access-control-allow-origin", opened.headers)

    def test_waiting_get(self) -> None:
        target = self.begin()
        wire = self.wire()
        wire.send(head("GET", target))
        self.assertEqual(wire.received(), b"")
        posted = self.ask("POST", target, body=b"40")
        self.assertEqual((posted.status, posted.body), (200, b"ok"))
        self.assertTrue(wire.answer().body.startswith(b'40{"sid"'))
        self.recorder.sockets[0].emit("x", b"\1")
        wire.send(head("GET", target))
        self.assertEqual(wire.answer().body, b'451-["x",{"_placeholder":true,"num":0}]\x1ebAQ==')

    def test_handshake(self) -> None:
        """What the application sees of it."""
        self.ask("GET", OPEN.replace("EIO=4", "EIO=3") + "&token=a%26b&token=c", {"X-Thing": "é"})
        handshake = self.recorder.sockets[0].handshake
        self.assertEqual(handshake.query["token"], "a&b")
        self.assertEqual((handshake.headers["x-thing"], handshake.address), ("é", "127.0.0.1"))

    def test_bytes(self) -> None:
        """An old client's body of bytes, by its content type, and the answer to it."""
        target = self.begin(OPEN.replace("EIO=4", "EIO=3"))
        body = b'\0\2\5\xff42["b"]'.replace(b"\2\5", b"\7") + b"\0\3\xff4"
        self.assertEqual(
            self.ask("POST", target, {"Content-Type": "Application/Octet-Stream ; a"}, body).status, 400
        )
        target = self.begin(OPEN.replace("EIO=4", "EIO=3"))
        good = b'\0\7\xff42["b"]'
        sent = self.ask("POST", target, {"Content-Type": "Application/Octet-Stream ; a"}, good)
        self.assertEqual((sent.status, self.recorder.heard[-1]), (200, ("event", "/", "b", [], None)))
        self.recorder.sockets[-1].emit("x", b"\1")
        answer = self.ask("GET", target)
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertTrue(answer.body.endswith(b"\1\2\xff\4\1"))

    def test_refusals(self) -> None:
        for method, target, status, code in (
            ("GET", "/socket.io/", 400, 0),
            ("GET", "/socket.io/?EIO=4&transport=polling&j=1", 400, 0),
            ("GET", OPEN + "&sid=unknown", 400, 1),
            ("POST", OPEN, 400, 2),
            ("GET", "/socket.io/?EIO=4&transport=websocket", 400, 3),
            ("GET", "/socket.io/?EIO=2&transport=polling", 400, 5),
            ("GET", "/socket.io/?transport=polling", 400, 5),
        ):
            answer = self.ask(method, target)
            self.assertEqual((answer.status, answer.json["code"]), (status, code), target)
            self.assertEqual(answer.headers["content-type"], "application/json")
        target = self.begin()
        for method in ("PUT", "DELETE", "PATCH"):
            self.assertEqual(self.ask(method, target).json, {"code": 3, "message": "Bad request"})
        self.assertEqual(self.ask("HEAD", target).status, 400)
        self.assertEqual(len(self.server), 1)

    def test_pipelined(self) -> None:
        """A POST behind a GET of the same connection waits for it, as HTTP has it."""
        target = self.begin()
        wire = self.wire()
        wire.send(head("GET", target) + head("POST", target, length=2) + b"40")
        self.assertEqual((wire.received(), self.recorder.heard), (b"", []))
        self.clock.advance(INTERVAL)
        self.assertEqual(wire.answer().body, b"2")
        self.assertEqual(self.recorder.heard, [("connect", "/", None)])


class EndTests(SiteCase):
    def test_client_hangs_up(self) -> None:
        target = self.begin()
        wire = self.wire()
        wire.send(head("GET", target))
        wire.lose()
        self.assertEqual(len(self.server), 0)
        self.assertEqual(self.ask("GET", target).json["code"], 1)

    def test_client_hangs_up_after_the_answer(self) -> None:
        """Clients do not keep their connections for ever."""
        target = self.begin()
        wire = self.wire()
        self.ask("POST", target, body=b"40")
        wire.ask("GET", target)
        wire.lose()
        self.assertEqual(len(self.server), 1)

    def test_two_gets(self) -> None:
        target = self.begin()
        wire = self.wire()
        wire.send(head("GET", target))
        self.assertEqual(self.ask("GET", target).status, 400)
        self.assertEqual(wire.answer().body, b"1")
        self.assertEqual(len(self.server), 0)

    def test_malformed(self) -> None:
        for body in (b"", b"9", b"abc", b"4\xff", b"42["):
            target = self.begin()
            answer = self.ask("POST", target, body=body)
            # a packet of no kind is HTTP's business, a message of no kind is not
            self.assertEqual(answer.status, 200 if body == b"42[" else 400, body)
            self.assertEqual(len(self.server), 0)

    def test_too_long(self) -> None:
        """Refused by its length, before it is there; a body that came in chunks as soon as it is known."""
        target = self.begin()
        wire = self.wire()
        wire.send(head("POST", target, length=1001))
        self.assertEqual(wire.answer("POST").status, 413)
        self.assertEqual(len(self.server), 0)
        target = self.begin()
        wire = self.wire()
        chunk = b"3e8\r\n" + b"6" * 1000 + b"\r\n"
        wire.send(head("POST", target, {"Transfer-Encoding": "chunked"}) + chunk)
        self.assertEqual((wire.received(), len(self.server)), (b"", 1))
        wire.send(b"1\r\n6\r\n")
        self.assertEqual((wire.answer("POST").status, len(self.server)), (413, 0))

    def test_closed(self) -> None:
        target = self.begin()
        wire = self.wire()
        wire.send(head("GET", target))
        self.assertEqual(self.ask("POST", target, body=b"1").status, 200)
        self.assertEqual((wire.answer().body, len(self.server)), (b"6", 0))

    def test_stopping(self) -> None:
        self.server.stop()
        self.assertEqual(self.ask("GET", OPEN).status, 503)


class OriginTests(SiteCase):
    allow_origin = "https://example.org"

    def test_every_answer(self) -> None:
        target = self.begin()
        for method, where, body in (
            ("GET", OPEN, b""),
            ("POST", target, b"40"),
            ("GET", target, b""),
            ("GET", "/socket.io/", b""),
            ("OPTIONS", OPEN, b""),
        ):
            answer = self.ask(method, where, body=body)
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://example.org")

    def test_preflight(self) -> None:
        answer = self.ask("OPTIONS", OPEN, {"Origin": "https://example.org"})
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(answer.headers["access-control-allow-methods"], "GET, POST")
        self.assertEqual(answer.headers["access-control-allow-headers"], "Authorization, Content-Type")
