"""
Socket.IO as today's clients speak it: coming into namespaces, and leaving them.

Rules of the Socket.IO protocol, version 5, above Engine.IO version 4.
"""

import json
from typing import Any

from .cases import CONNECT, INTERVAL, SocketIoCase
from .wire import WebSocket


class ConnectionTests(SocketIoCase):
    async def join(self, socket: WebSocket, packet: str, prefix: str) -> dict[str, Any]:
        """Join a namespace; the payload of the server's answer."""
        socket.send(packet)
        answer = await socket.receive()
        assert isinstance(answer, str)
        self.assertTrue(answer.startswith(prefix), answer)
        payload: dict[str, Any] = json.loads(answer.removeprefix(prefix))
        return payload

    async def test_main_namespace(self) -> None:
        """*Connection to a namespace*: CONNECT is answered with CONNECT and a session id, nothing else."""
        socket = await self.open()
        payload = await self.join(socket, "40", "40")
        self.assertEqual(list(payload), ["sid"])
        self.assertIsInstance(payload["sid"], str)
        self.assertEqual(await socket.receive(), '42["auth",{}]')

    async def test_main_namespace_by_its_name(self) -> None:
        """*Format*: the main namespace may be left out, and may be written."""
        await self.join(await self.open(), "40/,", "40")

    async def test_payload(self) -> None:
        """*Connection to a namespace*: CONNECT may have a payload, which the application gets."""
        socket = await self.open()
        await self.join(socket, '40{"token":"123"}', "40")
        self.assertEqual(await socket.receive(), '42["auth",{"token":"123"}]')

    async def test_another_namespace(self) -> None:
        """*Connection to a namespace*: with a custom namespace: its name is in each packet."""
        for packet in ("40/custom,", "40/custom"):
            socket = await self.open()
            payload = await self.join(socket, packet, "40/custom,")
            self.assertEqual(list(payload), ["sid"])
            self.assertEqual(await socket.receive(), '42/custom,["auth",{}]')

    async def test_another_namespace_with_a_payload(self) -> None:
        """*Connection to a namespace*: both at once."""
        socket = await self.open()
        await self.join(socket, '40/custom,{"token":"abc"}', "40/custom,")
        self.assertEqual(await socket.receive(), '42/custom,["auth",{"token":"abc"}]')

    async def test_session_id_is_another(self) -> None:
        """*History*, v5 and v4: the id of the Socket.IO connection is not Engine.IO's."""
        socket, greeting = await self.door.socket_open()
        main = await self.join(socket, "40", "40")
        await socket.receive()
        custom = await self.join(socket, "40/custom,", "40/custom,")
        self.assertEqual(len({greeting["sid"], main["sid"], custom["sid"]}), 3)

    async def test_unknown_namespace(self) -> None:
        """*Connection to a namespace*: not allowed: CONNECT_ERROR with a message."""
        for packet in ("40/random", "40/random,", '40/random,{"token":"123"}'):
            socket = await self.open()
            socket.send(packet)
            self.assertEqual(await socket.receive(), '44/random,{"message":"Invalid namespace"}')

    async def test_refusal_leaves_the_connection(self) -> None:
        """*Connection to a namespace*: refused in one, a client may join another."""
        socket = await self.open()
        socket.send("40/random")
        await socket.receive()
        await self.join(socket, "40", "40")

    async def test_no_connection_unasked(self) -> None:
        """*History*, v5 and v4: the client must send a CONNECT in any case; no main namespace by itself."""
        socket = await self.open()
        await self.join(socket, "40/custom,", "40/custom,")
        await socket.receive()
        socket.send('42["message","to the main namespace"]')
        await self.assertEnded(socket)

    async def test_event_before_connecting(self) -> None:
        """*Connection to a namespace*: anything but a CONNECT first closes the connection."""
        for packet in ('42["message","x"]', "41", "430[]", '42/custom,["message"]', "4abc", "4", b"\x01"):
            socket = await self.open()
            socket.send(packet)
            await self.assertEnded(socket)
            self.assertEqual(len(self.server), 0)

    async def test_no_connect_at_all(self) -> None:
        """*Connection to a namespace*: a client that does not send CONNECT in time is closed."""
        socket, _ = await self.door.socket_open()
        self.clock.advance(INTERVAL)
        self.assertEqual(await socket.receive(), "2")
        socket.send("3")
        socket.send("40/random,")
        self.assertTrue(str(await socket.receive()).startswith("44/random,"))
        self.clock.advance(CONNECT - INTERVAL)
        await self.assertEnded(socket)
        self.assertEqual(len(self.server), 0)

    async def test_payload_that_is_none(self) -> None:
        """*Packet types*: the payload of CONNECT is an object."""
        for packet in ("40[]", '40"token"', "401", "40true", "40{", "40{}x", '4012{"token":"1"}'):
            socket = await self.open()
            socket.send(packet)
            await self.assertEnded(socket)

    async def test_by_polling(self) -> None:
        """*Sample session*: the same packets, inside Engine.IO's payloads."""
        session = await self.door.poll_open()
        self.assertEqual((await session.post("40")).body, b"ok")
        welcome, auth = await session.poll()
        self.assertTrue(welcome.startswith('40{"sid":"'))
        self.assertEqual(auth, '42["auth",{}]')
        await session.post('42["message","a"]', '42["message","b"]')
        self.assertEqual(await session.poll(), ['42["message-back","a"]', '42["message-back","b"]'])

    async def test_upgrade(self) -> None:
        """*Sample session*: a connection goes on by WebSocket where polling left it."""
        session = await self.door.poll_open()
        await session.post("40")
        await session.poll()
        socket = await session.upgrade()
        await self.assertAlive(socket)


class DisconnectionTests(SocketIoCase):
    async def test_main_namespace(self) -> None:
        """*Disconnection from a namespace*: no response; Engine.IO may live on."""
        socket = await self.joined()
        socket.send("41")
        socket.send("40/custom,")
        self.assertTrue(str(await socket.receive()).startswith("40/custom,"))

    async def test_heartbeat_afterwards(self) -> None:
        """*Disconnection from a namespace*: the low-level connection is kept; its heartbeat goes on."""
        socket = await self.joined()
        socket.send("41")
        socket.send("40/random,")
        self.assertTrue(str(await socket.receive()).startswith("44/random,"))
        self.clock.advance(INTERVAL)
        self.assertEqual(await socket.receive(), "2")

    async def test_nothing_joined_afterwards(self) -> None:
        """*Connection to a namespace*: but who does not join again is as one who never did."""
        socket = await self.joined()
        socket.send("41")
        socket.send("40/random,")
        await socket.receive()
        self.clock.advance(INTERVAL)
        self.assertEqual(await socket.receive(), "2")
        socket.send("3")
        socket.send("40/random,")
        await socket.receive()
        self.clock.advance(CONNECT)
        await socket.end()
        self.assertEqual(len(self.server), 0)

    async def test_one_of_two(self) -> None:
        """*Disconnection from a namespace*: the others stay."""
        socket = await self.joined()
        socket.send("40/custom")
        await socket.receive()
        await socket.receive()
        socket.send("41/custom")
        await self.assertAlive(socket)

    async def test_with_a_comma(self) -> None:
        """*Examples*: ``1/admin,``."""
        socket = await self.joined()
        socket.send("40/custom,")
        await socket.receive()
        await socket.receive()
        socket.send("41/custom,")
        await self.assertAlive(socket)

    async def test_event_afterwards(self) -> None:
        """*Sending data*: a connection to the namespace comes first, again."""
        socket = await self.joined()
        socket.send("41")
        socket.send('42["message","x"]')
        await self.assertEnded(socket)

    async def test_again(self) -> None:
        """*Disconnection from a namespace*: it may be joined again, by another session id."""
        socket = await self.joined()
        for _ in range(3):
            socket.send("41")
            socket.send("40")
            self.assertTrue(str(await socket.receive()).startswith('40{"sid":"'))
            self.assertEqual(await socket.receive(), '42["auth",{}]')
