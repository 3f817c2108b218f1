"""Host: names that lead here, names that do not, and headers that name nothing."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access.hosts import Host, Hosts, is_loopback, plain_address
from resttorrent.access.principals import OWNER
from resttorrent.rest.site import build_site
from resttorrent.web.examples import build_examples
from resttorrent.wsgi.channel import Outgoing, deliver
from resttorrent.wsgi.incoming import Incoming
from tests.access.doors import Door, asked, lan, request, screen
from tests.harness import Daemon
from tests.rest.wire import CLIENT, REGISTRY, SERVER, World

OURS = (
    "localhost", "localhost:8080", "LOCALHOST", "localhost.", "app.localhost", "127.0.0.1", "127.0.0.1:1",
    "127.8.9.10", "[::1]", "[::1]:8080", "[0:0::1]", "[::ffff:127.0.0.1]",
)  # fmt: skip
FOREIGN = (
    "evil.example", "evil.example:8080", "localhost.evil.example", "evil-localhost", "127.0.0.1.evil.example",
    "0.0.0.0", "[::]", "192.0.2.9", "169.254.169.254", "[2001:db8::1]", "127.1", "0x7f.1", "2130706433", "",
)  # fmt: skip
NAMELESS = (
    "a b", "localhost, evil.example", "user@localhost", "localhost/", "localhost:http", "localhost:80:80",
    "localhost:99999", "[::1", "::1", "[127.0.0.1]", "[evil]", "local%68ost", "local\x80host", "http://localhost",
)  # fmt: skip


class HostTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for text, host in (
            ("NAS.lan.", Host("nas.lan")),
            ("nas.lan:", Host("nas.lan")),
            ("nas.lan:80", Host("nas.lan", 80)),
            ("192.0.2.1:80", Host("192.0.2.1", 80)),
            ("[2001:DB8:0::1]:80", Host("2001:db8::1", 80)),
            ("[fe80::1%25eth0]", Host("fe80::1")),
            ("[::ffff:192.0.2.1]", Host("192.0.2.1")),
        ):
            self.assertEqual(Host.parse(text), host)

    def test_what_is_none(self) -> None:
        for text in NAMELESS:
            self.assertRaises(ValueError, Host.parse, text)

    def test_addresses(self) -> None:
        self.assertEqual(plain_address("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(plain_address("fe80::1%eth0"), "fe80::1")
        self.assertIsNone(plain_address("192.0.2"))
        self.assertTrue(is_loopback("::ffff:127.0.0.9"))
        self.assertFalse(is_loopback("localhost"))

    @given(st.text(max_size=80))
    def test_any_text(self, text: str) -> None:
        try:
            host = Host.parse(text)
        except ValueError:
            return
        shown = f"[{host.name}]" if ":" in host.name else host.name
        again = Host.parse(shown if host.port is None else f"{shown}:{host.port}")
        self.assertEqual(again, host)

    def test_what_strangers_say_is_forgotten(self) -> None:
        hosts = Hosts()
        for number in range(2000):
            hosts.accepts(f"h{number}.example", None)
        self.assertLess(hosts._judge.cache_info().currsize, 300)


class DnsRebindingTests(SynchronousTestCase):
    """Threat table, *DNS rebinding*: nothing is routed before it is known that the request is for us."""

    def setUp(self) -> None:
        self.world = World(beside={b"examples": build_examples()})

    def status(self, host: str, **where: object) -> int:
        return asked(self.world, request("GET", "/v1/things", f"Host: {host}"), **where).status  # type: ignore[arg-type]

    def test_loopback_names(self) -> None:
        for host in OURS:
            self.assertEqual(self.status(host), 200, host)

    def test_foreign_names(self) -> None:
        for host in FOREIGN:
            answer = asked(self.world, request("POST", "/v1/things", f"Host: {host}"))
            self.assertEqual((answer.status, answer.json["code"]), (421, "wrong_host"), host)
            self.assertEqual(answer.json["status"], "fail")
        self.assertEqual(self.world.context.called, [])
        self.assertEqual(self.world.site.refusals[421], len(FOREIGN))

    def test_headers_that_name_nothing(self) -> None:
        for host in NAMELESS:
            answer = asked(self.world, request("POST", "/v1/things", f"Host: {host}"))
            self.assertEqual((answer.status, answer.json["code"]), (400, "bad_request"), host)

    def test_address_at_which_this_connection_arrived(self) -> None:
        self.assertEqual(self.status("192.0.2.1:8080", local=lan(1)), 200)
        self.assertEqual(self.status("192.0.2.2:8080", local=lan(1)), 421)
        # a dual-stack socket
        six = IPv6Address("TCP", "::ffff:192.0.2.1", 8080)
        self.assertEqual(self.status("192.0.2.1", local=six), 200)
        scoped = IPv6Address("TCP", "fe80::1%eth0", 8080)
        self.assertEqual(self.status("[fe80::1]:8080", local=scoped), 200)
        self.assertEqual(self.status("[fe80::2]:8080", local=scoped), 421)

    def test_allowed_names(self) -> None:
        self.world.site.screen = screen(("nas.lan", "192.0.2.7:80", "strict.lan:8080"))
        for host, status in (
            ("nas.lan", 200),
            ("NAS.lan.:99", 200),
            ("192.0.2.7:80", 200),
            ("192.0.2.7", 421),
            ("strict.lan:8080", 200),
            ("strict.lan", 421),
            ("x.nas.lan", 421),
            ("localhost", 200),
        ):
            self.assertEqual(self.status(host), status, host)

    def test_missing(self) -> None:
        answer = asked(self.world, request())
        self.assertEqual((answer.status, answer.json["code"]), (400, "bad_request"))
        answer = asked(self.world, request(version="1.0"))
        self.assertEqual((answer.status, answer.json["code"]), (421, "wrong_host"))

    def test_doubled(self) -> None:
        for pair in (
            ("localhost", "localhost"),
            ("localhost", "evil.example"),
            ("evil.example", "localhost"),
        ):
            for version in ("1.0", "1.1"):
                raw = request("GET", "/v1/things", *(f"Host: {host}" for host in pair), version=version)
                self.assertEqual(asked(self.world, raw).status, 400)

    def test_http_1_0_with_a_host(self) -> None:
        raw = request("GET", "/v1/things", "Host: localhost", version="1.0")
        self.assertEqual(asked(self.world, raw).status, 200)

    def test_unix_socket_takes_any(self) -> None:
        here, there = UNIXAddress(b"/run/rt.sock"), UNIXAddress(None)
        self.assertEqual(self.status("evil.example", local=here, peer=there), 200)
        bare = request("GET", "/v1/things", version="1.0")
        self.assertEqual(asked(self.world, bare, here, there).status, 200)
        self.assertEqual(asked(self.world, request(), here, there).status, 400)

    def test_wherever_it_leads(self) -> None:
        for target in ("/", "/nowhere", "/examples/index.html", "/socket.io/?EIO=4&transport=polling", "*"):
            method = "OPTIONS" if target == "*" else "GET"
            answer = asked(self.world, request(method, target, "Host: evil.example"))
            self.assertEqual((answer.status, answer.json["code"]), (421, "wrong_host"), target)

    def test_body_is_not_kept(self) -> None:
        wire = Door(self.world.site)
        wire.send(request("POST", "/v1/things", "Host: evil.example", "Content-Length: 1000000"))
        self.assertEqual(wire.answer().status, 421)
        wire.send(b"x" * 10_000)
        [pending] = wire.protocol.requests
        self.assertEqual(pending.content.getvalue(), b"")
        self.world.reactor.advance(5)
        self.assertTrue(wire.transport.disconnecting)

    def test_reason_phrase(self) -> None:
        wire = Door(self.world.site)
        wire.send(request("GET", "/", "Host: evil.example"))
        self.assertTrue(wire.received().startswith(b"HTTP/1.1 421 Misdirected Request\r\n"))

    def test_wsgi(self) -> None:
        for headers, status in (
            (((b"Host", b"127.0.0.1"),), "200 OK"),
            (((b"Host", b"evil.example"),), "421 Misdirected Request"),
            ((), "421 Misdirected Request"),
        ):
            # the server's name was none, so that nobody knows where it listens
            for server in (SERVER, UNIXAddress(None)):
                answers: list[Outgoing] = []
                incoming = Incoming(b"GET", b"/v1/things", b"", headers, CLIENT, server, secure=False)
                deliver(self.world.site, incoming, b"", answers.append)
                self.assertEqual([answer.status for answer in answers], [status])

    def test_is_on_by_default(self) -> None:
        reactor: Any = self.world.reactor
        site = build_site(REGISTRY, lambda _: None, judge=lambda _: OWNER, reactor=reactor)
        wire = Door(site)
        wire.send(request("GET", "/v1/things", "Host: evil.example"))
        self.assertEqual(wire.answer().status, 421)


class DaemonTests(SynchronousTestCase):
    """The daemon as it is started."""

    def setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)

    def test_dns_rebinding(self) -> None:
        daemon = Daemon(self.home, "--allow-host", "nas.lan", "--auth", "never")
        self.addCleanup(daemon.stop)
        client = daemon.start().client()
        self.addCleanup(client.close)
        handshake = "/socket.io/?EIO=4&transport="
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        for path, headers, ok in (
            ("/v1/sessions", {}, 200),
            (handshake + "polling", {}, 200),
            (handshake + "websocket", upgrade, 101),
        ):
            for host, status in (
                ("localhost", ok),
                ("nas.lan:80", ok),
                ("evil.example", 421),
                ("0.0.0.0", 421),
            ):
                one = daemon.client()
                self.addCleanup(one.close)
                self.assertEqual(
                    one.request("GET", path, headers={**headers, "Host": host}).status, status, path
                )
        self.assertEqual(client.request("GET", "/v1/sessions").status, 200)
