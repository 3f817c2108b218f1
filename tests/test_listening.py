"""Binding all endpoints or none, and the file that tells where."""

import json
import os
import socket
from pathlib import Path

from twisted.internet import endpoints
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from resttorrent import listening
from resttorrent.listening import (
    BACKLOG,
    CannotListen,
    describe,
    listen_all,
    remove_listening_json,
    write_listening_json,
)


@implementer(IListeningPort)
class FakePort:
    def __init__(self, address: IAddress) -> None:
        self.address, self.stopped = address, False

    def startListening(self) -> None:
        raise AssertionError("never called")

    def stopListening(self) -> None:
        self.stopped = True

    def getHost(self) -> IAddress:
        return self.address


class FussyReactor(MemoryReactor):
    """Refuses one port as the system would."""

    def __init__(self, refusal: OSError) -> None:
        super().__init__()
        self.refusal, self.bound = refusal, list[FakePort]()

    def listenTCP(self, port, factory, backlog=50, interface=""):  # type: ignore[no-untyped-def]
        if port == 2:
            raise CannotListenError(interface, port, self.refusal)
        self.bound.append(FakePort(IPv4Address("TCP", interface, port)))
        return self.bound[-1]


class ListenTests(SynchronousTestCase):
    def test_all_or_none(self) -> None:
        reactor = FussyReactor(OSError(98, "Address already in use"))
        error = self.assertRaises(
            CannotListen, listen_all, reactor, ["tcp:1", "tcp:3", "tcp:2:interface=127.0.0.1"], Factory()
        )
        self.assertEqual(str(error), "cannot listen on tcp:2:interface=127.0.0.1: address already in use")
        self.assertEqual([port.stopped for port in reactor.bound], [True, True])

    def test_reasons(self) -> None:
        for refusal, reason in (
            (OSError(13, "Permission denied"), "permission denied"),
            (OSError(99, "Cannot assign requested address"), "cannot assign requested address"),
            (socket.gaierror(-2, "Name or service not known"), "name or service not known"),
        ):
            error = self.assertRaises(CannotListen, listen_all, FussyReactor(refusal), ["tcp:2"], Factory())
            self.assertTrue(str(error).endswith(f": {reason}"), str(error))

    def test_endpoint_that_can_not_be_read(self) -> None:
        error = self.assertRaises(CannotListen, listen_all, MemoryReactor(), ["nope:1"], Factory())
        self.assertIn("nope:1: Unknown endpoint type", str(error))

    def test_endpoint_that_takes_its_time(self) -> None:
        waiting: list[Deferred[object]] = []

        class Slow:
            def listen(self, factory: object) -> Deferred[object]:
                waiting.append(Deferred())
                return waiting[-1]

        reactor = FussyReactor(OSError())
        self.patch(
            listening,
            "serverFromString",
            lambda reactor, text: Slow() if text == "slow" else endpoints.serverFromString(reactor, text),
        )
        self.assertRaises(CannotListen, listen_all, reactor, ["tcp:1", "slow"], Factory())
        self.assertTrue(reactor.bound[0].stopped)
        self.assertTrue(waiting[0].called)

    def test_queue_of_the_kernel(self) -> None:
        queues: list[int] = []

        class Counting(FussyReactor):
            def listenTCP(self, port, factory, backlog=50, interface=""):  # type: ignore[no-untyped-def]
                queues.append(backlog)
                return super().listenTCP(port, factory, backlog, interface)

        descriptions = ["tcp:1", "tcp:1:interface=127.0.0.1", "tcp6:1", "tcp:1:backlog=7"]
        listen_all(Counting(OSError()), descriptions, Factory())
        self.assertEqual(queues, [BACKLOG, BACKLOG, BACKLOG, 7])


class RealTests(TestCase):
    async def test_tcp_and_unix(self) -> None:
        from twisted.internet import reactor

        # A path of a socket has 107 bytes at most.
        path = f"/tmp/resttorrent-test-{os.getpid()}.sock"
        ports = listen_all(reactor, ["tcp:0:interface=127.0.0.1", f"unix:{path}"], Factory())
        try:
            described = [describe(port) for port in ports]
            number = described[0]["port"]
            self.assertEqual(described, [{"host": "127.0.0.1", "port": number}, {"unix": path}])
            taken = f"tcp:{number}:interface=127.0.0.1"
            with self.assertRaises(CannotListen) as caught:
                listen_all(reactor, [taken], Factory())
            self.assertEqual(str(caught.exception), f"cannot listen on {taken}: address already in use")
        finally:
            for port in ports:
                await maybeDeferred(port.stopListening)


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "listening.json"

    def write(self, address: IAddress) -> None:
        write_listening_json(self.folder, [FakePort(address)])

    def test_content_and_mode(self) -> None:
        for mask in (0o077, 0, 0o777):
            before = os.umask(mask)
            self.addCleanup(os.umask, before)
            self.write(IPv4Address("TCP", "127.0.0.1", 8080))
            self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        expected = {"addresses": [{"host": "127.0.0.1", "port": 8080}], "pid": os.getpid()}
        self.assertEqual(json.loads(self.file.read_text()), expected)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["listening.json"])

    def test_leftover_and_link_are_replaced_not_followed(self) -> None:
        victim = self.folder / "victim"
        victim.write_text("mine")
        (self.folder / "listening.json.new").symlink_to(victim)
        self.file.symlink_to(victim)
        self.write(UNIXAddress(b"/run/x"))
        self.assertEqual(victim.read_text(), "mine")
        self.assertEqual(json.loads(self.file.read_text())["addresses"], [{"unix": "/run/x"}])

    def test_removal(self) -> None:
        self.write(UNIXAddress(None))
        remove_listening_json(self.folder)
        remove_listening_json(self.folder)
        self.assertEqual(list(self.folder.iterdir()), [])
