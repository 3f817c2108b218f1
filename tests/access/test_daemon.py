"""Tokens and the owner, on a real daemon."""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.harness import Client, Daemon, Response, until

HANDSHAKE = "/socket.io/?EIO={}&transport=polling"


class Case(SynchronousTestCase):
    options: tuple[str, ...] = ()
    client: Client

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).resolve()
        self.daemon = self.make(*self.options)

    def make(self, *options: str) -> Daemon:
        daemon = Daemon(self.home, *options)
        self.addCleanup(self.end, daemon)
        return daemon

    def end(self, daemon: Daemon) -> None:
        if daemon.is_running:
            daemon.kill()

    def start(self) -> Client:
        client = self.daemon.start().client()
        self.addCleanup(client.close)
        return client

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> Response:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body:
            sent["Content-Type"] = "application/json"
        return self.client.request(method, path, json.dumps(body).encode() if body else None, sent)


class AlwaysTests(Case):
    options = ("--auth", "always", "--log-level", "debug")

    def setUp(self) -> None:
        super().setUp()
        self.client = self.start()
        self.path = self.daemon.state / "token"
        until(self.path.exists, "the token")
        until(lambda: "a token for everything" in self.daemon.log_text(), "a line about it")
        self.token = self.path.read_text().strip()

    def test_first_token(self) -> None:
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.ask("GET", "/v1/sessions").json["code"], "token_needed")
        self.assertEqual(self.ask("GET", "/v1/sessions", "wrong").json["code"], "token_needed")
        self.assertEqual(self.ask("GET", "/v1/sessions", self.token).status, 200)
        self.assertIn(str(self.path), self.daemon.log_text())
        self.daemon.stop()
        self.client = self.start()
        self.assertEqual(self.ask("GET", "/v1/sessions", self.token).status, 200)
        self.assertEqual(self.path.read_text().strip(), self.token)
        self.assertEqual(self.daemon.log_text().count("a token for everything"), 1)
        self.assertNotIn(self.token, self.daemon.log_text())
        self.assertEqual(self.daemon.tracebacks(), [])

    def test_tokens(self) -> None:
        made = self.ask("POST", "/v1/tokens", self.token, name="phone", scopes="control")
        self.assertEqual((made.status, made.headers["cache-control"]), (201, "no-store"))
        phone, entry = made.json["secret"], made.json["token"]
        self.assertEqual(made.headers["location"], f"/v1/tokens/{entry['id']}")
        self.assertEqual((entry["name"], entry["scopes"]), ("phone", ["read", "control"]))
        self.assertEqual(self.ask("GET", "/v1/sessions", phone).status, 200)
        for method, path in (("GET", "/v1/tokens"), ("POST", "/v1/sessions"), ("DELETE", "/v1/sessions/1")):
            answer = self.ask(method, path, phone)
            self.assertEqual((answer.status, answer.json["code"]), (403, "not_allowed"))
        listed = self.ask("GET", "/v1/tokens", self.token)
        self.assertEqual([t["name"] for t in listed.json["tokens"]], ["first", "phone"])
        self.assertIsInstance(listed.json["tokens"][1]["last_used"], int)
        for secret in (phone, self.token):
            self.assertNotIn(secret, listed.body.decode())
        # when it was last used outlives the daemon
        self.daemon.stop()
        self.client = self.start()
        listed = self.ask("GET", "/v1/tokens", self.token)
        self.assertIsInstance(listed.json["tokens"][1]["last_used"], int)
        self.assertEqual(self.ask("DELETE", f"/v1/tokens/{entry['id']}", self.token).status, 200)
        self.assertEqual(self.ask("GET", "/v1/sessions", phone).status, 401)
        self.assertEqual(self.ask("DELETE", f"/v1/tokens/{entry['id']}", self.token).status, 404)

    def test_bad_tokens(self) -> None:
        for field, parameters in (
            ("name", {"scopes": "read"}),
            ("name", {"name": " "}),
            ("name", {"name": "a\x1b[2J"}),
            ("name", {"name": "x" * 65}),
            ("scopes", {"name": "x", "scopes": "write"}),
            ("expiry", {"name": "x", "expiry": 1}),
            ("expiry", {"name": "x", "expiry": "tomorrow"}),
        ):
            answer = self.ask("POST", "/v1/tokens", self.token, **parameters)
            self.assertEqual((answer.status, answer.json["field"]), (400, field))
        self.assertEqual(len(self.ask("GET", "/v1/tokens", self.token).json["tokens"]), 1)

    def test_what_strangers_hear(self) -> None:
        about = self.ask("GET", "/v1")
        self.assertEqual((about.status, set(about.json)), (200, {"status", "name", "version"}))
        health = self.ask("GET", "/health")
        self.assertEqual((health.status, set(health.json)), (200, {"status", "health", "reasons"}))
        known = self.ask("GET", "/health", self.token).json
        self.assertIn("lag", known)
        self.assertEqual(set(known["refusals"]), {"http", "socketio"})
        self.assertIn("uptime", self.ask("GET", "/v1", self.token).json)

    def test_too_many(self) -> None:
        for _ in range(10):
            self.assertEqual(self.ask("GET", "/v1/sessions", "wrong").status, 401)
        answer = self.ask("GET", "/v1/sessions", "wrong")
        self.assertEqual((answer.status, answer.json["code"]), (429, "too_many"))
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertEqual(self.ask("GET", "/v1/sessions", self.token).status, 200)

    def test_login(self) -> None:
        self.assertEqual(self.ask("POST", "/v1/login", token="wrong").status, 401)
        self.client.close()
        page = self.daemon.client()
        self.addCleanup(page.close)
        page._connection.request("POST", "/v1/login", json.dumps({"token": self.token}).encode())
        answer = page._connection.getresponse()
        csrf = json.loads(answer.read())["csrf_token"]
        cookies = answer.headers.get_all("Set-Cookie") or []
        self.assertEqual([c.partition("=")[0] for c in cookies], ["resttorrent_login", "resttorrent_csrf"])
        for cookie, hidden in zip(cookies, (True, False), strict=True):
            self.assertIn("SameSite=Strict", cookie)
            self.assertEqual("HttpOnly" in cookie, hidden)
        self.assertNotIn(self.token, "".join(cookies))
        self.client = page
        sent = {"Cookie": "; ".join(c.partition(";")[0] for c in cookies)}
        self.assertEqual(self.ask("GET", "/v1/tokens", headers=sent).status, 200)
        refused = self.ask("POST", "/v1/tokens", headers=sent, name="x")
        self.assertEqual((refused.status, refused.json["code"]), (403, "not_allowed"))
        right = {**sent, "X-CSRF-Token": csrf}
        self.assertEqual(self.ask("POST", "/v1/tokens", headers=right, name="x").status, 201)
        out = self.ask("POST", "/v1/logout", headers=right)
        self.assertIn("Max-Age=0", out.headers["set-cookie"])
        self.assertEqual(self.ask("GET", "/v1/tokens", headers=sent).status, 401)

    # -- Socket.IO -------------------------------------------------------

    def poll(
        self, eio: int, query: str = "", packet: bytes = b"", headers: dict[str, str] | None = None
    ) -> str:
        """What the client gets after it came, and sent one packet."""
        url = HANDSHAKE.format(eio)
        opened = self.client.request("GET", url + query, headers=headers).body
        self.sid = json.loads(opened[opened.index(b"{") : opened.index(b"}") + 1])["sid"]
        # an old server's client is in at once: what it gets may come with the opening
        rest = opened[opened.index(b"}") + 1 :].decode()
        url += f"&sid={self.sid}"
        if packet:
            self.client.request("POST", url, packet, {"Content-Type": "text/plain"})
        return rest or self.client.request("GET", url).body.decode()

    def test_sockets(self) -> None:
        needed = '"data":{"code":"token_needed"}}'
        self.assertTrue(self.poll(4, packet=b"40").startswith('44{"message":'))
        self.assertTrue(self.poll(4, packet=b'40{"token":"wrong"}').endswith(needed))
        right = json.dumps({"token": self.token}).encode()
        self.assertTrue(self.poll(4, packet=b"40" + right).startswith('40{"sid":'))
        bearer = {"Authorization": f"Bearer {self.token}"}
        self.assertTrue(self.poll(4, packet=b"40", headers=bearer).startswith('40{"sid":'))
        self.assertIn('44"this needs a token', self.poll(3))
        self.assertIn('44"this token', self.poll(3, "&token=wrong"))
        self.assertEqual(self.poll(3, f"&token={self.token}"), "2:40")
        self.assertEqual(self.daemon.tracebacks(), [])
        self.assertNotIn(self.token, self.daemon.log_text())

    def test_scopes_of_a_socket(self) -> None:
        made = self.ask("POST", "/v1/tokens", self.token, name="eye", scopes="read").json
        payload = json.dumps({"token": made["secret"]}).encode()
        self.assertTrue(self.poll(4, packet=b"40" + payload).startswith("40"))
        url = HANDSHAKE.format(4) + f"&sid={self.sid}"
        for command, expected in (("get_session_list", "success"), ("create_session", "not_allowed")):
            packet = b"42" + json.dumps(["v1", {"command": command}]).encode()
            self.client.request("POST", url, packet, {"Content-Type": "text/plain"})
            self.assertIn(f'"{expected}"', self.client.request("GET", url).body.decode())
        # its end is the socket's end
        self.assertEqual(self.ask("DELETE", f"/v1/tokens/{made['token']['id']}", self.token).status, 200)
        packet = b'42["v1",{"command":"get_session_list"}]'
        self.client.request("POST", url, packet, {"Content-Type": "text/plain"})
        # a last poll may bring that it is closed, and nothing more
        self.assertNotIn(b'"v1"', self.client.request("GET", url).body)
        self.assertEqual(self.client.request("GET", url).status, 400)


class AutoTests(Case):
    def test_the_owner_needs_nothing(self) -> None:
        self.client = self.start()
        self.assertEqual(self.ask("GET", "/v1/tokens").status, 200)
        for headers in (
            {"X-Forwarded-For": "127.0.0.1"},
            {"Forwarded": "for=127.0.0.1"},
            {"Via": "1.1 proxy"},
            {"Origin": "http://evil.example"},
        ):
            self.assertEqual(self.ask("GET", "/v1/sessions", headers=headers).status, 401)

    def test_unix_socket(self) -> None:
        # the path of a UNIX socket has 107 bytes at most
        folder = Path(tempfile.mkdtemp(prefix="rt-"))
        self.addCleanup(shutil.rmtree, folder)
        path = f"{folder}/api.sock"
        launch(self.daemon, f"unix:{path}")
        until(lambda: Path(path).exists() and "serving at" in self.daemon.log_text(), "the socket")
        self.assertEqual(Path(path).stat().st_mode & 0o777, 0o600)
        self.assertIn(b"200 OK", self.by_unix(path, ""))
        self.assertIn(b"401 Unauthorized", self.by_unix(path, "X-Forwarded-For: 127.0.0.1\r\n"))

    def by_unix(self, path: str, header: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(path)
            client.sendall(f"GET /v1/tokens HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
            return client.recv(65536)


class NeverTests(Case):
    def test_beyond_this_machine(self) -> None:
        daemon = self.make("--auth", "never", "--interface", "0.0.0.0")
        daemon.launch()
        self.assertEqual(daemon.process.wait(timeout=60), 1)
        self.assertIn("--allow-unauthenticated-network", daemon.log_text())
        self.assertEqual(daemon.tracebacks(), [])
        self.assertFalse((daemon.state / "listening.json").exists())

    def test_meant(self) -> None:
        self.daemon = self.make(
            "--auth", "never", "--interface", "0.0.0.0", "--allow-unauthenticated-network"
        )
        self.client = self.start()
        answer = self.ask("GET", "/v1/tokens", headers={"X-Forwarded-For": "192.0.2.1"})
        self.assertEqual(answer.status, 200)

    def test_on_this_machine(self) -> None:
        self.daemon = self.make("--auth", "never")
        self.client = self.start()
        self.assertEqual(self.ask("GET", "/v1/tokens", "wrong").status, 200)


def launch(daemon: Daemon, endpoint: str) -> None:
    """Start a daemon at an endpoint of its own."""
    with daemon.log.open("ab") as log:
        daemon._process = subprocess.Popen(
            [
                sys.executable, "-c", "from twisted.scripts.twistd import run; run()",
                "-n", "--pidfile=", "resttorrent", "--listen", endpoint,
                "--state-dir", str(daemon.state), "--root", str(daemon.root),
                "--peer-interface", "127.0.0.1", "--discovery", "off",
            ],
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
