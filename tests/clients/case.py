"""What the tests with real clients share: a daemon, and a driver with one client for each transport."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.clients.drivers import TRANSPORTS, Driver, Socket
from tests.harness import Client, Daemon

# 4, 3 and 2 bytes of UTF-8; 2, 1 and 1 units of UTF-16
TEXT = "𝄞€é"
NAME = TEXT * 20


def magnet(number: int, name: str) -> str:
    """A link that names a torrent, in the very characters."""
    return f"magnet:?xt=urn:btih:{number:040x}&dn={name}"


class ClientTestCase(SynchronousTestCase):
    """A daemon and a driver; ``kind`` is the driver's."""

    kind = ""

    def setUp(self) -> None:
        self.daemon = Daemon(Path(self.mktemp()).resolve()).start()
        self.addCleanup(self.end)
        self.rest = self.connect()
        self.driver = Driver(self.kind)
        self.addCleanup(self.driver.close)

    def end(self) -> None:
        if self.daemon.is_running:
            self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(self.daemon.tracebacks(), [])

    def connect(self) -> Client:
        client = self.daemon.client()
        self.addCleanup(client.close)
        return client

    def sockets(self, port: int | None = None) -> list[Socket]:
        """One client for each transport."""
        return [Socket(self.driver, port or self.daemon.port, transport) for transport in TRANSPORTS]
