"""
Who asks whether the other is still there, and when a session is given up.

Rules of the Engine.IO protocol: version 4, *Heartbeat* (the server pings); version 3, *Packet* and *Timeouts*
(the client does). The time is the test's own.
"""

from .cases import INTERVAL, TIMEOUT, EchoCase
from .engine import Eio, Poller


class HeartbeatCase(EchoCase):
    async def assertGone(self, session: Poller) -> None:
        self.assertEqual(len(self.server), 0)
        self.assertEqual((await session.get()).status, 400)
        self.assertEqual((await session.post("3")).status, 400)


class HeartbeatTests4(HeartbeatCase):
    eio: Eio = 4

    async def test_polling(self) -> None:
        """v4: at each pingInterval the server sends a ping, and goes on when it was answered."""
        session = await self.door.poll_open()
        for _ in range(5):
            self.clock.advance(INTERVAL)
            self.assertEqual(await session.poll(), ["2"])
            self.clock.advance(TIMEOUT - 1)
            self.assertEqual((await session.post("3")).status, 200)

    async def test_websocket(self) -> None:
        """v4: the same by WebSocket."""
        socket, _ = await self.door.socket_open()
        for _ in range(5):
            self.clock.advance(INTERVAL)
            self.assertEqual(await socket.receive(), "2")
            socket.send("3")
            # when the message is back, the pong before it was read
            socket.send("4")
            self.assertEqual(await socket.receive(), "4")

    async def test_no_ping_too_early(self) -> None:
        """v4: pingInterval is what the handshake said."""
        socket, _ = await self.door.socket_open()
        self.clock.advance(INTERVAL - 0.5)
        socket.send("4first")
        self.assertEqual(await socket.receive(), "4first")
        self.clock.advance(0.5)
        self.assertEqual(await socket.receive(), "2")

    async def test_ping_ends_a_poll(self) -> None:
        """v4: a ping is something to send to a GET that waits."""
        session = await self.door.poll_open()
        waiting = await session.begin_get()
        self.clock.advance(INTERVAL)
        self.assertEqual(await session.packets(waiting), ["2"])

    async def test_silent_poller(self) -> None:
        """v4: no pong within pingTimeout of the ping: the connection is closed."""
        session = await self.door.poll_open()
        self.clock.pump([INTERVAL, TIMEOUT - 0.5])
        self.assertEqual(len(self.server), 1)
        self.clock.advance(0.5)
        await self.assertGone(session)

    async def test_silent_poller_of_a_busy_server(self) -> None:
        """v4: its time is over when it is over, also where the server's timer is late."""
        session = await self.door.poll_open()
        self.clock.advance(INTERVAL)
        self.clock.rightNow += TIMEOUT
        self.assertEqual((await session.get()).status, 400)
        await self.assertGone(session)

    async def test_poller_that_never_answers(self) -> None:
        """v4: it is pong that counts: to poll and to send is not enough."""
        session = await self.door.poll_open()
        self.clock.advance(INTERVAL)
        self.assertEqual(await session.poll(), ["2"])
        waiting = await session.begin_get()
        await session.post("4hello")
        self.assertEqual(await session.packets(waiting), ["4hello"])
        waiting = await session.begin_get()
        self.clock.advance(TIMEOUT)
        self.assertEqual(await session.packets(waiting), ["1"])
        await self.assertGone(session)

    async def test_silent_websocket(self) -> None:
        """v4: the same by WebSocket."""
        socket, _ = await self.door.socket_open()
        self.clock.pump([INTERVAL, TIMEOUT])
        self.assertEqual(await socket.end(), ["2"])
        self.assertEqual(len(self.server), 0)

    async def test_pong_that_was_not_asked_for(self) -> None:
        """v4: a pong answers a ping; one in advance puts nothing off."""
        socket, _ = await self.door.socket_open()
        self.clock.advance(INTERVAL - 1)
        socket.send("3")
        socket.send("4")
        self.assertEqual(await socket.receive(), "4")
        self.clock.advance(1)
        self.assertEqual(await socket.receive(), "2")

    async def test_ping_of_the_client(self) -> None:
        """v4, *History*, v3 to v4: pings are the server's now."""
        session = await self.door.poll_open()
        self.assertEqual((await session.post("2")).status, 400)
        await self.assertGone(session)


class HeartbeatTests3(HeartbeatCase):
    eio: Eio = 3

    async def test_polling(self) -> None:
        """v3, *ping*: the client pings, the server answers with a pong."""
        session = await self.door.poll_open()
        for _ in range(5):
            self.clock.advance(INTERVAL)
            self.assertEqual((await session.post("2")).body, b"ok")
            self.assertEqual(await session.poll(), ["3"])

    async def test_websocket(self) -> None:
        """v3, *ping*: the same by WebSocket."""
        socket, _ = await self.door.socket_open()
        for _ in range(5):
            self.clock.advance(INTERVAL)
            socket.send("2")
            self.assertEqual(await socket.receive(), "3")

    async def test_pong_with_the_same_data(self) -> None:
        """v3, *ping*: the pong contains the same data."""
        socket, _ = await self.door.socket_open()
        for data in ("probe", "é€𝄞", "x" * 1000):
            socket.send(f"2{data}")
            self.assertEqual(await socket.receive(), f"3{data}")

    async def test_server_does_not_ping(self) -> None:
        """v3, *Timeouts*: it is the client who pings."""
        socket, _ = await self.door.socket_open()
        self.clock.advance(INTERVAL + TIMEOUT - 0.5)
        socket.send("4first")
        self.assertEqual(await socket.receive(), "4first")

    async def test_anything_is_a_sign_of_life(self) -> None:
        """v3, *Timeouts*: unresponsive is who sends no data at all within pingTimeout + pingInterval."""
        session = await self.door.poll_open()
        for packet in ("4hello", "6", "2", "4hello"):
            self.clock.advance(INTERVAL + TIMEOUT - 0.5)
            self.assertEqual((await session.post(packet)).status, 200)

    async def test_silent_poller(self) -> None:
        """v3, *Timeouts*: who is silent for pingTimeout + pingInterval is given up."""
        session = await self.door.poll_open()
        waiting = await session.begin_get()
        self.clock.advance(INTERVAL + TIMEOUT)
        self.assertEqual(await session.packets(waiting), ["1"])
        await self.assertGone(session)

    async def test_silent_websocket(self) -> None:
        """v3, *Timeouts*: the same by WebSocket."""
        socket, _ = await self.door.socket_open()
        self.clock.advance(INTERVAL + TIMEOUT)
        await self.assertEnded(socket)
        self.assertEqual(len(self.server), 0)
