"""Writing at once: what goes by the socket, what goes the ordinary way, and in which order."""

from typing import Any

from twisted.internet import reactor as installed
from twisted.internet import tcp, unix
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from resttorrent.eager import EagerServer, make_eager
from resttorrent.listening import listen_all


class FakeSocket:
    """
    Takes what there is room for.

    :ivar error: raised in place of that.
    """

    def __init__(self) -> None:
        self.sent = b""
        self.room = 100
        self.error: OSError | None = None

    def send(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        if not self.room:
            raise BlockingIOError(11, "full")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def fileno(self) -> int:
        return 1000


class Pulled:
    """A pull producer that counts."""

    def __init__(self) -> None:
        self.pulled = 0

    def resumeProducing(self) -> None:
        self.pulled += 1

    def stopProducing(self) -> None:
        """The connection is gone."""


class Pushing(Pulled):
    """A push producer that counts."""

    paused = 0

    def pauseProducing(self) -> None:
        self.paused += 1


class EagerServerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.socket: Any = FakeSocket()
        self.protocol = Protocol()
        arguments: Any = (self.socket, self.protocol, ("127.0.0.1", 1), None, 0, self.reactor)
        self.transport = EagerServer(*arguments)

    @property
    def watched(self) -> bool:
        return self.transport in self.reactor.getWriters()

    def test_all_at_once(self) -> None:
        self.transport.write_at_once(b"one")
        self.transport.write_at_once(b"two")
        self.assertEqual(self.socket.sent, b"onetwo")
        self.assertFalse(self.watched)

    def test_what_is_not_taken_goes_later(self) -> None:
        self.socket.room = 2
        self.transport.write_at_once(b"one")
        self.assertEqual(self.socket.sent, b"on")
        self.assertTrue(self.watched)
        self.socket.room = 100
        self.transport.write_at_once(b"two")
        self.assertEqual(self.socket.sent, b"on", "what waits goes first")
        self.transport.doWrite()
        self.assertEqual(self.socket.sent, b"onetwo")
        self.assertFalse(self.watched)

    def test_order_while_the_buffer_is_half_out(self) -> None:
        self.transport.write(b"first")
        self.socket.room = 2
        self.transport.doWrite()
        self.socket.room = 100
        self.transport.write_at_once(b"second")
        self.transport.doWrite()
        self.assertEqual(self.socket.sent, b"firstsecond")

    def test_full(self) -> None:
        self.socket.room = 0
        self.transport.write_at_once(b"one")
        self.assertTrue(self.watched)
        self.socket.room = 100
        self.transport.doWrite()
        self.assertEqual(self.socket.sent, b"one")

    def test_lost(self) -> None:
        # nobody is told in the middle of a write
        self.socket.error = ConnectionResetError(104, "reset")
        self.transport.write_at_once(b"one")
        self.assertTrue(self.transport.connected)
        self.assertIsInstance(self.transport.doWrite(), ConnectionLost)

    def test_nothing(self) -> None:
        self.transport.write_at_once(b"")
        self.assertFalse(self.watched)

    def test_push_producer_is_paused_by_what_waits(self) -> None:
        producer: Any = Pushing()
        self.transport.registerProducer(producer, True)
        self.transport.write_at_once(b"one")
        self.assertEqual((self.socket.sent, producer.paused), (b"one", 0))
        self.transport.write_at_once(bytes(70_000))
        self.assertEqual(producer.paused, 1)
        self.socket.room = 1_000_000
        self.transport.doWrite()
        self.assertEqual(producer.pulled, 1)

    def test_pull_producer_is_pulled_on(self) -> None:
        producer: Any = Pulled()
        self.transport.registerProducer(producer, False)
        self.transport.write_at_once(b"one")
        self.assertTrue(self.watched)
        self.transport.doWrite()
        self.assertEqual((self.socket.sent, producer.pulled), (b"one", 2))

    def test_not_connected(self) -> None:
        self.transport.connected = 0
        self.transport.write_at_once(b"one")
        self.assertEqual((self.socket.sent, self.watched), (b"", False))

    def test_half_closed(self) -> None:
        self.transport._writeDisconnected = True
        self.transport.write_at_once(b"one")
        self.assertEqual((self.socket.sent, self.watched), (b"", False))

    def test_tls(self) -> None:
        written: list[bytes] = []
        protocol: Any = self.protocol
        protocol.write = written.append
        self.transport.TLS = True
        self.transport.write_at_once(b"one")
        self.assertEqual((self.socket.sent, written), (b"", [b"one"]))


class PortTests(TestCase):
    def test_plain(self) -> None:
        [port] = listen_all(installed, ["tcp:0:interface=127.0.0.1"], Factory())
        self.addCleanup(port.stopListening)
        made: Any = port
        self.assertIs(made.transport, EagerServer)

    def test_others_stay_as_they_are(self) -> None:
        factory, below_tls = Factory(), Factory()
        ports: tuple[Any, ...] = (tcp.Port(0, below_tls), unix.Port(b"/nowhere", factory), object())
        for port in ports:
            before = getattr(port, "transport", None)
            make_eager(port, factory)
            self.assertIs(getattr(port, "transport", None), before)
