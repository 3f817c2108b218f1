"""
What hostile clients might do by doing nothing, or by being many.

After each attack the server serves the next client. That it leaves no session, no timer and no connection
behind is in the end of every ``EchoCase``; that nothing was logged as an error is trial's rule.
"""

from resttorrent.socketio import Limits, Timing, eio_socket
from resttorrent.socketio.connection import PATIENCE

from .cases import CONNECT, INTERVAL, TIMEOUT, AttackCase, bytes_in_transports
from .engine import payload
from .wire import NoWebSocket

MiB = 1024 * 1024


class SilentClientTests(AttackCase):
    timing = Timing(INTERVAL, TIMEOUT, connect=10.0)

    async def test_engines_without_connect(self) -> None:
        """Sessions that join no namespace: gone after the connect timeout, by either transport."""
        sockets = [(await self.door.socket_open())[0] for _ in range(20)]
        for _ in range(20):
            await self.door.poll_open()
        self.assertEqual(len(self.server), 40)
        self.clock.advance(10)
        self.assertEqual(len(self.server), 0)
        for socket in sockets:
            await self.assertEnded(socket)
        await self.assertServes()

    async def test_many_refused_connects(self) -> None:
        """To be refused again and again does not put the timeout off."""
        socket, _ = await self.door.socket_open()
        for _ in range(9):
            self.clock.advance(1)
            socket.send("40/random,")
            await socket.receive()
        self.clock.advance(1)
        await self.assertEnded(socket)
        self.assertEqual(len(self.server), 0)

    async def test_coming_and_going(self) -> None:
        """To join and leave a namespace neither: who is in none is out in time."""
        socket = await self.joined()
        socket.send("41")
        socket.send("40/random,")
        await socket.receive()
        self.clock.pump([INTERVAL, TIMEOUT])
        self.assertEqual(len(self.server), 0)
        await socket.end()

    async def test_pings_that_are_never_answered(self) -> None:
        """Clients of each transport that joined, and then fell silent."""
        for _ in range(20):
            await self.joined()
            await self.joined_by_polling()
        self.assertEqual(len(self.server), 40)
        self.clock.pump([INTERVAL, TIMEOUT])
        self.assertEqual(len(self.server), 0)
        await self.assertServes()

    async def test_silent_old_clients(self) -> None:
        """Clients of Engine.IO 3, who have to ping themselves."""
        door = self.door_of(3)
        for _ in range(20):
            await door.socket_open()
            await door.poll_open()
        self.clock.advance(INTERVAL + TIMEOUT)
        self.assertEqual(len(self.server), 0)
        await self.assertServes()


class SlowReaderTests(AttackCase):
    @property
    def unsent(self) -> int:
        """Bytes in all buffers of the server."""
        return sum(engine.unsent for engine in self.server.engines) + bytes_in_transports()

    async def test_websocket_that_is_not_read(self) -> None:
        """
        A client that asks and does not read: what waits for it is bounded, for then it is not read either;
        when it goes on, all is there.
        """
        text, count = "x" * MiB, 40
        socket = await self.joined()
        socket.wire.stop_reading()
        for _ in range(count):
            socket.send(f'42["message","{text}"]')
        await self.until(lambda: self.unsent > PATIENCE)
        most = self.unsent
        # others are served meanwhile, and nothing grows
        for _ in range(10):
            await self.assertServes()
            most = max(most, self.unsent)
        self.assertLess(most, PATIENCE + 3 * MiB)
        socket.wire.go_on_reading()
        for _ in range(count):
            self.assertEqual(await socket.receive(), f'42["message-back","{text}"]')
        self.assertEqual(self.unsent, 0)

    async def test_websocket_that_is_read_never_again(self) -> None:
        """It is given up as any silent client, and its buffer with it."""
        socket = await self.joined()
        socket.wire.stop_reading()
        for _ in range(20):
            socket.send(f'42["message","{"x" * MiB}"]')
        await self.until(lambda: self.unsent > PATIENCE)
        self.clock.pump([INTERVAL, TIMEOUT])
        self.assertEqual(len(self.server), 0)
        await self.assertServes()
        socket.wire.abort()

    async def test_poller_that_never_polls(self) -> None:
        """A client that posts and fetches nothing is dropped when too much waits for it."""
        event = payload(4, f'42["message","{"x" * 900_000}"]')
        self.patch(eio_socket, "MOST_UNSENT", 4 * MiB)
        session = await self.joined_by_polling()
        statuses = []
        while len(self.server):
            statuses.append((await session.post_body(event)).status)
            self.assertLess(self.unsent, 5 * MiB)
        self.assertEqual(len(statuses), 5)
        self.assertEqual((await session.get()).status, 400)
        await self.assertServes()


class LimitTests(AttackCase):
    limits = Limits(sockets=5, per_address=3)

    async def test_sessions_of_one_address(self) -> None:
        """As many as are allowed; the next one is told so, and whoever leaves makes room."""
        for _ in range(2):
            await self.joined_by_polling()
        socket = await self.joined()
        response = await self.network.request("GET", self.door.target("polling"))
        self.assertEqual(response.status, 429)
        await self.assertNoSocket()
        self.assertEqual(len(self.server), 3)
        socket.send("1")
        await self.assertEnded(socket)
        await self.assertServes()

    async def assertNoSocket(self) -> None:
        """No session by WebSocket: refused by HTTP, or closed before anything was said."""
        try:
            socket = await self.door.socket()
        except NoWebSocket as refused:
            self.assertEqual(refused.response.status, 429)
        else:
            await self.assertEnded(socket)

    async def test_sessions_in_all(self) -> None:
        """The server's own limit, however many addresses they come from."""
        self.server.engines.limits = Limits(sockets=2, per_address=100)
        sessions = [await self.joined_by_polling() for _ in range(2)]
        self.assertEqual((await self.network.request("GET", self.door.target("polling"))).status, 429)
        await self.assertNoSocket()
        await sessions[0].post("1")
        await self.assertServes()

    async def test_refusals_leave_nothing(self) -> None:
        """To be refused a thousand times costs the server nothing."""
        for _ in range(3):
            await self.joined_by_polling()
        for _ in range(50):
            self.assertEqual((await self.network.request("GET", self.door.target("polling"))).status, 429)
        timers = len(self.clock.getDelayedCalls())
        self.assertEqual((len(self.server), timers), (3, 3))

    async def test_limit_does_not_count_the_gone(self) -> None:
        """Sessions that timed out are no longer counted, however they ended."""
        for _ in range(3):
            await self.door.poll_open()
        self.clock.pump([INTERVAL, max(TIMEOUT, CONNECT - INTERVAL)])
        self.assertEqual(len(self.server), 0)
        for _ in range(3):
            await self.joined_by_polling()
