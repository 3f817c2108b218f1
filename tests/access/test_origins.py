"""Origin and Sec-Fetch-Site: whose page may have a request made, at each door."""

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access.origins import Origin, Origins, same_site
from resttorrent.live.admission import admission
from resttorrent.socketio import Application, Handshake, Refused, SocketResource, SocketServer
from tests.access.doors import Door, asked, request, screen
from tests.harness import Daemon
from tests.rest.wire import Response, World

HERE = "127.0.0.1:8080"
OURS = ("http://127.0.0.1:8080", "https://127.0.0.1:8080", "HTTP://127.0.0.1:8080")
FOREIGN = (
    "null", "", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:8081", "http://localhost:8080",
    "http://127.0.0.1:8080.evil.example", "http://127.0.0.1:8080@evil.example", "127.0.0.1:8080", "file://",
    "http://127.0.0.1:8080/", "chrome-extension://abcdef", "http://127.0.0.1:8080, http://evil.example",
)  # fmt: skip
POLL = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class OriginTests(SynchronousTestCase):
    def test_usual_ports(self) -> None:
        for origin, host in (
            ("http://nas.lan", "nas.lan"),
            ("http://nas.lan", "nas.lan:80"),
            ("https://nas.lan", "nas.lan:443"),
            ("https://nas.lan", "nas.lan"),
            ("http://NAS.lan", "nas.lan."),
            ("http://[::1]:8080", "[0::1]:8080"),
        ):
            self.assertTrue(same_site(origin, host), (origin, host))
        self.assertFalse(same_site("http://nas.lan", "nas.lan:443"))
        self.assertFalse(same_site("http://nas.lan", None))
        self.assertFalse(same_site("http://nas.lan", "not a host"))

    def test_allowed_exactly(self) -> None:
        origins = Origins([Origin.parse("https://ui.example")])
        self.assertTrue(origins.allows("https://ui.example"))
        for other in ("http://ui.example", "https://ui.example:8443", "https://x.ui.example", "null", "*"):
            self.assertFalse(origins.allows(other), other)

    @given(st.text(max_size=60))
    def test_any_text(self, text: str) -> None:
        refused = Origins().refuses(origin=text, fetch_site=None, host=HERE)
        self.assertEqual(refused, not same_site(text, HERE))


class CsrfTests(SynchronousTestCase):
    """Threat table, *CSRF*: no page but our own has anything changed."""

    def setUp(self) -> None:
        self.world = World()

    def post(self, headers: dict[str, str], body: bytes = b"note=x") -> Response:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return Door(self.world.site).ask("POST", "/v1/things", {**form, **headers}, body)

    def test_plain_text_from_a_foreign_page(self) -> None:
        for origin in FOREIGN:
            answer = self.post({"Content-Type": "text/plain", "Origin": origin}, b'{"note":"x"}')
            self.assertEqual((answer.status, answer.json["code"]), (403, "not_allowed"), origin)
        self.assertEqual(self.world.context.called, [])

    def test_forms_of_foreign_pages(self) -> None:
        for site in ("cross-site", "same-site", "Cross-Site"):
            for origin in ({}, {"Origin": OURS[0]}):
                answer = self.post({"Sec-Fetch-Site": site, **origin})
                self.assertEqual(answer.status, 403)
        self.assertEqual(self.world.context.called, [])

    def test_without_a_body(self) -> None:
        answer = self.world.ask("POST", "/v1/things", {"Origin": "http://evil.example"})
        self.assertEqual(answer.status, 403)
        self.assertFalse(self.world.wire.transport.disconnecting)

    def test_every_method_that_changes_something(self) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE", "BREW"):
            raw = request(method, "/v1/things", f"Host: {HERE}", "Origin: null")
            self.assertEqual(asked(self.world, raw).status, 403, method)

    def test_doubled_origin(self) -> None:
        raw = request(
            "POST", "/v1/things", f"Host: {HERE}", f"Origin: {OURS[0]}", "Origin: http://evil.example"
        )
        self.assertEqual(asked(self.world, raw).status, 403)

    def test_own_pages(self) -> None:
        for origin in OURS:
            self.assertEqual(self.post({"Origin": origin, "Sec-Fetch-Site": "same-origin"}).status, 201)

    def test_no_browser(self) -> None:
        # as curl's -d and -F send it, and as it must stay
        form = b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\r\n--b--\r\n'
        for content_type, body in (
            ("application/x-www-form-urlencoded", b"note=x"),
            ("multipart/form-data; boundary=b", form),
            ("application/json", b'{"note":"x"}'),
        ):
            answer = self.post({"Content-Type": content_type}, body)
            self.assertEqual((answer.status, answer.json["thing"]["note"]), (201, "x"))
        self.assertEqual(self.post({"Sec-Fetch-Site": "none"}).status, 201)

    def test_reading_is_left_to_the_browser(self) -> None:
        answer = self.world.ask("GET", "/v1/things", {"Origin": "http://evil.example"})
        self.assertEqual(answer.status, 200)
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertNotIn("Origin", answer.headers["vary"])


class CorsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.world.site.screen = screen(origins=("https://ui.example",))

    def test_allowed(self) -> None:
        for method in ("GET", "POST"):
            headers = {"Origin": "https://ui.example", "Sec-Fetch-Site": "cross-site"}
            answer = self.world.ask(method, "/v1/things", headers)
            self.assertIn(answer.status, (200, 201))
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://ui.example")
            self.assertNotIn("access-control-allow-credentials", answer.headers)
            self.assertIn("Origin", answer.headers["vary"])

    def test_errors_can_be_read_too(self) -> None:
        answer = self.world.ask("GET", "/nowhere", {"Origin": "https://ui.example"})
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://ui.example")

    def test_others_are_not(self) -> None:
        for origin in ("https://evil.example", "http://ui.example", "null"):
            answer = self.world.ask("GET", "/v1/things", {"Origin": origin})
            self.assertNotIn("access-control-allow-origin", answer.headers)
            self.assertEqual(self.world.ask("POST", "/v1/things", {"Origin": origin}).status, 403)

    def test_caches_hear_of_it_always(self) -> None:
        self.assertIn("Origin", self.world.ask("GET", "/v1/things").headers["vary"])

    def test_preflight(self) -> None:
        asks = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
        answer = self.world.ask("OPTIONS", "/v1/things/1", {"Origin": "https://ui.example", **asks})
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://ui.example")
        self.assertIn("PUT", answer.headers["access-control-allow-methods"])
        self.assertIn("Authorization", answer.headers["access-control-allow-headers"])
        foreign = self.world.ask("OPTIONS", "/v1/things/1", {"Origin": "https://evil.example", **asks})
        self.assertFalse([name for name in foreign.headers if name.startswith("access-control")])

    def test_none_without_any_allowed(self) -> None:
        world = World()
        asks = {"Origin": "https://ui.example", "Access-Control-Request-Method": "PUT"}
        answer = world.ask("OPTIONS", "/v1/things", asks)
        self.assertFalse([name for name in answer.headers if name.startswith("access-control")])


class CswshTests(SynchronousTestCase):
    """Threat table, *CSWSH*: no foreign page opens a Socket.IO session, by whichever transport."""

    def setUp(self) -> None:
        self.world = World()
        self.allow()

    def allow(self, *origins: str) -> None:
        chosen = screen(origins=origins)
        self.server = SocketServer(Application(), clock=self.world.reactor, admit=admission(chosen.origins))
        resource = SocketResource(self.server, reactor=self.world.reactor)
        self.world = World(beside={b"socket.io": resource})
        self.world.site.screen = chosen

    def handshake(self, target: str, **headers: str) -> Response:
        more = UPGRADE if target == WEBSOCKET else {}
        return Door(self.world.site).ask("GET", target, {**more, **headers})

    def test_foreign_pages(self) -> None:
        for target in (POLL, WEBSOCKET):
            for origin in FOREIGN:
                self.assertEqual(self.handshake(target, Origin=origin).status, 403, (target, origin))
            self.assertEqual(self.handshake(target, **{"Sec-Fetch-Site": "cross-site"}).status, 403)
        self.assertEqual(len(self.server), 0)

    def test_polling_says_so_as_the_protocol_does(self) -> None:
        answer = self.handshake(POLL, Origin="null")
        self.assertEqual(json.loads(answer.body), {"code": 4, "message": "Forbidden"})

    def test_other_upgrades(self) -> None:
        answer = self.world.ask("GET", "/v1/things", {"Upgrade": "h2c", "Origin": "http://evil.example"})
        self.assertEqual(answer.status, 403)

    def test_server_refuses_by_itself(self) -> None:
        query = {"EIO": "4", "transport": "websocket"}
        for websocket in (True, False):
            query["transport"] = "websocket" if websocket else "polling"
            handshake = Handshake(query, {"origin": "http://evil.example", "host": HERE})
            refused = self.assertRaises(
                Refused, self.server.check, handshake, method="GET", websocket=websocket
            )
            self.assertEqual(refused.status, 403)
            ours = Handshake(query, {"origin": OURS[0], "host": HERE})
            self.assertIsNone(self.server.check(ours, method="GET", websocket=websocket))

    def test_own_pages_and_programs(self) -> None:
        self.assertEqual(self.handshake(POLL).status, 200)
        self.assertEqual(self.handshake(POLL, Origin=OURS[0]).status, 200)
        self.assertEqual(len(self.server), 2)

    def test_allowed_pages(self) -> None:
        self.allow("https://ui.example")
        answer = self.handshake(POLL, Origin="https://ui.example")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://ui.example")
        self.assertEqual(self.handshake(POLL, Origin="http://ui.example").status, 403)

    def test_posts_of_foreign_pages(self) -> None:
        sid = json.loads(self.handshake(POLL).body[1:])["sid"]
        answer = self.world.ask("POST", f"{POLL}&sid={sid}", {"Origin": "http://evil.example"}, b"1")
        self.assertEqual((answer.status, answer.json["code"]), (403, "not_allowed"))
        self.assertEqual(len(self.server), 1)


class DaemonTests(SynchronousTestCase):
    """The daemon as it is started."""

    def test_foreign_pages(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        daemon = Daemon(Path(home.name), "--allow-origin", "https://ui.example", "--auth", "never")
        self.addCleanup(daemon.stop)
        daemon.start()

        def status(method: str, path: str, headers: dict[str, str]) -> int:
            client = daemon.client()
            self.addCleanup(client.close)
            return client.request(method, path, headers=headers).status

        for origin, allowed in (
            ("https://evil.example", False),
            ("null", False),
            ("https://ui.example", True),
            (f"http://127.0.0.1:{daemon.port}", True),
        ):
            headers = {"Origin": origin}
            self.assertEqual(status("DELETE", "/v1/sessions/1", headers), 404 if allowed else 403, origin)
            self.assertEqual(status("GET", POLL, headers), 200 if allowed else 403, origin)
            self.assertEqual(
                status("GET", WEBSOCKET, {**headers, **UPGRADE}), 101 if allowed else 403, origin
            )
