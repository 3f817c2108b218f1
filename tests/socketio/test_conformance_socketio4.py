"""
Socket.IO as the clients 1.x and 2.x speak it: what differs from today.

Rules of the Socket.IO protocol, version 4, above Engine.IO version 3.
"""

import json

from .cases import CONNECT, EchoCase
from .engine import Eio, Poller
from .wire import WebSocket


class OldSocketIoTests(EchoCase):
    mode = "sio"
    eio: Eio = 3

    async def joined(self) -> WebSocket:
        """A client in the main namespace, where it is by coming."""
        socket, _ = await self.door.socket_open()
        self.assertEqual([await socket.receive(), await socket.receive()], ["40", '42["auth",{}]'])
        return socket

    async def joined_by_polling(self, **query: str) -> Poller:
        session = await self.door.poll_open(**query)
        packets = session.first
        while len(packets) < 2:
            packets = packets + await session.poll()
        self.assertEqual(packets, ["40", '42["auth",{}]'])
        return session

    # -- namespaces ------------------------------------------------------

    async def test_main_namespace_unasked(self) -> None:
        """*Connection to the default namespace*: the server sends CONNECT, without payload, upon arrival."""
        await self.joined()

    async def test_main_namespace_unasked_by_polling(self) -> None:
        """*Connection to the default namespace*: the same by polling."""
        await self.joined_by_polling()

    async def test_no_connect_timeout(self) -> None:
        """*Connection to the default namespace*: such a client has connected; nothing more is due."""
        socket = await self.joined()
        for _ in range(3):
            self.clock.advance(CONNECT / 2)
            socket.send("2")
            self.assertEqual(await socket.receive(), "3")

    async def test_main_namespace_asked_for(self) -> None:
        """*Connection to the default namespace*: to ask for it too changes nothing."""
        socket = await self.joined()
        socket.send("40")
        socket.send('42["message",1]')
        self.assertEqual(await socket.receive(), '42["message-back",1]')

    async def test_another_namespace(self) -> None:
        """*Connection to a non-default namespace*: answered with its name and no payload."""
        for packet in ("40/custom,", "40/custom"):
            socket = await self.joined()
            socket.send(packet)
            self.assertIn(await socket.receive(), ("40/custom", "40/custom,"))
            self.assertEqual(await socket.receive(), '42/custom,["auth",{}]')

    async def test_query_of_a_namespace(self) -> None:
        """*Packet types*, CONNECT: the namespace may carry more: ``/admin?token=1234&uid=abcd``."""
        socket = await self.joined()
        socket.send("40/custom?token=1234&uid=abcd,")
        self.assertIn(await socket.receive(), ("40/custom", "40/custom,"))
        await socket.receive()
        socket.send('42/custom,["message",1]')
        self.assertEqual(await socket.receive(), '42/custom,["message-back",1]')

    async def test_unknown_namespace(self) -> None:
        """*Packet types*, ERROR: the payload is a string."""
        socket = await self.joined()
        socket.send("40/random,")
        self.assertEqual(await socket.receive(), '44/random,"Invalid namespace"')
        socket.send('42["message",1]')
        self.assertEqual(await socket.receive(), '42["message-back",1]')

    async def test_disconnection(self) -> None:
        """*Disconnection from a non-default namespace*: the others stay."""
        socket = await self.joined()
        socket.send("40/custom,")
        await socket.receive()
        await socket.receive()
        socket.send("41/custom,")
        socket.send('42["message",1]')
        self.assertEqual(await socket.receive(), '42["message-back",1]')

    # -- events ----------------------------------------------------------

    async def test_event(self) -> None:
        """*Packet types*, EVENT."""
        socket = await self.joined()
        socket.send('42["message",1,"é€𝄞",{"3":[true]}]')
        self.assertEqual(await socket.receive(), '42["message-back",1,"é€𝄞",{"3":[true]}]')

    async def test_acknowledgement(self) -> None:
        """*Acknowledgement*: the same id comes back."""
        socket = await self.joined()
        socket.send('42456["message-with-ack",1]')
        self.assertEqual(await socket.receive(), "43456[1]")

    async def test_binary(self) -> None:
        """*Packet types*, BINARY_EVENT, BINARY_ACK; attachments are Engine.IO messages."""
        socket = await self.joined()
        socket.send('451-12["message-with-ack",{"_placeholder":true,"num":0}]')
        socket.send(b"\x04\x01\x02\x03")
        self.assertEqual(await socket.receive(), '461-12[{"_placeholder":true,"num":0}]')
        self.assertEqual(await socket.receive(), b"\x04\x01\x02\x03")

    async def test_binary_by_polling(self) -> None:
        """Engine.IO v3, *Payload*: attachments are base64 for a client of no binary."""
        session = await self.joined_by_polling(b64="1")
        await session.post('451-["message",{"_placeholder":true,"num":0}]', "b4AQID")
        packets = await session.poll()
        self.assertEqual(packets, ['451-["message-back",{"_placeholder":true,"num":0}]', "b4AQID"])

    async def test_characters_beyond_the_bmp(self) -> None:
        """
        Engine.IO v3, *Payload*: what comes is counted as JavaScript counts. What goes is not ASCII, hence
        binary: clients of Socket.IO 1 read it as today's do.
        """
        session = await self.joined_by_polling()
        await session.post_body('22:42["message","é€𝄞",1]'.encode())
        event = '42["message-back","é€𝄞",1]'.encode()
        response = await session.get()
        self.assertEqual(response.headers["content-type"], "application/octet-stream")
        digits = bytes(int(digit) for digit in str(len(event)))
        self.assertEqual(response.body, b"\x00" + digits + b"\xff" + event)

    async def test_characters_beyond_the_bmp_without_binary(self) -> None:
        """Engine.IO v3, *Payload*: a client of no binary gets ASCII, which all count alike."""
        session = await self.joined_by_polling(b64="1")
        await session.post_body('22:42["message","é€𝄞",1]'.encode())
        (packet,) = await session.poll()
        self.assertTrue(packet.isascii())
        self.assertEqual(json.loads(packet[2:]), ["message-back", "é€𝄞", 1])

    async def test_upgrade(self) -> None:
        """Engine.IO v3, *Transport upgrading*: what came unasked comes by either transport."""
        session = await self.door.poll_open()
        seen: list[str | bytes] = list(session.first)
        socket = await session.upgrade()
        while len(seen) < 2:
            seen.append(await socket.receive())
        self.assertEqual(seen, ["40", '42["auth",{}]'])

    async def test_invalid_packets(self) -> None:
        """*Packet encoding*: what is no packet closes the connection."""
        for packet in ("4abc", "42{}", "42[]", '42abc["message"]', '42["message"', '42/custom,["message"]'):
            socket = await self.joined()
            socket.send(packet)
            await self.assertEnded(socket)
            self.assertEqual(len(self.server), 0)
