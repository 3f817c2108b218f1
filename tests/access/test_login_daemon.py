"""Users and passwords, on a real daemon."""

import json
from typing import Any

from tests.access.test_daemon import HANDSHAKE, Case
from tests.harness import Client, Response, until

PASSWORD = "correct horse battery"
OTHER = "another long password"


class Browser:
    """A client that keeps its cookies, and sends the CSRF header with what changes something."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, *, csrf: bool = True, **body: Any) -> Response:
        sent = {"Content-Type": "application/json"}
        if self._cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if csrf and self._cookies:
            sent["X-CSRF-Token"] = self._cookies["resttorrent_csrf"]
        self._client._connection.request(method, path, json.dumps(body) if body else None, sent)
        answer = self._client._connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def log_in(self, name: str, password: str) -> Response:
        self._cookies.clear()
        return self.ask("POST", "/v1/login", name=name, password=password)


class PasswordTests(Case):
    """One life of a user; ``--auth always``, so that all who ask are strangers to begin with."""

    options = ("--auth", "always", "--log-level", "debug")

    def setUp(self) -> None:
        super().setUp()
        self.restart()
        self.token = until(self.first_token, "the token")

    def first_token(self) -> str:
        path = self.daemon.state / "token"
        return path.read_text().strip() if path.exists() else ""

    def restart(self) -> None:
        self.client = self.start()
        self.page = Browser(self.client)

    def users(self) -> list[dict[str, Any]]:
        users: list[dict[str, Any]] = self.ask("GET", "/v1/users", self.token).json["users"]
        return users

    def test_users(self) -> None:
        # nobody is there unless somebody made them
        self.assertEqual(self.users(), [])
        self.assertEqual(self.page.log_in("admin", "admin").status, 401)
        made = self.ask("POST", "/v1/users", self.token, name="Zoë", password=PASSWORD)
        self.assertEqual((made.status, made.headers["location"]), (201, "/v1/users/zo%C3%AB"))
        self.daemon.kill()
        self.restart()
        self.check_login()
        self.check_sockets()
        self.check_wrong_ones()
        self.check_end()
        for secret in (PASSWORD, OTHER, "argon2", self.token):
            self.assertNotIn(secret, self.daemon.log_text())
        self.assertEqual(self.daemon.tracebacks(), [])
        stored = b"".join(path.read_bytes() for path in self.daemon.state.glob("state.db*"))
        self.assertIn(b"$argon2id$v=19$m=47104,t=1,p=1$", stored)
        self.assertNotIn(PASSWORD.encode(), stored)

    def check_login(self) -> None:
        self.assertEqual(self.page.ask("GET", "/v1/sessions").status, 401)
        answer = self.page.log_in("ZOE\u0308", PASSWORD)
        self.assertEqual((answer.status, answer.json["name"], answer.json["scopes"]), (200, "zoë", ["read"]))
        self.assertEqual(self.page.ask("GET", "/v1/sessions").status, 200)
        # one who may look may not touch
        for method, path in (("POST", "/v1/sessions"), ("GET", "/v1/users"), ("POST", "/v1/backup")):
            refused = self.page.ask(method, path)
            self.assertEqual((refused.status, refused.json["code"]), (403, "not_allowed"), path)
        without = self.page.ask("PUT", "/v1/password", csrf=False, current=PASSWORD, password=OTHER)
        self.assertEqual((without.status, without.json["code"]), (403, "not_allowed"))
        changed = self.page.ask("PUT", "/v1/password", current=PASSWORD, password=OTHER)
        self.assertEqual(changed.status, 200)
        self.assertEqual(self.page.ask("GET", "/v1/sessions").status, 200)
        (user,) = self.users()
        self.assertEqual(set(user), {"name", "scopes", "created_time", "last_login"})
        self.assertIsInstance(user["last_login"], int)

    def check_sockets(self) -> None:
        """The cookie opens a socket, whose end is the user's."""
        opened = self.page.ask("GET", HANDSHAKE.format(3)).body
        sid = json.loads(opened[opened.index(b"{") : opened.index(b"}") + 1])["sid"]
        self.assertIn(b"40", opened)
        self.socket = HANDSHAKE.format(3) + f"&sid={sid}"
        self.assertIn(b'"success"', self.sent())

    def sent(self) -> bytes:
        """What a command by the socket comes to."""
        packet = b'42["v1",{"command":"get_session_list"}]'
        kind = {"Content-Type": "text/plain"}
        self.client.request("POST", self.socket, b"%d:%b" % (len(packet), packet), kind)
        return self.client.request("GET", self.socket).body

    def check_wrong_ones(self) -> None:
        guesser = Browser(self.client)
        for number in range(10):
            name = "zoë" if number % 2 else "nobody"
            answer = guesser.log_in(name, PASSWORD)
            self.assertEqual((answer.status, answer.json["code"]), (401, "wrong_password"))
        for password in ("wrong", OTHER):
            answer = guesser.log_in("zoë", password)
            self.assertEqual((answer.status, answer.json["code"]), (429, "too_many"))
            self.assertGreater(int(answer.headers["retry-after"]), 0)
        # a right token is let in, and who is in stays in
        self.assertEqual(self.ask("GET", "/v1/sessions", self.token).status, 200)
        self.assertEqual(guesser.ask("POST", "/v1/login", token=self.token).status, 200)
        self.assertEqual(self.page.ask("GET", "/v1/sessions").status, 200)

    def check_end(self) -> None:
        self.assertEqual(self.ask("DELETE", "/v1/users/Zo%C3%8B", self.token).status, 200)
        self.assertEqual(self.page.ask("GET", "/v1/sessions").status, 401)
        # not even told that it may not: the socket is closed
        self.assertNotIn(b'"v1"', self.sent())
        self.assertEqual(self.client.request("GET", self.socket).status, 400)
        self.assertEqual(self.users(), [])
