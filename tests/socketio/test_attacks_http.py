"""
What hostile clients might do with requests, their bodies and frames.

After each attack the server serves the next client. That it leaves no session, no timer and no connection
behind is in the end of every ``EchoCase``; that nothing was logged as an error is trial's rule.
"""

from resttorrent.socketio.eio_payload import MOST_PACKETS

from .cases import MAX_PAYLOAD, AttackCase
from .engine import Eio
from .wire import BINARY, TEXT, Ended, NoWebSocket, Wire, masked_frame, read_response, request_head

MiB = 1024 * 1024


class HttpAttackCase(AttackCase):
    async def assertRefusedSomehow(self, wire: Wire) -> None:
        """A 4xx, or no answer at all."""
        try:
            response = await read_response(wire)
        except Ended:
            return
        self.assertTrue(400 <= response.status < 500, response.status)


class HandshakeAttacks(HttpAttackCase):
    async def test_weird_queries(self) -> None:
        """Queries that nobody sends (CVE-2022-21676: a handshake that throws ended the process)."""
        queries = (
            "", "&", "=", "&&&=&", "EIO", "EIO=4",
            "EIO=%", "EIO=%ff&transport=%00", "EIO=4&transport=constructor",
            "EIO=4&transport=polling&sid=", "EIO=4&transport=polling&sid=__proto__",
            "EIO=4&transport=polling&sid=%ff%fe", "EIO=4&transport=polling&sid=" + "x" * 10_000,
            "EIO=4&transport=polling&j=__proto__", "EIO[]=4&transport[]=polling", "EIO=4;transport=polling",
            "EIO=4&transport=webtransport", "EIO=" + "9" * 5000 + "&transport=polling", "a=1&" * 3000,
            "?EIO=4?transport=polling", "EIO=\u0664&transport=polling".encode().decode("latin-1"),
        )  # fmt: skip
        for query in queries:
            response = await self.door.ask(query)
            self.assertEqual(response.status, 400, query)
            with self.assertRaises(NoWebSocket) as caught:
                await self.network.websocket(f"{self.door.path}?{query}")
            self.assertEqual(caught.exception.response.status, 400, query)
        self.assertEqual(len(self.server), 0)
        await self.assertServes()

    async def test_weird_values_of_ones_own(self) -> None:
        """What belongs to the application may be anything that is text."""
        for query in (
            "token=%",
            "token=%00",
            "t=" + "x" * 10_000,
            "b64=__proto__",
            "transport=x",
            "EIO=x&sid=y",
        ):
            response = await self.door.ask(f"EIO=4&transport=polling&{query}")
            self.assertEqual(response.status, 400 if "sid" in query else 200, query)
        for query in ("token=%ff", "&".join(["a=b"] * 2000)):
            self.assertEqual((await self.door.ask(f"EIO=4&transport=polling&{query}")).status, 400, query)
        await self.assertServes()

    async def test_huge_urls(self) -> None:
        """An URL of 100 kB, by either transport: refused, whatever it says."""
        target = self.door.target("polling", t="x" * 100_000)
        for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
            wire = await self.network.begin("GET", target, None, headers)
            await self.assertRefusedSomehow(wire)
        await self.assertServes()

    async def test_weird_headers(self) -> None:
        """Headers that are no text, empty, many or long: a session is made, or refused."""
        oddities: tuple[dict[str, str], ...] = (
            {"Origin": "\xff\xfe"}, {"Origin": ""}, {"Cookie": "x" * 10_000}, {"Authorization": "\x80"},
            {"Content-Type": "\xff"}, {"Content-Length": "0"}, {f"X-{n}": "x" for n in range(100)},
        )  # fmt: skip
        for headers in oddities:
            response = await self.network.request("GET", self.door.target("polling"), None, headers)
            self.assertEqual(response.status, 200, headers)
            try:
                socket = await self.network.websocket(self.door.target("websocket"), headers)
            except NoWebSocket as refused:
                # a page of nowhere is a foreign one
                self.assertEqual((refused.response.status, list(headers)), (403, ["Origin"]))
            else:
                self.assertTrue(str(await socket.receive()).startswith("0{"))
        await self.assertServes()

    async def test_weird_openings_of_a_websocket(self) -> None:
        """Handshakes of a WebSocket that lack what RFC 6455 §4.1 asks for."""
        proper = {
            "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": "AAECAwQFBgcICQoLDA0ODw==", "Sec-WebSocket-Version": "13",
        }  # fmt: skip
        for change in (
            {"Sec-WebSocket-Key": ""}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Key": "\xff" * 24},
            {"Sec-WebSocket-Version": "99"}, {"Sec-WebSocket-Version": "x"}, {"Sec-WebSocket-Version": ""},
            {"Connection": "close"}, {"Sec-WebSocket-Key": "x" * 5000},
        ):  # fmt: skip
            wire = await self.network.connect()
            wire.send(request_head("GET", self.door.target("websocket"), {**proper, **change}))
            await self.assertRefusedSomehow(wire)
        wire = await self.network.connect()
        wire.send(request_head("POST", self.door.target("websocket"), proper))
        await self.assertRefusedSomehow(wire)
        self.assertEqual(len(self.server), 0)
        await self.assertServes()


class PayloadAttacks(HttpAttackCase):
    async def assertRefused(self, body: bytes, eio: Eio = 4) -> None:
        session = await self.door_of(eio).poll_open()
        # before it has joined, the body would be too long
        for connection in self.server._connections.values():
            connection.engine.joined = True
        self.assertEqual((await session.post_body(body)).status, 400)
        self.assertEqual(len(self.server), 0)
        await self.assertServes()

    async def test_a_million_tiny_packets(self) -> None:
        """As many packets as a body holds: refused as a whole."""
        await self.assertRefused(b"\x1e".join([b"6"] * (MAX_PAYLOAD // 2)))
        await self.assertRefused(b"1:6" * (MAX_PAYLOAD // 3), 3)
        await self.assertRefused(b"\x1e" * MAX_PAYLOAD)

    async def test_as_many_packets_as_are_allowed(self) -> None:
        """A client that could not send for a while posts all it has at once."""
        session = await self.joined_by_polling()
        events = [f'42["message",{number}]' for number in range(MOST_PACKETS)]
        self.assertEqual((await session.post(*events)).status, 200)
        received: list[str] = []
        while len(received) < MOST_PACKETS:
            received += await session.poll()
        self.assertEqual(received, [f'42["message-back",{number}]' for number in range(MOST_PACKETS)])

    async def test_packets_of_a_malicious_length(self) -> None:
        """Lengths that make a decoder look far, or again and again."""
        for body in (
            b"9" * 500_000,
            b"9" * 500_000 + b":4",
            b"1" * 9 + b":4",
            b"2:4" + "𝄞".encode() * 200_000,
        ):
            await self.assertRefused(body, 3)

    async def test_body_beyond_the_limit(self) -> None:
        """Refused by its length, and not read: 413 comes while the body has hardly begun."""
        for length in (MAX_PAYLOAD + 1, 10**12, 10**18):
            session = await self.joined_by_polling()
            post = await self.network.connect()
            post.send(request_head("POST", session.target, {"Content-Length": str(length)}) + b'42["mess')
            self.assertEqual((await read_response(post)).status, 413)
            self.assertEqual(len(self.server), 0)
        await self.assertServes()

    async def test_lengths_that_are_none(self) -> None:
        """``Content-Length`` of thousands of digits, of signs, of nothing."""
        session = await self.joined_by_polling()
        for length in ("9" * 5000, "-1", "+1", "0x10", "", "1e3", "1, 1"):
            post = await self.network.connect()
            post.send(request_head("POST", session.target, {"Content-Length": length}))
            await self.assertRefusedSomehow(post)
        await self.assertServes()

    async def test_frame_beyond_the_limit(self) -> None:
        """A frame that says it is a terabyte long is refused when its head is there."""
        socket = await self.joined()
        head = masked_frame(BINARY, b"")
        socket.wire.send(head[:1] + b"\xff" + (10**12).to_bytes(8, "big") + head[2:6])
        await self.assertEnded(socket)
        await self.assertServes()

    async def test_fragments_beyond_the_limit(self) -> None:
        """Fragments that are small and do not end are counted together."""
        socket = await self.joined()
        socket.send_frame(TEXT, b"4" * MiB, final=False)
        for _ in range(17):
            socket.send_frame(0, b"4" * MiB, final=False)
        await self.assertEnded(socket)
        await self.assertServes()

    async def test_frames_that_break_the_protocol(self) -> None:
        """Reserved bits, reserved opcodes, no mask, a continuation of nothing."""
        for raw in (
            b"\xf1\x80\0\0\0\0",
            b"\x83\x80\0\0\0\0",
            b"\x81\x014",
            b"\x80\x80\0\0\0\0",
            b"\x09\x80\0\0\0\0",
        ):
            socket = await self.joined()
            socket.wire.send(raw)
            await self.assertEnded(socket)
        await self.until(lambda: not len(self.server))
        await self.assertServes()
