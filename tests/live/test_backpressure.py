"""
A subscriber that stops reading among others that don't.

The benchmark of the same name does it with twenty times as many, and by the clock. Here nothing is timed:
each change waits until those who read have it.
"""

import json
import socket
from typing import Any, cast

from twisted.internet import reactor as installed
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from resttorrent.engine.fields import restate
from resttorrent.engine.views import Selection
from resttorrent.socketio import Timing
from tests.engine.feed_world import FakeSession
from tests.engine.follower import Rows, follow, table_of
from tests.engine.synthetic import Revisions, make_row
from tests.socketio.wire import Network, WebSocket

from .synthetic import live_root, live_server

FIELDS = ("infohash", "state", "name")
READERS = 9
ROWS, CHANGED = 100, 25
NAME = "n" * 300
STATES = ("downloading", "seeding", "finished")
SYSTEM_BUFFER = 16_384
STILL = 20
"""Changes after which a number that stayed the same is taken not to move any more."""
MOST_STEPS = 500
MORE = 200
PAUSED_AT = 65_536
"""Bytes in a transport's buffer beyond which Twisted asks for no more."""


class Subscriber:
    """
    A client with its table.

    :ivar pushes: how many rows each push had.
    """

    def __init__(self, wire: WebSocket) -> None:
        self._wire = wire
        self.rows: Rows = {}
        self.rev = 0
        self.pushes: list[int] = []

    async def subscribe(self) -> None:
        await self._wire.receive()
        self._wire.send("40")
        await self._wire.receive()
        question = {"command": "subscribe", "topic": "torrents", "session_id": "s1", "fields": list(FIELDS)}
        self._wire.send("42" + json.dumps(["v1", question]))
        name, opening = await self._event()
        assert (name, opening["status"]) == ("v1", "success"), opening
        self.rows, self.rev = table_of(opening["torrents"]), opening["rev"]

    async def catch_up(self, rev: int) -> None:
        """Read until it stands at a revision."""
        while self.rev < rev:
            name, push = await self._event()
            assert name == "v1/torrents"
            self.pushes.append(len(push["changed"]))
            assert push["rev"] > self.rev
            self.rows = follow(self.rows, push["changed"], push["removed"], FIELDS, filtered=False)
            self.rev = push["rev"]

    async def _event(self) -> tuple[str, Any]:
        packet = await self._wire.receive()
        assert isinstance(packet, str) and packet.startswith("42"), packet
        name, value = json.loads(packet[2:])
        return name, value

    def stop_reading(self) -> None:
        self._wire.wire.stop_reading()

    def go_on_reading(self) -> None:
        self._wire.wire.go_on_reading()


class BackpressureTests(TestCase):
    def setUp(self) -> None:
        self.reactor = reactor = cast(Any, installed)
        self.session = FakeSession("s1", reactor, Revisions(), 10_000)
        self.keys = [f"{number:040x}" for number in range(ROWS)]
        for key in self.keys:
            self.session.table.put(key, make_row(key, name=NAME, state=STATES[0]))
        self.steps = 0
        self.server = live_server(self.session, reactor, Timing(interval=1000, timeout=1000))
        port = reactor.listenTCP(0, Site(live_root(self.server, reactor)), interface="127.0.0.1")
        # what is accepted inherits it; else the kernel would take megabytes
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BUFFER)
        self.addCleanup(port.stopListening)
        self.network = Network(port.getHost().port)
        self.addCleanup(self._close)

    async def _close(self) -> None:
        await self.network.close()
        while len(self.server):
            await deferLater(self.reactor, 0)

    async def _subscriber(self) -> Subscriber:
        subscriber = Subscriber(await self.network.websocket("/socket.io/?EIO=4&transport=websocket"))
        await subscriber.subscribe()
        return subscriber

    def _change(self) -> int:
        """A quarter of the rows change what is told at once; the revision then."""
        table, first = self.session.table, self.steps * CHANGED
        for key in (self.keys[(first + i) % ROWS] for i in range(CHANGED)):
            state = STATES[(self.steps // (ROWS // CHANGED) + 1) % len(STATES)]
            # both change, so that a push is long
            row = restate(table[key].row, state=state, name=f"{NAME}{self.steps}")
            self.assertTrue(table.put(key, row))
        self.steps += 1
        return table.rev

    def _waiting(self) -> int:
        """Bytes that the daemon holds for its clients."""
        engines = list(self.server.engines)
        transports = [cast(Any, engine.channel).transport for engine in engines]
        held: int = sum(len(t.dataBuffer) - t.offset + t._tempDataLen for t in transports)
        return sum(engine.unsent for engine in engines) + held

    async def test_one_stops_reading_and_goes_on(self) -> None:
        readers = [await self._subscriber() for _ in range(READERS)]
        slow = await self._subscriber()
        slow.stop_reading()

        async def change() -> None:
            rev = self._change()
            for reader in readers:
                await reader.catch_up(rev)

        # until the system's buffers are full, and Twisted's
        still = waiting = 0
        while still < STILL:
            self.assertLess(self.steps, MOST_STEPS)
            await change()
            before, waiting = waiting, self._waiting()
            still = still + 1 if waiting and waiting == before else 0
        push = len(NAME) * CHANGED * 2
        self.assertLess(waiting, PAUSED_AT + push)
        for _ in range(MORE):
            await change()
            # the system may take a little more at any time; it never adds up
            self.assertLess(self._waiting(), PAUSED_AT + push)

        slow.go_on_reading()
        rev = self.session.table.rev
        await slow.catch_up(rev)
        # what was on its way when it stopped, then all that it missed in one piece
        self.assertEqual(max(slow.pushes), ROWS)
        self.assertLess(len(slow.pushes), self.steps - MORE // 2)
        for reader in readers:
            self.assertEqual(reader.pushes, [CHANGED] * self.steps)
        for subscriber in (*readers, slow):
            self.assertEqual(subscriber.rows, self._listed())
        # and it keeps up again
        await change()
        await slow.catch_up(self.session.table.rev)
        self.assertEqual(slow.pushes[-1], CHANGED)
        self.assertEqual(slow.rows, self._listed())

    def _listed(self) -> Rows:
        """What a fresh list has."""
        rows, _ = self.session.views.of(Selection(FIELDS)).rows()
        return table_of(json.loads(rows))
