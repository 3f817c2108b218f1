"""The guarded fetcher: nothing in here connects to anything but 127.0.0.1."""

import gzip
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import address as twisted_address
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from resttorrent import __version__
from resttorrent.errors import AddressRefused, BadParameter, CommandError, FetchFailed, FetchTimeout, TooLarge
from resttorrent.fetch import DEADLINE, MAX_REDIRECTS, Fetcher
from resttorrent.fetch.addresses import is_admitted, is_public
from resttorrent.fetch.connector import MAX_HEAD
from resttorrent.fetch.fetcher import CONCURRENT_FETCHES
from resttorrent.fetch.lookup import CONCURRENT_LOOKUPS
from resttorrent.fetch.targets import parse_target, redirect_target

LOOPBACK = IPv4Network("127.0.0.0/8")
PUBLIC, OTHER, PUBLIC_V6 = "93.184.216.34", "151.101.1.69", "2606:2800:220:1::1"
LIMIT = 1000
NOT_PUBLIC = """
0.0.0.0 10.1.2.3 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.8 192.168.1.1 198.18.0.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
168.63.129.16
:: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::7f00:1 ::8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1
100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1 2002:7f00:1::1 2002:808:808::1 3fff::1 fc00::1
fd12::1 fe80::1 fe80::1%2 fec0::1 ff02::1 4000::1
"""
FULLWIDTH = "\uff11\uff12\uff17.\uff10.\uff10.\uff11"


@implementer(IHostnameResolver)
class FakeResolver:
    """Answers from a script: the n-th lookup of a name gets its n-th answer, the last one ever after."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(script) for name, script in answers.items()}
        self.asked: list[str] = []
        self.hanging: list[IResolutionReceiver] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        self.asked.append(hostName)
        if hostName == "hangs.example":
            self.hanging.append(resolutionReceiver)
            return None  # type: ignore[return-value]
        script = self.answers.get(hostName, [[]])
        for text in script.pop(0) if len(script) > 1 else script[0]:
            kind = twisted_address.IPv6Address if ":" in text else twisted_address.IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", text, portNumber))
        resolutionReceiver.resolutionComplete()
        return None  # type: ignore[return-value]


class Wire(StringTransport):
    """The client's end of a connection; remembers how it ended."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class MemoryTestCase(SynchronousTestCase):
    """A fetcher on a recording reactor: a connection happens only when a test says so."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.resolver = FakeResolver(
            public_example=[[PUBLIC]], other_example=[[OTHER]], both_example=[[PUBLIC_V6, PUBLIC]]
        )
        self.fetcher = self.make_fetcher()

    def tearDown(self) -> None:
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def make_fetcher(self, allow: Sequence[IPv4Network | IPv6Network] = ()) -> Fetcher:
        return Fetcher(self.reactor, allow=allow, resolver=self.resolver)

    def fetch(self, url: str, limit: int = LIMIT) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self.fetcher.fetch(url, limit=limit))

    def attempts(self) -> list[tuple[str, int]]:
        return [(host, port) for host, port, *_ in self.reactor.tcpClients]

    def accept(self, number: int = 0) -> tuple[Any, Wire]:
        """Let the n-th connection attempt succeed."""
        host, port, factory, *_ = self.reactor.tcpClients[number]
        protocol: Any = factory.buildProtocol(twisted_address.IPv4Address("TCP", host, port))
        wire = Wire()
        protocol.makeConnection(wire)
        return protocol, wire

    def refuse(self, number: int) -> None:
        factory: Any = self.reactor.tcpClients[number][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    def answer(self, data: bytes, number: int = 0) -> Wire:
        protocol, wire = self.accept(number)
        protocol.dataReceived(data)
        return wire

    def assert_refused(self, result: Deferred[bytes], kind: type[CommandError]) -> CommandError:
        error = self.failureResultOf(result, kind).value
        assert isinstance(error, CommandError)
        self.assertEqual(error.field, "url")
        return error


class AddressTests(SynchronousTestCase):
    def test_refused(self) -> None:
        for text in NOT_PUBLIC.split():
            self.assertFalse(is_public(ip_address(text)), text)

    def test_public(self) -> None:
        for text in ("8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", PUBLIC, PUBLIC_V6, "2a00::1"):
            self.assertTrue(is_public(ip_address(text)), text)

    @given(st.ip_addresses())
    def test_never_laxer_than_the_standard_library(self, address: IPv4Address | IPv6Address) -> None:
        if not address.is_global or address.is_multicast or address.is_reserved:
            self.assertFalse(is_public(address))

    @given(st.ip_addresses(v=4))
    def test_ipv4_inside_ipv6_is_never_public(self, address: IPv4Address) -> None:
        number = int(address)
        for wrapped in (number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
            self.assertFalse(is_public(IPv6Address(wrapped)))

    def test_allow(self) -> None:
        allow: list[IPv4Network | IPv6Network] = [LOOPBACK, IPv6Network("fe80::/10")]
        self.assertTrue(is_admitted(ip_address("127.0.0.1"), allow))
        self.assertTrue(is_admitted(ip_address("fe80::1%2"), allow))
        self.assertTrue(is_admitted(ip_address("8.8.8.8"), allow))
        self.assertFalse(is_admitted(ip_address("::ffff:127.0.0.1"), allow))
        self.assertFalse(is_admitted(ip_address("10.0.0.1"), allow))


class TargetTests(SynchronousTestCase):
    def test_pieces(self) -> None:
        for url, canonical, literal in (
            ("HTTP://Example.COM", "http://example.com/", None),
            ("http://example.com:80?a=b#c", "http://example.com/?a=b", None),
            ("https://example.com.:444/x|y/é?ü=%20", "https://example.com:444/x|y/%C3%A9?%C3%BC=%20", None),
            ("http://Bücher.example/", "http://xn--bcher-kva.example/", None),
            ("http://example.com:/", "http://example.com/", None),
            ("http://h//double", "http://h//double", None),
            ("http://[2606:2800:0::1]:81/", "http://[2606:2800::1]:81/", ip_address("2606:2800::1")),
            ("http://0x08080808/", "http://8.8.8.8/", ip_address("8.8.8.8")),
        ):
            target = parse_target(url)
            self.assertEqual((target.url, target.literal), (canonical, literal))

    def test_odd_spellings_of_loopback(self) -> None:
        plain = ("127.1", "0x7f000001", "2130706433", "127.0.0.1.", "0177.0.0.1", "0x7f.1", "127.0.1")
        for host in (*plain, FULLWIDTH, "127\u30020\u30020\u30021"):
            self.assertEqual(parse_target(f"http://{host}/").literal, ip_address("127.0.0.1"), host)
        self.assertEqual(parse_target("http://[::ffff:127.0.0.1]/").literal, ip_address("::ffff:127.0.0.1"))

    def test_errors(self) -> None:
        for url in (
            "", "example.com", "//example.com/", "http:/example.com", "http:example.com", "http://",
            "http:///x", "http://:80/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
            "javascript:alert(1)", "http://user@example.com/", "http://user:secret@example.com/",
            "http://example.com:0/", "http://example.com:65536/", "http://example.com:x/",
            "http://example.com:\u0661/", "http://a b/", " http://example.com/", "http://example.com/\n",
            "http://example.com/\r\nX: y", "http://example.com/\0", "http://example.com\\@127.0.0.1/",
            "http://example.com/\x85", "http://example.com/\u2028", "http://example.com/\x7f",
            "http://example.com/\ud800", "http://exa\udcffmple.com/", "http://%31%32%37.0.0.1/",
            "http://[::1", "http://::1/", "http://[::1]x/", "http://[fe80::1%25eth0]/", "http://[1.2.3.4]/",
            "http://a..b/", "http://.a/", "http://256.1.1.1/", "http://08.8.8.8/", "http://1.2.3.4.5/",
            "http://-\u200d.example/", f"http://{'a' * 64}.example/", f"http://{'é' * 64}.example/",
            "http://" + ".".join(["a" * 50] * 5) + "/", "http://example.com/" + "x" * 9000,
        ):  # fmt: skip
            with self.assertRaises(ValueError, msg=repr(url)) as caught:
                parse_target(url)
            # a UnicodeError would be one that slipped through from a codec
            self.assertIs(type(caught.exception), ValueError, url)

    def test_longest_host(self) -> None:
        host = ".".join(["a" * 63] * 3 + ["b" * 61])
        self.assertEqual(len(host), 253)
        self.assertEqual(parse_target(f"http://{host}/").host, host)

    @given(st.text(max_size=60))
    def test_any_text_is_a_target_or_a_value_error(self, text: str) -> None:
        for url in (text, "http://" + text, "http://example.com/" + text):
            try:
                target = parse_target(url)
            except ValueError:
                continue
            self.assertEqual(parse_target(target.url), target)
            self.assertTrue(target.url.isascii() and target.url.isprintable() and " " not in target.url)

    def test_redirects(self) -> None:
        base = parse_target("https://example.com:8443/a/b?c")
        for location, expected in (
            (b"d", "https://example.com:8443/a/d"),
            (b"/d?e", "https://example.com:8443/d?e"),
            (b"//other.example/", "https://other.example/"),
            (b"http://[::1]/", "http://[::1]/"),
            ("/é".encode(), "https://example.com:8443/%C3%A9"),
            (b"/\xe9", "https://example.com:8443/%E9"),
        ):
            self.assertEqual(redirect_target(base, location).url, expected)
        for location in (b"file:///etc/passwd", b"h ttp://x/", b"\thttp://x/", b"http://a@b/", b"/" * 9000):
            self.assertRaises(ValueError, redirect_target, base, location)


class JudgementTests(MemoryTestCase):
    def test_literals(self) -> None:
        for host in ("127.0.0.1", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"):
            self.assert_refused(self.fetch(f"http://{host}:8080/x"), AddressRefused)
        self.assertEqual((self.resolver.asked, self.attempts()), ([], []))

    def test_one_bad_address_is_enough(self) -> None:
        self.resolver.answers["mixed.example"] = [[PUBLIC, "10.0.0.1"]]
        self.resolver.answers["mixed6.example"] = [[PUBLIC, "64:ff9b::a00:1"]]
        for name in ("mixed.example", "mixed6.example"):
            self.assert_refused(self.fetch(f"http://{name}/"), AddressRefused)
        self.assertEqual(self.attempts(), [])

    def test_unknown_host(self) -> None:
        error = self.assert_refused(self.fetch("http://nowhere.example/"), FetchFailed)
        self.assertIn("no address", error.message)

    def test_syntax_comes_before_everything(self) -> None:
        self.assert_refused(self.fetch("http://user:pass@public.example/"), BadParameter)
        self.assert_refused(self.fetch("http://public.example/\0"), BadParameter)
        self.assertEqual(self.resolver.asked, [])

    def test_the_judged_address_is_connected_to(self) -> None:
        self.resolver.answers["rebinds.example"] = [[PUBLIC], ["127.0.0.1"]]
        result = self.fetch("http://rebinds.example/")
        self.assertEqual(self.attempts(), [(PUBLIC, 80)])
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.assertEqual(self.successResultOf(result), b"ok")
        self.assertEqual(self.resolver.asked, ["rebinds.example"])

    def test_each_hop_is_judged_anew(self) -> None:
        self.resolver.answers["rebinds.example"] = [[PUBLIC], ["127.0.0.1"]]
        result = self.fetch("http://rebinds.example/")
        self.answer(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
        self.assert_refused(result, AddressRefused)
        self.assertEqual(self.attempts(), [(PUBLIC, 80)])
        self.assertEqual(self.resolver.asked, ["rebinds.example"] * 2)

    def test_redirect_to_metadata_service(self) -> None:
        result = self.fetch("http://public.example/")
        wire = self.answer(b"HTTP/1.1 301 M\r\nLocation: http://169.254.169.254/latest/\r\n\r\n")
        self.assert_refused(result, AddressRefused)
        self.assertEqual(self.attempts(), [(PUBLIC, 80)])
        self.assertTrue(wire.aborted)

    def test_allowed_network(self) -> None:
        self.fetcher = self.make_fetcher([IPv4Network("10.0.0.0/8")])
        result = self.fetch("http://10.0.0.1:81/")
        self.assertEqual(self.attempts(), [("10.0.0.1", 81)])
        result.cancel()
        self.failureResultOf(result, CancelledError)


class RequestTests(MemoryTestCase):
    def test_headers(self) -> None:
        result = self.fetch("http://public.example:81/x?y#z")
        _, wire = self.accept()
        lines = wire.value().split(b"\r\n")
        self.assertEqual(lines[0], b"GET /x?y HTTP/1.1")
        self.assertEqual(
            sorted(lines[1:-2]),
            [
                b"Accept-Encoding: identity",
                b"Accept: */*",
                b"Connection: close",
                b"Host: public.example:81",
                b"User-Agent: RestTorrent/" + __version__.encode(),
            ],
        )
        result.cancel()
        self.failureResultOf(result, CancelledError)

    def test_five_redirects(self) -> None:
        for extra in (0, 1):
            self.reactor.tcpClients.clear()
            result = self.fetch("http://public.example/0")
            for hop in range(MAX_REDIRECTS + extra):
                self.answer(b"HTTP/1.1 307 T\r\nLocation: /%d\r\n\r\n" % hop, hop)
            if extra:
                self.assertIn("redirects", self.assert_refused(result, FetchFailed).message)
            else:
                self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", MAX_REDIRECTS)
                self.assertEqual(self.successResultOf(result), b"ok")
            self.assertEqual(len(self.reactor.tcpClients), MAX_REDIRECTS + 1)

    def test_bad_redirects(self) -> None:
        for head in (
            b"302 F\r\n",
            b"302 F\r\nLocation: file:///etc/passwd\r\n",
            b"302 F\r\nLocation: http://a:b@public.example/\r\n",
            b"302 F\r\nLocation: /a\r\nLocation: /b\r\n",
            b"304 N\r\nLocation: /a\r\n",
        ):
            self.reactor.tcpClients.clear()
            result = self.fetch("http://public.example/")
            self.answer(b"HTTP/1.1 " + head + b"\r\n")
            self.assert_refused(result, FetchFailed)
            self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_statuses(self) -> None:
        for status in (204, 206, 304, 400, 404, 500, 999):
            self.reactor.tcpClients.clear()
            result = self.fetch("http://public.example/")
            wire = self.answer(b"HTTP/1.1 %d Evil\x1b[31m\r\nContent-Length: 5\r\n\r\n" % status)
            error = self.assert_refused(result, FetchFailed)
            self.assertIn(str(status), error.message)
            self.assertNotIn("Evil", error.message)
            self.assertTrue(wire.aborted)

    def test_not_http(self) -> None:
        for data in (
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
        ):
            self.reactor.tcpClients.clear()
            result = self.fetch("http://public.example/")
            protocol, wire = self.accept()
            protocol.dataReceived(data)
            if not wire.aborted:
                protocol.connectionLost(Failure(ConnectionDone()))
            self.assert_refused(result, FetchFailed)
            self.flushLoggedErrors()

    def test_endless_headers(self) -> None:
        result = self.fetch("http://public.example/")
        protocol, wire = self.accept()
        protocol.dataReceived(b"HTTP/1.1 200 OK\r\n")
        sent = 0
        while not wire.aborted and sent < 2 * MAX_HEAD:
            protocol.dataReceived(b"X: " + b"y" * 1000 + b"\r\n")
            sent += 1005
        self.assertLessEqual(sent, MAX_HEAD + 1005)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertIn("headers", self.assert_refused(result, FetchFailed).message)

    def test_next_address_when_one_refuses(self) -> None:
        result = self.fetch("http://both.example/")
        self.assertEqual(self.attempts(), [(PUBLIC_V6, 80)])
        self.refuse(0)
        self.assertEqual(self.attempts(), [(PUBLIC_V6, 80), (PUBLIC, 80)])
        self.refuse(1)
        self.assertIn("no connection", self.assert_refused(result, FetchFailed).message)


class OutboundTests(MemoryTestCase):
    """Threat table, *Outbound*: no host is told what was meant for another."""

    def test_redirect_carries_nothing(self) -> None:
        result = self.fetch("http://public.example/secret-path")
        first = self.answer(
            b"HTTP/1.1 302 F\r\nSet-Cookie: a=b\r\nLocation: http://other.example/\r\n"
            b"Content-Length: 9\r\n\r\n"
        )
        self.assertTrue(first.aborted)  # the nine bytes are not waited for
        _, wire = self.accept(1)
        self.assertEqual(self.attempts()[1], (OTHER, 80))
        for word in (b"cookie", b"referer", b"secret", b"authorization"):
            self.assertNotIn(word, wire.value().lower())
        self.assertIn(b"Host: other.example\r\n", wire.value())
        result.cancel()
        self.failureResultOf(result, CancelledError)

    def test_back_again(self) -> None:
        """Neither does the host that set a cookie get it back, nor a referrer of its own."""
        result = self.fetch("http://public.example/secret-path?key=secret")
        self.answer(b"HTTP/1.1 302 F\r\nSet-Cookie: a=b; Path=/\r\nLocation: /next\r\n\r\n")
        _, wire = self.accept(1)
        for word in (b"cookie", b"referer", b"secret", b"authorization"):
            self.assertNotIn(word, wire.value().lower())
        result.cancel()
        self.failureResultOf(result, CancelledError)

    def test_credentials_of_a_redirect(self) -> None:
        """Whoever redirects does not choose whom we say to be, either."""
        result = self.fetch("http://public.example/")
        self.answer(b"HTTP/1.1 302 F\r\nLocation: http://user:pass@other.example/\r\n\r\n")
        self.assert_refused(result, FetchFailed)
        self.assertEqual(self.attempts(), [(PUBLIC, 80)])

    def test_length_of_a_host(self) -> None:
        """A name longer than any that there can be is asked of nobody (CVE-2024-3651 and its kin)."""
        for host in ("a" * 254, "a." * 127 + "a", "a." * 3000 + "example", "é" * 2000):
            self.assert_refused(self.fetch(f"http://{host}/"), BadParameter)
        longest = ".".join(["a" * 63] * 3 + ["b" * 61])
        self.assert_refused(self.fetch(f"http://{longest}/"), FetchFailed)
        self.assertEqual((self.resolver.asked, self.attempts()), ([longest], []))


class BodyTests(MemoryTestCase):
    def test_exactly_the_limit(self) -> None:
        for head, body in (
            (b"Content-Length: 1000\r\n", b"x" * 1000),
            (b"Transfer-Encoding: chunked\r\n", b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n"),
            (b"Content-Encoding: identity\r\nContent-Length: 1000\r\n", b"x" * 1000),
        ):
            self.reactor.tcpClients.clear()
            result = self.fetch("http://public.example/")
            wire = self.answer(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)
            self.assertEqual(self.successResultOf(result), b"x" * 1000)
            self.assertTrue(wire.aborted)

    def test_body_that_ends_with_the_connection(self) -> None:
        result = self.fetch("http://public.example/")
        protocol, _ = self.accept()
        protocol.dataReceived(b"HTTP/1.0 200 OK\r\n\r\nabc")
        self.assertNoResult(result)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.successResultOf(result), b"abc")

    def test_announced_too_large(self) -> None:
        result = self.fetch("http://public.example/")
        wire = self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        self.assert_refused(result, TooLarge)
        self.assertTrue(wire.aborted)

    def test_unannounced_too_large(self) -> None:
        for head, piece in (
            (b"", b"x" * 100),
            (b"Transfer-Encoding: chunked\r\n", b"64\r\n" + b"x" * 100 + b"\r\n"),
        ):
            self.reactor.tcpClients.clear()
            result = self.fetch("http://public.example/")
            protocol, wire = self.accept()
            protocol.dataReceived(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
            for _ in range(10):
                protocol.dataReceived(piece)
            self.assertNoResult(result)
            protocol.dataReceived(piece)
            self.assert_refused(result, TooLarge)
            self.assertTrue(wire.aborted)
            protocol.dataReceived(piece)  # what was under way when the connection was cut
            protocol.connectionLost(Failure(ConnectionDone()))

    def test_truncated(self) -> None:
        result = self.fetch("http://public.example/")
        protocol, _ = self.accept()
        protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assert_refused(result, FetchFailed)

    def test_compressed(self) -> None:
        bomb = gzip.compress(bytes(10_000_000))
        for encoding in (b"gzip", b"GZIP", b"br", b"identity, gzip"):
            self.reactor.tcpClients.clear()
            result = self.fetch("http://public.example/", limit=100_000)
            head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
            wire = self.answer(head % (encoding, len(bomb)) + bomb)
            self.assert_refused(result, FetchFailed)
            self.assertTrue(wire.aborted)

    def test_unmarked_gzip_stays_as_it_is(self) -> None:
        bomb = gzip.compress(bytes(10_000_000))
        result = self.fetch("http://public.example/", limit=100_000)
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)
        self.assertEqual(self.successResultOf(result), bomb)


class DeadlineTests(MemoryTestCase):
    def test_every_stage(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
        stages: list[tuple[str, bytes | None]] = [
            ("http://hangs.example/", None),
            ("http://public.example/", None),
            ("http://public.example/", b""),
            ("http://public.example/", head[:20]),
            ("http://public.example/", head),
            ("http://public.example/", head + b"abc"),
        ]
        for url, sent in stages:
            self.reactor.tcpClients.clear()
            result = self.fetch(url)
            wire = None if sent is None else self.answer(sent)
            self.reactor.advance(DEADLINE - 0.1)
            self.assertNoResult(result)
            self.reactor.advance(0.2)
            self.assert_refused(result, FetchTimeout)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            self.assertTrue(wire is None or wire.aborted)

    def test_total_of_all_hops(self) -> None:
        result = self.fetch("http://public.example/")
        for hop in range(3):
            self.reactor.advance(9)
            self.answer(b"HTTP/1.1 302 F\r\nLocation: /\r\n\r\n", hop)
        self.assertNoResult(result)
        self.reactor.advance(3.1)
        self.assert_refused(result, FetchTimeout)

    def test_dripping_body(self) -> None:
        result = self.fetch("http://public.example/")
        protocol, wire = self.accept()
        protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(29):
            self.reactor.advance(1)
            protocol.dataReceived(b"x")
        self.assertNoResult(result)
        self.reactor.advance(1)
        self.assert_refused(result, FetchTimeout)
        self.assertTrue(wire.aborted)

    def test_cancel_at_every_stage(self) -> None:
        for sent in (None, b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"):
            self.reactor.tcpClients.clear()
            result = self.fetch("http://public.example/")
            wire = None if sent is None else self.answer(sent)
            result.cancel()
            self.failureResultOf(result, CancelledError)
            self.assertTrue(wire is None or wire.aborted)

    def test_late_answer_of_the_resolver(self) -> None:
        result = self.fetch("http://hangs.example/")
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.resolver.hanging[0].resolutionComplete()
        self.assertEqual(self.attempts(), [])

    def test_hanging_lookups_are_bounded(self) -> None:
        given_up = [self.fetch("http://hangs.example/") for _ in range(CONCURRENT_LOOKUPS)]
        for result in given_up:
            result.cancel()
            self.failureResultOf(result, CancelledError)
        waiting = self.fetch("http://public.example/")
        self.assertEqual(self.resolver.asked, ["hangs.example"] * CONCURRENT_LOOKUPS)
        self.resolver.hanging[0].resolutionComplete()
        self.assertEqual(self.attempts(), [(PUBLIC, 80)])
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)

    def test_fetches_wait_for_their_turn(self) -> None:
        results = [self.fetch("http://public.example/") for _ in range(CONCURRENT_FETCHES + 1)]
        self.assertEqual(len(self.attempts()), CONCURRENT_FETCHES)
        self.reactor.advance(20)
        results[0].cancel()
        self.failureResultOf(results[0], CancelledError)
        self.assertEqual(len(self.attempts()), CONCURRENT_FETCHES + 1)
        self.reactor.advance(20)  # too long for those that began at once, not for the one that waited
        for result in results[1:-1]:
            self.assert_refused(result, FetchTimeout)
        self.assertNoResult(results[-1])
        results[-1].cancel()
        self.failureResultOf(results[-1], CancelledError)


class Page(Resource):
    """A page that a function writes."""

    isLeaf = True

    def __init__(self, write: Callable[[Request], bytes | int]) -> None:
        super().__init__()
        self.render_GET = write


def certificate_for(name: str) -> ssl.PrivateCertificate:
    """A self-signed certificate for a DNS name."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    loaded: ssl.PrivateCertificate = ssl.PrivateCertificate.loadPEM(pem)
    return loaded


class NoTLS(Protocol):
    """Answers whatever it hears in plain HTTP."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class WireTests(TestCase):
    """Against a real server on 127.0.0.1."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.hosts: list[bytes | None] = []
        self.root = Resource()
        self.root.putChild(b"file", Page(self.serve_file))
        self.root.putChild(b"loop", Page(self.redirect_to(b"/loop")))
        self.root.putChild(b"moved", Page(self.redirect_to(b"file")))
        self.root.putChild(b"away", Page(self.redirect_to(b"http://169.254.169.254/")))
        self.root.putChild(b"plain", Page(self.redirect_to(b"http://tracker.example/")))
        self.root.putChild(b"silent", Page(self.keep_silent))
        self.silent_gone: Deferred[object] = Deferred()
        self.silent_asked: Deferred[None] = Deferred()
        self.resolver = FakeResolver(tracker_example=[["127.0.0.1"]], wrong_example=[["127.0.0.1"]])

    def serve_file(self, request: Request) -> bytes:
        self.hosts.append(request.getHeader(b"host"))
        return b"d4:spam4:eggse" * 10_000

    def redirect_to(self, location: bytes) -> Callable[[Request], bytes]:
        def write(request: Request) -> bytes:
            request.setResponseCode(302)
            request.setHeader(b"location", location)
            return b"x" * 100_000

        return write

    def keep_silent(self, request: Request) -> int:
        request.notifyFinish().addBoth(self.silent_gone.callback)
        self.silent_asked.callback(None)
        return NOT_DONE_YET

    def listen(self, certificate: ssl.PrivateCertificate | None = None) -> int:
        site = Site(self.root)
        if certificate is None:
            port = self.reactor.listenTCP(0, site, interface="127.0.0.1")
        else:
            port = self.reactor.listenSSL(0, site, certificate.options(), interface="127.0.0.1")
        self.addCleanup(self.closed, port)
        number: int = port.getHost().port
        return number

    async def closed(self, port: Any) -> None:
        await port.stopListening()

    def fetch(self, url: str, trust: ssl.Certificate | None = None) -> Coroutine[Any, Any, bytes]:
        tls = None if trust is None else BrowserLikePolicyForHTTPS(trust)
        fetcher = Fetcher(self.reactor, allow=[LOOPBACK], resolver=self.resolver, tls=tls)
        return fetcher.fetch(url, limit=1_000_000)

    async def assert_refused(self, work: Coroutine[Any, Any, bytes], kind: type[CommandError]) -> str:
        with self.assertRaises(kind) as caught:
            await work
        message: str = caught.exception.message
        return message

    async def test_file(self) -> None:
        port = self.listen()
        for url in (f"http://127.0.0.1:{port}/file", f"http://tracker.example:{port}/moved"):
            self.assertEqual(await self.fetch(url), b"d4:spam4:eggse" * 10_000)
        self.assertEqual(self.hosts, [b"127.0.0.1:%d" % port, b"tracker.example:%d" % port])

    async def test_refusals(self) -> None:
        port = self.listen()
        await self.assert_refused(self.fetch(f"http://tracker.example:{port}/away"), AddressRefused)
        await self.assert_refused(self.fetch(f"http://tracker.example:{port}/loop"), FetchFailed)
        self.assertIn("404", await self.assert_refused(self.fetch(f"http://127.0.0.1:{port}/x"), FetchFailed))
        fetcher = Fetcher(self.reactor, resolver=self.resolver)
        await self.assert_refused(fetcher.fetch(f"http://127.0.0.1:{port}/file", limit=10), AddressRefused)

    async def test_cancelling_cuts_the_connection(self) -> None:
        work = Deferred.fromCoroutine(self.fetch(f"http://127.0.0.1:{self.listen()}/silent"))
        await self.silent_asked
        work.cancel()
        with self.assertRaises(CancelledError):
            await work
        with self.assertRaises(ConnectionLost):
            await self.silent_gone

    async def test_proxies_of_the_environment_are_not_used(self) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            self.patch_environment(name, "http://127.0.0.1:1/")
        body = await self.fetch(f"http://tracker.example:{self.listen()}/file")
        self.assertEqual(len(body), 140_000)

    def patch_environment(self, name: str, value: str) -> None:
        import os

        before = os.environ.get(name)
        os.environ[name] = value
        self.addCleanup(lambda: os.environ.pop(name) if before is None else os.environ.update({name: before}))

    async def test_tls_verifies_the_name_of_the_url(self) -> None:
        certificate = certificate_for("tracker.example")
        trust = ssl.Certificate(certificate.original)
        port = self.listen(certificate)
        body = await self.fetch(f"https://tracker.example:{port}/file", trust)
        self.assertEqual(len(body), 140_000)
        for url, trusted in (
            (f"https://wrong.example:{port}/file", trust),
            (f"https://127.0.0.1:{port}/file", trust),
            (f"https://tracker.example:{port}/file", None),
        ):
            self.assertIn("verified", await self.assert_refused(self.fetch(url, trusted), FetchFailed))
        self.assertEqual(len(self.hosts), 1)

    async def test_tls_never_falls_back(self) -> None:
        certificate = certificate_for("tracker.example")
        port = self.listen(certificate)
        work = self.fetch(f"https://tracker.example:{port}/plain", ssl.Certificate(certificate.original))
        self.assertIn("https to http", await self.assert_refused(work, FetchFailed))
        plain = self.reactor.listenTCP(0, Factory.forProtocol(NoTLS), interface="127.0.0.1")
        self.addCleanup(self.closed, plain)
        work = self.fetch(f"https://127.0.0.1:{plain.getHost().port}/")
        self.assertIn("TLS", await self.assert_refused(work, FetchFailed))

    async def test_no_listener(self) -> None:
        port = self.reactor.listenTCP(0, Site(self.root), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        message = await self.assert_refused(self.fetch(f"http://127.0.0.1:{number}/"), FetchFailed)
        self.assertIn("no connection", message)
