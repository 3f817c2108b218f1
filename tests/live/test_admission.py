"""By what Socket.IO clients are counted."""

from ipaddress import ip_network

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.live.admission import counted_by
from resttorrent.socketio import Handshake
from tests.access.support import World


class CountedTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        count = counted_by(World(trusted=(ip_network("192.0.2.7/32"), ip_network("127.0.0.0/8"))).policy)
        for peer, forwarded, counted in (
            (IPv4Address("TCP", "192.0.2.1", 1), "", "192.0.2.1"),
            (IPv6Address("TCP", "2001:db8::1", 1), "", "2001:db8::/64"),
            # loopback and UNIX sockets by no address
            (IPv4Address("TCP", "127.0.0.1", 1), "", ""),
            (IPv6Address("TCP", "::1", 1), "", ""),
            (UNIXAddress(None), "", ""),
            # what a proxy says counts if it is trusted
            (IPv4Address("TCP", "192.0.2.7", 1), "192.0.2.9", "192.0.2.9"),
            (IPv4Address("TCP", "127.0.0.1", 1), "192.0.2.9", "192.0.2.9"),
            (IPv4Address("TCP", "192.0.2.1", 1), "192.0.2.9", "192.0.2.1"),
        ):
            headers = {"x-forwarded-for": forwarded} if forwarded else {}
            self.assertEqual(count(Handshake({}, headers, "", peer)), counted, (peer, forwarded))
