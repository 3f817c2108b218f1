"""
How an Engine.IO session begins, and what does not begin one.

Rules of the Engine.IO protocol, version 4 (*Transports*, *Handshake*) and version 3 (*URLs*, *Anatomy of an
Engine.IO session*). The numbers of refusals are upstream's: the documents ask for status 400 alone.
"""

from .cases import INTERVAL, MAX_PAYLOAD, TIMEOUT, EchoCase
from .engine import Eio
from .wire import NoWebSocket, Response

UNKNOWN_TRANSPORT, UNKNOWN_SID, BAD_METHOD, BAD_REQUEST, _, BAD_VERSION = range(6)


class HandshakeRules(EchoCase):
    def assertGreeting(self, greeting: dict[str, object], upgrades: list[str]) -> None:
        sid = greeting["sid"]
        self.assertIsInstance(sid, str)
        expected = {
            "sid": sid,
            "upgrades": upgrades,
            "pingInterval": INTERVAL * 1000,
            "pingTimeout": TIMEOUT * 1000,
            "maxPayload": MAX_PAYLOAD,
        }
        self.assertEqual(greeting, expected)

    def assertRefused(self, response: Response, code: int) -> None:
        self.assertEqual((response.status, response.json["code"]), (400, code))
        self.assertIsInstance(response.json["message"], str)
        self.assertEqual(len(self.server), 0)

    async def assertNoSocket(self, query: str) -> None:
        """The server closes such a WebSocket: by an HTTP error in place of 101."""
        with self.assertRaises(NoWebSocket) as caught:
            await self.network.websocket(f"{self.door.path}?{query}")
        self.assertEqual(caught.exception.response.status, 400)
        self.assertEqual(len(self.server), 0)


class HandshakeTests3(HandshakeRules):
    eio: Eio = 3

    async def test_polling(self) -> None:
        """v3, *Anatomy*, 1 and 2: the server answers with an open packet, in a counted payload."""
        response = await self.network.request("GET", self.door.target("polling"))
        length, _, packet = response.body.decode().partition(":")
        self.assertEqual((response.status, packet[0]), (200, "0"))
        self.assertEqual(int(length), len(packet))

    async def test_greeting_by_polling(self) -> None:
        """v3, *Anatomy*, 2: sid, upgrades, pingTimeout, pingInterval (maxPayload came later)."""
        self.assertGreeting((await self.door.poll_open()).greeting, ["websocket"])

    async def test_greeting_by_websocket(self) -> None:
        """v3, *Sample session with WebSocket only*: the handshake is the first frame; no upgrades."""
        _, greeting = await self.door.socket_open()
        self.assertGreeting(greeting, [])

    async def test_cache_buster(self) -> None:
        """v3, *URLs*: ``t`` means nothing; neither does what belongs to the application."""
        session = await self.door.poll_open(t="N8hyd6w", token="a&b")
        self.assertEqual((await session.post("4x")).status, 200)

    async def test_content_type(self) -> None:
        """v3, *Sample session*: payloads are ``text/plain; charset=UTF-8``."""
        response = await self.network.request("GET", self.door.target("polling"))
        self.assertEqual(response.headers["content-type"].lower(), "text/plain; charset=utf-8")

    async def test_transport_missing_or_unknown(self) -> None:
        """v3, *URLs*: the transports are polling and websocket."""
        self.assertRefused(await self.door.ask("EIO=3"), UNKNOWN_TRANSPORT)
        self.assertRefused(await self.door.ask("EIO=3&transport=abc"), UNKNOWN_TRANSPORT)

    async def test_websocket_of_no_transport(self) -> None:
        """v3, *URLs*, on a WebSocket."""
        await self.assertNoSocket("EIO=3")
        await self.assertNoSocket("EIO=3&transport=abc")

    async def test_method(self) -> None:
        """v3, *Polling*: GETs receive, also the first time."""
        self.assertRefused(await self.door.ask("EIO=3&transport=polling", "POST", b""), BAD_METHOD)

    async def test_no_jsonp(self) -> None:
        """v3, *JSONP*: not offered, for it lets any page read along; ``j`` is refused."""
        self.assertRefused(await self.door.ask("EIO=3&transport=polling&j=0"), UNKNOWN_TRANSPORT)


class HandshakeTests4(HandshakeRules):
    eio: Eio = 4

    async def test_polling(self) -> None:
        """v4, *Handshake*: the server answers with an open packet whose payload is JSON."""
        response = await self.network.request("GET", self.door.target("polling"))
        self.assertEqual((response.status, response.body[:2]), (200, b"0{"))

    async def test_greeting_by_polling(self) -> None:
        """v4, *Handshake*, table: these five keys and no other."""
        self.assertGreeting((await self.door.poll_open()).greeting, ["websocket"])

    async def test_greeting_by_websocket(self) -> None:
        """v4, *Handshake*, WebSocket-only session: the same, with no upgrade on offer."""
        _, greeting = await self.door.socket_open()
        self.assertGreeting(greeting, [])

    async def test_ids_differ(self) -> None:
        """v4, *Handshake*: the sid tells sessions apart."""
        sids = {(await self.door.poll_open()).sid for _ in range(5)}
        self.assertEqual(len(sids), 5)

    async def test_version_missing(self) -> None:
        """v4, *Query parameters*: EIO is mandatory: without, 400."""
        self.assertRefused(await self.door.ask("transport=polling"), BAD_VERSION)

    async def test_version_unknown(self) -> None:
        """v4, *Query parameters*: of EIO only 3 and 4 are spoken here."""
        for version in ("abc", "", "2", "5", "44", "4.0", "%34%34"):
            self.assertRefused(await self.door.ask(f"EIO={version}&transport=polling"), BAD_VERSION)

    async def test_websocket_of_no_version(self) -> None:
        """v4, *WebSocket*: a mandatory parameter is missing: the server closes."""
        await self.assertNoSocket("transport=websocket")
        await self.assertNoSocket("EIO=abc&transport=websocket")

    async def test_transport_missing_or_unknown(self) -> None:
        """v4, *Query parameters*: transport is mandatory: without, 400."""
        self.assertRefused(await self.door.ask("EIO=4"), UNKNOWN_TRANSPORT)
        self.assertRefused(await self.door.ask("EIO=4&transport=abc"), UNKNOWN_TRANSPORT)

    async def test_websocket_of_no_transport(self) -> None:
        """v4, *WebSocket*: the same there."""
        await self.assertNoSocket("EIO=4")
        await self.assertNoSocket("EIO=4&transport=abc")

    async def test_transport_that_it_is_not(self) -> None:
        """v4, *Transports*: a plain request is no WebSocket, and a WebSocket does not poll."""
        self.assertRefused(await self.door.ask("EIO=4&transport=websocket"), BAD_REQUEST)
        await self.assertNoSocket("EIO=4&transport=polling")

    async def test_method(self) -> None:
        """v4, *Handshake*: the client MUST send a GET."""
        for method in ("POST", "PUT", "DELETE"):
            self.assertRefused(await self.door.ask("EIO=4&transport=polling", method, b""), BAD_METHOD)

    async def test_unknown_sid(self) -> None:
        """v4, *Sending data*, *Receiving data*: 400 if the sid is not known."""
        for method, body in (("GET", None), ("POST", b"4x")):
            response = await self.door.ask("EIO=4&transport=polling&sid=nobody", method, body)
            self.assertRefused(response, UNKNOWN_SID)

    async def test_websocket_of_unknown_sid(self) -> None:
        """v4, *WebSocket*: a sid names the session to upgrade; one that is not there can't be."""
        await self.assertNoSocket("EIO=4&transport=websocket&sid=nobody")

    async def test_path_without_slash(self) -> None:
        """v4, *Request path*; clients differ in the last slash."""
        response = await self.network.request("GET", self.door.target("polling").replace("/?", "?"))
        self.assertEqual(response.status, 200)

    async def test_not_kept(self) -> None:
        """v4, *Receiving data*: a GET has no answer worth keeping."""
        response = await self.network.request("GET", self.door.target("polling"))
        self.assertEqual(response.headers["cache-control"], "no-store")

    async def test_other_origins(self) -> None:
        """v3, *XHR*: the server supports CORS; this one is open to all."""
        response = await self.network.request("GET", self.door.target("polling"))
        self.assertEqual(response.headers["access-control-allow-origin"], "*")
        preflight = await self.network.request("OPTIONS", self.door.target("polling"))
        self.assertIn("POST", preflight.headers["access-control-allow-methods"])
