"""
From polling to a WebSocket, with nothing lost on the way.

Rules of the Engine.IO protocol, version 4, *Upgrade*, and version 3, *Transport upgrading*.
"""

from resttorrent.socketio.eio_socket import PROBE_TIMEOUT

from .cases import INTERVAL, TIMEOUT, EchoCase
from .engine import Eio, Poller
from .wire import WebSocket


class UpgradeTests4(EchoCase):
    eio: Eio = 4

    async def probed(self) -> tuple[Poller, WebSocket]:
        """A session whose probe was answered."""
        session = await self.door.poll_open()
        socket = await session.socket()
        socket.send("2probe")
        self.assertEqual(await socket.receive(), "3probe")
        return session, socket

    async def assertPolls(self, session: Poller) -> None:
        """The session goes on by polling."""
        self.assertEqual((await session.post("4still here")).status, 200)
        self.assertEqual(await session.poll(), ["4still here"])

    # -- the way over ----------------------------------------------------

    async def test_probe_is_answered(self) -> None:
        """*Upgrade*: ``2probe`` is answered with ``3probe``; after ``5`` all goes by WebSocket."""
        _, socket = await self.probed()
        socket.send("5")
        socket.send("4hello")
        self.assertEqual(await socket.receive(), "4hello")

    async def test_waiting_get_is_let_go(self) -> None:
        """*Upgrade*: a pending GET is answered with a noop."""
        session = await self.door.poll_open()
        waiting = await session.begin_get()
        socket = await session.socket()
        socket.send("2probe")
        self.assertEqual(await session.packets(waiting), ["6"])
        self.assertEqual(await socket.receive(), "3probe")

    async def test_get_after_the_probe(self) -> None:
        """*Upgrade*: so is one that comes between the probe and its end."""
        session, socket = await self.probed()
        self.assertEqual(await session.poll(), ["6"])
        self.assertEqual(await session.poll(), ["6"])
        socket.send("5")
        socket.send("4hello")
        self.assertEqual(await socket.receive(), "4hello")

    async def test_what_was_buffered(self) -> None:
        """v3, *Transport upgrading*: upon ``5`` all buffers go by the new transport."""
        session = await self.door.poll_open()
        await session.post("41", "42")
        socket = await session.socket()
        socket.send("2probe")
        self.assertEqual(await socket.receive(), "3probe")
        await session.post("43")
        socket.send("5")
        socket.send("44")
        self.assertEqual([await socket.receive() for _ in range(4)], ["41", "42", "43", "44"])

    async def test_what_was_polled_comes_once(self) -> None:
        """v3, *Transport upgrading*: what the old transport has brought does not come again."""
        session, socket = await self.probed()
        await session.post("41")
        self.assertEqual(await session.poll(), ["41"])
        await session.post("42")
        socket.send("5")
        socket.send("43")
        self.assertEqual([await socket.receive() for _ in range(2)], ["42", "43"])

    async def test_binary_that_was_buffered(self) -> None:
        """*WebSocket*: what was base64 in a POST is a binary frame now."""
        session = await self.door.poll_open()
        await session.post("b4AQID" if self.eio == 3 else "bAQID")
        socket = await session.upgrade()
        self.assertEqual(await socket.receive(), b"\x04\x01\x02\x03" if self.eio == 3 else b"\x01\x02\x03")

    async def test_nothing_else_by_the_probe(self) -> None:
        """*Upgrade*: until ``5`` the session polls: messages do not go by the probing WebSocket."""
        session, socket = await self.probed()
        await session.post("4by polling")
        self.assertEqual(await session.poll(), ["4by polling"])
        socket.send("5")
        socket.send("4by websocket")
        self.assertEqual(await socket.receive(), "4by websocket")

    async def test_post_during_the_probe(self) -> None:
        """*Upgrade*: what the client had begun to send still counts."""
        session, socket = await self.probed()
        self.assertEqual((await session.post("4hello")).body, b"ok")
        socket.send("5")
        self.assertEqual(await socket.receive(), "4hello")

    async def test_close_after_the_upgrade(self) -> None:
        """*Protocol*, close: as on any WebSocket."""
        session = await self.door.poll_open()
        socket = await session.upgrade()
        socket.send("1")
        await self.assertEnded(socket)
        self.assertEqual(len(self.server), 0)

    # -- afterwards ------------------------------------------------------

    async def test_http_afterwards(self) -> None:
        """*Upgrade*: polling is over: requests with that sid are 400, and change nothing."""
        session = await self.door.poll_open()
        socket = await session.upgrade()
        socket.send("4hello")
        self.assertEqual(await socket.receive(), "4hello")
        self.assertEqual((await session.get()).status, 400)
        self.assertEqual((await session.post("4lost")).status, 400)
        socket.send("4again")
        self.assertEqual(await socket.receive(), "4again")

    async def test_second_websocket_afterwards(self) -> None:
        """*WebSocket*: not more than one per session: the second is closed, the first goes on."""
        session = await self.door.poll_open()
        socket = await session.upgrade()
        await self.assertEnded(await session.socket())
        socket.send("4hello")
        self.assertEqual(await socket.receive(), "4hello")

    async def test_second_websocket_meanwhile(self) -> None:
        """*WebSocket*: also while the first one probes."""
        session, socket = await self.probed()
        await self.assertEnded(await session.socket())
        socket.send("5")
        socket.send("4hello")
        self.assertEqual(await socket.receive(), "4hello")

    # -- attempts that fail ----------------------------------------------

    async def test_probe_that_never_ends(self) -> None:
        """*Upgrade*: without ``5`` the probe is closed after a while, and polling goes on."""
        session, socket = await self.probed()
        self.clock.advance(PROBE_TIMEOUT)
        await self.assertEnded(socket)
        await self.assertPolls(session)

    async def test_websocket_that_never_probes(self) -> None:
        """*Upgrade*: nor does it wait longer for ``2probe``."""
        session = await self.door.poll_open()
        socket = await session.socket()
        self.clock.advance(PROBE_TIMEOUT)
        await self.assertEnded(socket)
        await self.assertPolls(session)

    async def test_probe_that_hangs_up(self) -> None:
        """*Upgrade*: a WebSocket that fails while it probes harms nothing; another may try."""
        session, socket = await self.probed()
        socket.wire.abort()
        await self.until(lambda: not self.probing())
        await self.assertPolls(session)
        again = await session.upgrade()
        again.send("4hello")
        self.assertEqual(await again.receive(), "4hello")

    def probing(self) -> bool:
        return any(engine.upgrading for engine in self.server.engines)

    async def test_upgrade_without_a_probe(self) -> None:
        """*Upgrade*: ``5`` comes after the probe."""
        session = await self.door.poll_open()
        socket = await session.socket()
        socket.send("5")
        await self.assertEnded(socket)
        await self.assertPolls(session)

    async def test_something_else_than_a_probe(self) -> None:
        """*Upgrade*: a ping with the string ``probe``, nothing else."""
        for packet in ("2", "2prob", "4hello", "3probe", "1", "abc", b"\x04\x01"):
            session = await self.door.poll_open()
            socket = await session.socket()
            socket.send(packet)
            await self.assertEnded(socket)
            await self.assertPolls(session)

    async def test_session_that_ends_meanwhile(self) -> None:
        """*Protocol*, close: with the session goes the WebSocket that probes for it."""
        session, socket = await self.probed()
        await session.post("1")
        await self.assertEnded(socket)
        self.assertEqual(len(self.server), 0)

    # -- heartbeat -------------------------------------------------------

    async def test_heartbeat_goes_on(self) -> None:
        """*Heartbeat*: it belongs to the session, not to its transport."""
        session = await self.door.poll_open()
        socket = await session.upgrade()
        socket.send("4hello")
        self.assertEqual(await socket.receive(), "4hello")
        self.clock.advance(INTERVAL)
        if self.eio == 3:
            socket.send("2")
            self.assertEqual(await socket.receive(), "3")
        else:
            self.assertEqual(await socket.receive(), "2")
        self.clock.advance(INTERVAL + TIMEOUT)
        await self.assertEnded(socket)
        self.assertEqual(len(self.server), 0)


class UpgradeTests3(UpgradeTests4):
    eio: Eio = 3

    async def test_ping_by_polling_meanwhile(self) -> None:
        """v3, *ping*: such a client goes on to ping by polling until the upgrade is done."""
        session, socket = await self.probed()
        await session.post("2")
        self.assertEqual(await session.poll(), ["3"])
        socket.send("5")
        socket.send("2")
        self.assertEqual(await socket.receive(), "3")
