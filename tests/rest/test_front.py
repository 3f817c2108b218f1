"""What stands beside the door: other resources, their smaller bodies, WebSockets that take a connection."""

import gc
import weakref
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from resttorrent.rest.app import Door
from resttorrent.rest.front import Front
from resttorrent.rest.site import LINGER

from .feeding import NUMBERS, Feeds
from .wire import Wire, World, head

JSON = {"Content-Type": "application/json"}
LIMIT = 100
SITE_LIMIT = 1000


class Beside(Resource):
    """Says how it was reached, and remembers what was refused."""

    isLeaf = True
    body_limit: int | None = LIMIT

    def __init__(self) -> None:
        Resource.__init__(self)
        self.refused: list[tuple[bytes, bytes, bytes, object]] = []
        self.error: Exception | None = None
        self.written_before: list[bool] = []

    def render(self, request: Request) -> bytes:
        prefix, path = (b"/".join(segments or ()) for segments in (request.prepath, request.postpath))
        content: Any = request.content
        return b"%s|%s|%d" % (prefix, path, len(content.getvalue()))

    def body_refused(self, request: Request) -> None:
        self.written_before.append(bool(request.startedWriting))
        self.refused.append((request.method, request.uri, request.path, request.args))
        if self.error is not None:
            raise self.error


class Plain(Resource):
    """No limits, no hooks, and children."""

    def __init__(self, depth: int = 0) -> None:
        Resource.__init__(self)
        self.depth = depth

    def getChild(self, path: bytes, request: Request) -> "Plain":
        return Plain(self.depth + 1)

    def render(self, request: Request) -> bytes:
        return b"%d" % self.depth


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.beside = Beside()
        self.world = World(SITE_LIMIT, beside={b"socket.io": self.beside, b"plain": Plain()})
        self.wire = self.world.wire
        self.ask = self.world.ask


class DispatchTests(Case):
    def test_by_first_segment(self) -> None:
        for target, seen in (
            ("/socket.io", b"socket.io||0"),
            ("/socket.io/", b"socket.io||0"),
            ("/socket.io?a=/v1", b"socket.io||0"),
            ("/socket.io/a/%2F?b", b"socket.io|a/%2F|0"),
            ("/%73ocket%2Eio/a", b"%73ocket%2Eio|a|0"),
        ):
            answer = self.ask("GET", target)
            self.assertEqual((answer.status, answer.body), (200, seen))

    def test_resources_with_children(self) -> None:
        self.assertEqual(self.ask("GET", "/plain").body, b"0")
        self.assertEqual(self.ask("GET", "/plain/a/b").body, b"2")

    def test_the_door_answers_all_else(self) -> None:
        self.assertEqual(self.ask("GET", "/v1/things/a%2Fb").json["thing"]["id"], "a/b")
        for target in ("/", "//socket.io", "/socket.iox", "/SOCKET.IO", "/socket%2fio", "/v1/socket.io"):
            answer = self.ask("GET", target)
            self.assertEqual((answer.status, answer.json["code"]), (404, "not_found"), target)
        self.assertEqual(self.ask("OPTIONS", "*").status, 204)

    def test_the_door_is_found_as_it_was_without(self) -> None:
        found: list[Any] = []

        def render(door: Door, request: Request) -> bytes:
            found.append(request)
            return b""

        self.patch(Door, "render", render)
        self.ask("GET", "/v1/things/1")
        self.assertEqual((found[0].prepath, found[0].postpath), ([], [b"v1", b"things", b"1"]))


class BodyTests(Case):
    def assertRefused(self, limit: int) -> None:
        answer = self.wire.answer()
        self.assertEqual((answer.status, answer.json["code"]), (413, "too_large"))
        self.assertIn(str(limit), answer.json["message"])
        self.world.reactor.advance(LINGER)
        self.assertTrue(self.wire.transport.disconnecting)

    def test_below_the_limit(self) -> None:
        self.assertEqual(self.ask("POST", "/socket.io/", None, b"x" * LIMIT).body, b"socket.io||100")

    def test_by_length(self) -> None:
        self.wire.send(head("POST", "/socket.io/?sid=a&EIO=4&x=", None, LIMIT + 1))
        self.assertRefused(LIMIT)
        target = b"/socket.io/?sid=a&EIO=4&x="
        args = {b"sid": [b"a"], b"EIO": [b"4"], b"x": [b""]}
        self.assertEqual(self.beside.refused, [(b"POST", target, b"/socket.io/", args)])
        self.assertEqual(self.beside.written_before, [False])

    def test_what_follows_is_not_kept(self) -> None:
        self.wire.send(head("POST", "/socket.io/?sid=a", None, SITE_LIMIT) + b"x" * SITE_LIMIT)
        self.assertRefused(LIMIT)
        [request] = self.wire.protocol.requests
        self.assertEqual(request.content.getvalue(), b"")
        self.assertEqual(len(self.beside.refused), 1)

    def test_in_chunks(self) -> None:
        self.wire.send(head("POST", "/socket.io/?sid=a", {"Transfer-Encoding": "chunked"}))
        self.wire.send(b"64\r\n" + b"x" * 100 + b"\r\n")
        self.assertEqual(self.beside.refused, [])
        self.wire.send(b"1\r\nx\r\n")
        self.assertRefused(LIMIT)
        self.assertEqual([args for *_, args in self.beside.refused], [{b"sid": [b"a"]}])

    def test_the_door_keeps_its_own(self) -> None:
        body = b"{}".ljust(SITE_LIMIT)
        self.assertEqual(self.ask("POST", "/v1/things", JSON, body).status, 201)
        self.wire.send(head("POST", "/v1/things?x=/socket.io", JSON, SITE_LIMIT + 1))
        self.assertRefused(SITE_LIMIT)
        self.assertEqual(self.beside.refused, [])

    def test_resources_without_a_limit(self) -> None:
        self.wire.send(head("POST", "/plain", None, SITE_LIMIT + 1))
        self.assertRefused(SITE_LIMIT)

    def test_a_larger_limit_than_the_sites(self) -> None:
        self.beside.body_limit = SITE_LIMIT * 2
        self.wire.send(head("POST", "/socket.io", None, SITE_LIMIT + 1))
        self.assertRefused(SITE_LIMIT)

    def test_each_request_has_its_own(self) -> None:
        self.ask("POST", "/v1/things", JSON, b"{}".ljust(SITE_LIMIT))
        self.wire.send(head("POST", "/socket.io", None, LIMIT + 1))
        self.assertRefused(LIMIT)

    def test_a_hook_that_fails(self) -> None:
        self.beside.error = ZeroDivisionError()
        self.wire.send(head("POST", "/socket.io", None, LIMIT + 1))
        self.assertRefused(LIMIT)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Echo(WebSocketServerProtocol):
    """Gives every message back."""

    factory: Any
    transport: Any

    def onOpen(self) -> None:
        # the HTTP channel is still registered
        self.transport.unregisterProducer()
        self.factory.opened.append(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


def echo_resource() -> tuple[WebSocketResource, list[Echo]]:
    factory: Any = WebSocketServerFactory()
    factory.protocol = Echo
    opened: list[Echo] = []
    factory.opened = opened
    # its timers would be the real reactor's
    factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
    return WebSocketResource(factory), opened


HANDSHAKE = head(
    "GET",
    "/socket.io/?EIO=4&transport=websocket",
    {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    },
)
# "hello", masked with zeros, and as it comes back (RFC 6455 §5.2)
ASKED = b"\x81\x85\0\0\0\0hello"
GIVEN_BACK = b"\x81\x05hello"


class TakeOverTests(SynchronousTestCase):
    def setUp(self) -> None:
        resource, self.opened = echo_resource()
        self.world = World(beside={b"socket.io": resource})
        self.wire = Wire(self.world.site)
        transport: Any = self.wire.transport
        transport.protocol = self.wire.protocol

    def deliver(self, data: bytes) -> None:
        transport: Any = self.wire.transport
        transport.protocol.dataReceived(data)

    def assertUpgraded(self, rest: bytes = b"") -> None:
        raw = self.wire.received()
        self.assertTrue(raw.startswith(b"HTTP/1.1 101 "), raw)
        self.assertEqual(raw.partition(b"\r\n\r\n")[2], rest)

    def test_messages(self) -> None:
        self.deliver(HANDSHAKE)
        self.assertUpgraded()
        self.deliver(ASKED)
        self.assertEqual(self.wire.received(), GIVEN_BACK)

    def test_after_other_requests(self) -> None:
        self.assertEqual(self.wire.ask("GET", "/v1/things").status, 200)
        self.deliver(HANDSHAKE)
        self.assertUpgraded()

    def test_what_came_in_the_same_packet(self) -> None:
        self.deliver(HANDSHAKE + ASKED + ASKED[:3])
        self.assertUpgraded(GIVEN_BACK)
        self.deliver(ASKED[3:])
        self.assertEqual(self.wire.received(), GIVEN_BACK)

    def test_is_no_connection_of_the_sites(self) -> None:
        others = len(self.world.site.connections)
        wire = Wire(self.world.site)
        self.assertEqual(len(self.world.site.connections), others + 1)
        self.deliver(HANDSHAKE)
        self.assertEqual(len(self.world.site.connections), others)
        self.world.site.close_connections()
        self.assertFalse(self.wire.transport.disconnecting)
        self.assertTrue(wire.transport.disconnecting)

    def test_no_timeout_ends_it(self) -> None:
        watched = len(self.world.site.watch)
        self.deliver(HANDSHAKE)
        self.assertEqual(len(self.world.site.watch), watched - 1)
        self.world.reactor.advance(3600)
        self.assertFalse(self.wire.transport.disconnecting)

    def test_nothing_of_the_request_stays_in_memory(self) -> None:
        channel = weakref.ref(self.wire.protocol)
        gc.disable()
        self.addCleanup(gc.enable)
        self.deliver(HANDSHAKE)
        del self.wire.protocol
        self.assertIsNone(channel())
        self.deliver(ASKED)
        self.assertIn(GIVEN_BACK, self.wire.received())

    def test_the_door_is_drained(self) -> None:
        self.deliver(HANDSHAKE)
        self.world.door.drain()
        self.successResultOf(self.world.door.drained())


class Asking(WebSocketClientProtocol):
    """Says hello, and hangs up when it was answered."""

    factory: Any

    def onOpen(self) -> None:
        self.sendMessage(b"hello")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.heard.append(payload)
        self.sendClose()

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.factory.closed.callback(wasClean)


class RealWebSocketTests(TestCase):
    async def test_over_tcp(self) -> None:
        from twisted.internet import reactor

        loop: Any = reactor
        resource, opened = echo_resource()
        world = World(registry=NUMBERS, context=Feeds(), beside={b"socket.io": resource})
        port = loop.listenTCP(0, world.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client: Any = WebSocketClientFactory(f"ws://127.0.0.1:{port.getHost().port}/socket.io/?EIO=4")
        client.protocol = Asking
        client.heard, client.closed = [], Deferred()
        connector = loop.connectTCP("127.0.0.1", port.getHost().port, client)
        self.addCleanup(connector.disconnect)
        self.assertTrue(await client.closed)
        self.assertEqual((client.heard, len(opened)), ([b"hello"], 1))
        # the world's own in-memory wire
        self.assertEqual(len(world.site.connections), 1)


class FrontTests(SynchronousTestCase):
    def test_beside(self) -> None:
        resource = Plain()
        front = Front(World().door, {b"a.b": resource})
        for target in (b"/a.b", b"/a.b/", b"/a.b?c", b"/a.b/c?d", b"/a%2Eb/c"):
            self.assertIs(front.beside(target), resource)
        for target in (b"", b"/", b"*", b"a.b", b"/a", b"/?/a.b", b"//a.b", b"/a.b%2Fc", b"/%"):
            self.assertIsNone(front.beside(target), target)
