"""
What tests of the Socket.IO server on real connections share: the echo application, and a clock of ours.

The server lives in this process, on a port of 127.0.0.1, beside the REST door as in the daemon. Its timers
run by a clock that only the test moves, so that nothing depends on how fast the machine is.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet import tcp
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from resttorrent.access.principals import OWNER
from resttorrent.commands.registry import Registry
from resttorrent.rest.site import build_site
from resttorrent.socketio import Limits, SocketResource, SocketServer, Timing

from .echo_server import PATHS, EngineServerOnly, EventEcho
from .engine import Door, Eio, Poller
from .wire import Network, WebSocket

INTERVAL, TIMEOUT, CONNECT = 25.0, 20.0, 45.0
MAX_PAYLOAD = 1_000_000
_reactor: Any = installed


class EchoCase(TestCase):
    """
    A test against the echo application.

    It ends with a look at what is left: when all clients are gone and their time is over, there must be no
    session, no timer and no connection.

    :ivar mode: ``eio`` or ``sio``, see ``echo_server``.
    """

    timeout = 60
    mode = "eio"
    eio: Eio = 4
    timing = Timing(INTERVAL, TIMEOUT, CONNECT)
    limits = Limits()

    async def setUp(self) -> None:  # type: ignore[override]
        self.clock = Clock()
        make = EngineServerOnly if self.mode == "eio" else SocketServer
        self.server = make(EventEcho(), clock=self.clock, timing=self.timing, limits=self.limits)
        resource = SocketResource(self.server, reactor=self.clock, allow_origin="*")
        site = build_site(
            Registry(()),
            lambda principal: principal,
            judge=lambda facts: OWNER,
            reactor=_reactor,
            beside={PATHS[self.mode]: resource},
        )
        self._port = _reactor.listenTCP(0, site, interface="127.0.0.1")
        self.network = Network(self._port.getHost().port)
        self.door = self.door_of(self.eio)

    async def tearDown(self) -> None:  # type: ignore[override]
        await self._port.stopListening()
        await self.network.close()
        await self.until(lambda: not _connections())
        # twice: the first may send a ping, whose answer is then waited for
        self.clock.pump([INTERVAL + TIMEOUT, max(TIMEOUT, CONNECT)])
        self.assertEqual(len(self.server), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def door_of(self, eio: Eio) -> Door:
        return Door(self.network, f"/{PATHS[self.mode].decode()}/", eio)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the reactor run until something is so."""
        while not condition():
            await deferLater(_reactor, 0.001)

    async def assertServes(self) -> None:
        """The next client gets what it should."""
        socket, _ = await self.door.socket_open()
        socket.send("4the next client" if self.mode == "eio" else "40")
        answer = await socket.receive()
        self.assertTrue(str(answer).startswith("4the next client" if self.mode == "eio" else '40{"sid"'))
        socket.send("1")
        await socket.end()

    async def assertEnded(self, socket: WebSocket) -> None:
        """The server closes a WebSocket and says nothing more."""
        self.assertEqual(await socket.end(), [])


class SocketIoCase(EchoCase):
    """The same, with namespaces and events."""

    mode = "sio"

    async def open(self) -> WebSocket:
        """A WebSocket whose Engine.IO handshake is done."""
        socket, _ = await self.door.socket_open()
        return socket

    async def joined(self) -> WebSocket:
        """A client in the main namespace."""
        socket = await self.open()
        socket.send("40")
        self.assertTrue(str(await socket.receive()).startswith('40{"sid":"'))
        self.assertEqual(await socket.receive(), '42["auth",{}]')
        return socket

    async def assertAlive(self, socket: WebSocket) -> None:
        socket.send('42["message","alive"]')
        self.assertEqual(await socket.receive(), '42["message-back","alive"]')

    async def assertClosedBy(self, *packets: str | bytes) -> None:
        """A client in the main namespace that sends this is put out; the server closes the connection."""
        socket = await self.joined()
        for packet in packets:
            socket.send(packet)
        await self.assertEnded(socket)
        self.assertEqual(len(self.server), 0)


class AttackCase(SocketIoCase):
    """Attacks on that."""

    async def joined_by_polling(self) -> Poller:
        session = await self.door.poll_open()
        await session.post("40")
        await session.poll()
        return session

    async def assertPutOut(self, *packets: str | bytes) -> None:
        """Who sends this is put out, without an answer, by either transport; others are not troubled."""
        socket = await self.joined()
        for packet in packets:
            socket.send(packet)
        await self.assertEnded(socket)
        session = await self.joined_by_polling()
        for packet in packets:
            text = packet if isinstance(packet, str) else "bAQID"
            await session.post_body(text.encode("utf-8", "surrogatepass"))
        self.assertEqual((await session.get()).status, 400)
        self.assertEqual(len(self.server), 0)
        await self.assertServes()

    async def answer(self, packet: str) -> str | bytes | None:
        """What comes back for a packet; ``None`` if nothing does."""
        socket = await self.joined()
        socket.send(packet)
        socket.send("1")
        messages = await socket.end()
        return messages[0] if messages else None


def _connections() -> set[tcp.Server]:
    """The accepted connections that the reactor still looks after."""
    return {s for s in (*_reactor.getReaders(), *_reactor.getWriters()) if isinstance(s, tcp.Server)}


def bytes_in_transports() -> int:
    """What was written to accepted connections and is not yet the kernel's."""
    # Twisted tells nobody; these are the two parts of its FileDescriptor's buffer
    return sum(len(s.dataBuffer) - s.offset + s._tempDataLen for s in _connections())
