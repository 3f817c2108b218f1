"""An event stream over TCP whose client stops reading."""

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from .feeding import NUMBERS, EventReader, Feeds
from .wire import World, head

PUSH = 50_000
MOST_TURNS = 20_000
STILL = 50
"""Turns without a write, after which it has come to a halt."""


class Client(Protocol):
    """Reads events, in HTTP/1.0 so that there are no chunks; stops when told to."""

    def __init__(self) -> None:
        self.reader = EventReader()
        self.steps: list[tuple[int, int]] = []
        self.opened: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self._head = b""

    def connectionMade(self) -> None:
        request = head("GET", "/v1/numbers").replace(b"HTTP/1.1", b"HTTP/1.0")
        self.transport.write(request)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        if not self._head.endswith(b"\r\n\r\n"):
            head, separator, data = (self._head + data).partition(b"\r\n\r\n")
            self._head = head + separator
        for event in self.reader.feed(data):
            pushed = json.loads(event.data)
            if "status" in pushed:
                self.opened.callback(None)
            else:
                self.steps.append((pushed["from"], pushed["to"]))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class SlowClientTests(TestCase):
    async def test_stops_reading_and_goes_on(self) -> None:
        from twisted.internet import reactor

        loop: Any = reactor
        feeds = Feeds()
        world = World(registry=NUMBERS, context=feeds)
        port = loop.listenTCP(0, world.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = TCP4ClientEndpoint(loop, "127.0.0.1", port.getHost().port)
        client = await connectProtocol(endpoint, Client())
        transport: Any = client.transport
        self.addCleanup(lambda: client.lost)
        self.addCleanup(transport.abortConnection)
        await client.opened
        transport.pauseProducing()
        feeds.filler = b"x" * PUSH

        # until the system's buffers are full, and ours
        turns = still = 0
        while still < STILL:
            turns += 1
            self.assertLess(turns, MOST_TURNS)
            cursor = feeds.feed.cursor
            feeds.step()
            await deferLater(loop, 0)
            still = still + 1 if feeds.feed.cursor == cursor else 0
        stuck, taken = feeds.feed.cursor, feeds.feed.taken
        for _ in range(1000):
            feeds.step()
        await deferLater(loop, 0)
        self.assertEqual((feeds.feed.cursor, feeds.feed.taken), (stuck, taken))
        [channel] = [c for c in world.site.connections if c is not world.wire.protocol]
        lower: Any = channel.transport
        self.assertLess(len(lower.dataBuffer) + lower._tempDataLen, 64 * 1024 + PUSH + 1024)

        transport.resumeProducing()
        while not client.steps or client.steps[-1][1] != feeds.count:
            await deferLater(loop, 0)
        # none lost, none twice, and what was missed in one piece
        self.assertEqual(client.steps[0][0], 7)
        for (_, last), (first, _) in zip(client.steps, client.steps[1:], strict=False):
            self.assertEqual(last, first)
        self.assertEqual(client.steps[-1], (stuck, feeds.count))
