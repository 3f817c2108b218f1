"""
Engine.IO by WebSocket: one packet a frame.

Rules of the Engine.IO protocol, version 4, *WebSocket*, and version 3, *Packet* and *WebSocket*.
"""

from .cases import EchoCase
from .engine import Eio
from .wire import BINARY, TEXT, WebSocket


class WebSocketTests4(EchoCase):
    eio: Eio = 4
    binary_head = b""

    async def open(self) -> WebSocket:
        socket, _ = await self.door.socket_open()
        return socket

    async def test_text(self) -> None:
        """*WebSocket*: a packet of text is a text frame, ``<packet type>[<data>]``."""
        socket = await self.open()
        for packet in ("4hello", "4", "4é€𝄞", "4" + "x" * 100_000):
            socket.send(packet)
            self.assertEqual(await socket.receive(), packet)

    async def test_binary(self) -> None:
        """*WebSocket*: v4: binary data is sent as is; v3, *Packet*: after a byte 4, the type."""
        socket = await self.open()
        for data in (b"\x01\x02\x03\x04", b"", b"\xff" * 70_000):
            socket.send(self.binary_head + data)
            self.assertEqual(await socket.receive(), self.binary_head + data)

    async def test_no_payloads(self) -> None:
        """*WebSocket*: each packet in its own frame: a separator or a count is data."""
        socket = await self.open()
        for packet in ("4a\x1e4b", "42:4x"):
            socket.send(packet)
            self.assertEqual(await socket.receive(), packet)

    async def test_order(self) -> None:
        """*WebSocket*: many at once come back in their order."""
        socket = await self.open()
        sent: list[str | bytes] = [
            f"4{n}" if n % 2 else self.binary_head + n.to_bytes(4, "big") for n in range(500)
        ]
        for packet in sent:
            socket.send(packet)
        self.assertEqual([await socket.receive() for _ in sent], sent)

    async def test_fragments(self) -> None:
        """*WebSocket*; RFC 6455 §5.4: a message may come in fragments, control frames between them."""
        socket = await self.open()
        socket.send_frame(TEXT, b"4hel", final=False)
        socket.send_frame(9, b"ping")
        socket.send_frame(0, b"lo")
        self.assertEqual(await socket.receive(), "4hello")

    async def test_close(self) -> None:
        """*Protocol*, close: the client's ``1`` ends it."""
        socket = await self.open()
        socket.send("1")
        await self.assertEnded(socket)
        self.assertEqual(len(self.server), 0)

    async def test_hanging_up(self) -> None:
        """*WebSocket*: the session ends with its connection."""
        socket = await self.open()
        socket.wire.abort()
        await self.until(lambda: not len(self.server))

    async def test_close_by_the_server(self) -> None:
        """*Protocol*, close: what was sent before comes before."""
        socket = await self.open()
        socket.send("4last")
        self.assertEqual(await socket.receive(), "4last")
        stopped = self.server.stop()
        await self.assertEnded(socket)
        await stopped

    async def test_packet_of_no_type(self) -> None:
        """*WebSocket*: a frame begins with a packet type; another one closes the session."""
        for packet in ("abc", "7", "", "b4AQID"):
            socket = await self.open()
            socket.send(packet)
            await self.assertEnded(socket)
            self.assertEqual(len(self.server), 0)

    async def test_packet_that_only_a_server_sends(self) -> None:
        """*Protocol*, packet types: open is the server's; upgrade has no place in what is one already."""
        for packet in ('0{"sid":"x"}', "5"):
            socket = await self.open()
            socket.send(packet)
            await self.assertEnded(socket)

    async def test_text_that_is_not_utf8(self) -> None:
        """RFC 6455 §8.1: text that is not UTF-8 fails the connection."""
        socket = await self.open()
        socket.send_frame(TEXT, b"4\xff\xfe")
        await self.assertEnded(socket)
        await self.until(lambda: not len(self.server))

    async def test_second_websocket(self) -> None:
        """*WebSocket*: not more than one per session: the second is closed, the first goes on."""
        socket, greeting = await self.door.socket_open()
        await self.assertEnded(await self.door.socket(sid=greeting["sid"]))
        socket.send("4hello")
        self.assertEqual(await socket.receive(), "4hello")

    async def test_no_polling_beside(self) -> None:
        """*Query parameters*: a session that began by WebSocket does not poll; nothing changes."""
        socket, greeting = await self.door.socket_open()
        target = self.door.target("polling", sid=greeting["sid"])
        self.assertEqual((await self.network.request("GET", target)).status, 400)
        self.assertEqual((await self.network.request("POST", target, b"4x")).status, 400)
        socket.send("4hello")
        self.assertEqual(await socket.receive(), "4hello")


class WebSocketTests3(WebSocketTests4):
    eio: Eio = 3
    binary_head = b"\x04"

    async def test_binary_of_another_type(self) -> None:
        """v3, *Packet*: only a message is binary."""
        for data in (b"\x02probe", b"4hello", b""):
            socket = await self.open()
            socket.send_frame(BINARY, data)
            await self.assertEnded(socket)
