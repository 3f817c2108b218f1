"""No command without a scope, and no door that lets anyone past it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access.principals import OWNER, PUBLIC, SCOPES, Principal
from resttorrent.access_log import AccessLog
from resttorrent.commands.answers import Answer
from resttorrent.commands.registry import Command, Registry, command
from resttorrent.errors import CommandError
from resttorrent.live.door import LiveDoor
from resttorrent.rest.site import build_site
from resttorrent.socketio import Handshake, Refusal
from tests.commands import everything
from tests.rest.wire import CLIENT, SERVER, Reactor, Response, Wire

from .support import World, run

FAR = IPv4Address("TCP", "192.0.2.7", 40000)
OPEN = {"get_about", "get_health", "login", "logout"}
"""The commands that anyone may use."""
OWN = {"change_password"}
"""Those that change something of nobody but who asks."""


class DeclaredTests(SynchronousTestCase):
    def test_every_command_has_one(self) -> None:
        commands = list(everything.registry())
        self.assertEqual({c.name for c in commands if c.scope == PUBLIC}, OPEN)
        for one in commands:
            self.assertIn(one.scope, (PUBLIC, *SCOPES), one.name)
            if one.method not in ("GET", None) and one.name not in OPEN | OWN:
                self.assertIn(one.scope, ("control", "admin"), one.name)

    def test_none_can_be_made_without(self) -> None:
        async def function(ctx: object) -> Answer:
            return Answer()

        make: Any = command
        self.assertRaises(TypeError, make, "GET", "/x")
        for scope in ("", "write", "Read", None):
            self.assertRaises(ValueError, lambda scope=scope: make("GET", "/x", scope=scope)(function))


class Spied:
    """
    The real commands, but that they do nothing and tell that they were called.

    :ivar called: the names, in order.
    """

    def __init__(self) -> None:
        self.called: list[str] = []
        self.registry = Registry(self.spied(one) for one in everything.registry())

    def spied(self, one: Command) -> Command:
        async def function(ctx: object, **parameters: object) -> Answer:
            self.called.append(one.name)
            return Answer()

        spied = replace(one, function=function, location=None)
        bind: Callable[..., dict[str, Any]] = lambda pairs: dict.fromkeys(map(str, list(pairs)))  # noqa: E731
        object.__setattr__(spied, "bind", lambda pairs: bind(pairs) and {})
        return spied


class EnforcedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.tokens = {scope: self.world.token(scope, name=scope) for scope in SCOPES}
        self.spied = Spied()
        self.reactor: Any = Reactor()

    def allowed(self, scope: str, given: str | None) -> bool:
        """Whether a command of this scope is for who has this token, or none."""
        if scope == PUBLIC:
            return True
        return given is not None and SCOPES.index(given) >= SCOPES.index(scope)

    def cases(self) -> Iterator[tuple[Command, str | None]]:
        for one in self.spied.registry:
            for given in (None, *SCOPES):
                yield one, given


class RestTests(EnforcedCase):
    def setUp(self) -> None:
        super().setUp()
        site = build_site(
            self.spied.registry,
            lambda principal: principal,
            judge=self.world.policy.judge,
            reactor=self.reactor,
        )
        self.site = site
        self.wire = self.connect(FAR)

    def connect(self, peer: Any) -> Wire:
        wire = Wire.__new__(Wire)
        wire.transport = StringTransport(hostAddress=SERVER, peerAddress=peer)  # type: ignore[assignment]
        protocol = self.site.buildProtocol(peer)
        assert protocol is not None
        wire.protocol = protocol
        protocol.makeConnection(wire.transport)
        return wire

    def ask(self, method: str, path: str, token: str | None = None, **headers: str) -> Response:
        given = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.wire.ask(method, path, {**given, **headers})

    def test_every_command(self) -> None:
        asked = 0
        for one, given in self.cases():
            if one.route is None or one.method is None:
                continue
            path = one.route.format(session_id="s", infohash="i", token_id="t", name="n")
            answer = self.ask(one.method, path, None if given is None else self.tokens[given])
            asked += 1
            if self.allowed(one.scope, given):
                self.assertEqual((answer.json["status"], self.spied.called.pop()), ("success", one.name))
            else:
                expected = (401, "token_needed") if given is None else (403, "not_allowed")
                self.assertEqual((answer.status, answer.json["code"]), expected, one.name)
                self.assertEqual(
                    answer.headers.get("www-authenticate"),
                    'Bearer realm="RestTorrent"' if given is None else None,
                )
            self.assertEqual(self.spied.called, [])
        self.assertGreater(asked, 40)

    def test_who_asks_comes_first(self) -> None:
        """A stranger hears nothing of paths, methods and bodies."""
        for method, path in (
            ("GET", "/v1/nothing"),
            ("PATCH", "/v1/sessions"),
            ("GET", "/v1/sessions?x=%ff"),
        ):
            self.assertEqual(self.ask(method, path).status, 401)
        answer = self.wire.ask("POST", "/v1/sessions", {"Content-Type": "application/json"}, b"{not json")
        self.assertEqual((answer.status, answer.headers["connection"]), (401, "close"))
        self.wire = self.connect(FAR)
        answer = self.ask("GET", "/v1/nothing", self.tokens["read"])
        self.assertEqual(answer.status, 404)

    def test_owner(self) -> None:
        for peer in (CLIENT, UNIXAddress(None)):
            self.wire = self.connect(peer)
            self.assertEqual(self.ask("DELETE", "/v1/sessions/1").status, 200)
            for headers in (
                {"X-Forwarded-For": "1.2.3.4"},
                {"Forwarded": "for=x"},
                {"Via": "1.1 x"},
                {"X-Forwarded-Prefix": "/rt"},
                {"x-real-ip": "1.2.3.4"},
            ):
                self.assertEqual(self.ask("DELETE", "/v1/sessions/1", **headers).status, 401, headers)

    def test_wrong_ones(self) -> None:
        for _ in range(10):
            self.assertEqual(self.ask("GET", "/v1/sessions", "wrong").json["code"], "token_needed")
        answer = self.ask("GET", "/v1/sessions", "wrong")
        self.assertEqual(
            (answer.status, answer.json["code"], answer.headers["retry-after"]), (429, "too_many", "60")
        )
        self.assertEqual(self.ask("GET", "/v1/sessions", self.tokens["read"]).status, 200)
        self.assertEqual(self.spied.called, ["get_session_list"])

    def test_not_in_the_query(self) -> None:
        self.assertEqual(self.ask("GET", f"/v1/sessions?token={self.tokens['admin']}").status, 401)


class FakeSocket:
    """A client's end, as the door sees it."""

    def __init__(self) -> None:
        self.data: Any = None
        self.connected = True
        self.answers: list[Any] = []

    def emit(self, name: str, raw: msgspec.Raw) -> None:
        self.answers.append(msgspec.json.decode(raw))

    def disconnect(self, *, close: bool = False) -> None:
        self.connected = not close


class LiveTests(EnforcedCase):
    def setUp(self) -> None:
        super().setUp()

        async def breathe(what: str) -> None:
            return None

        pace: Any = SimpleNamespace(breathe=breathe)
        context_for = lambda principal, caller: principal  # noqa: E731
        log = AccessLog(self.reactor.seconds)
        self.door = LiveDoor(self.spied.registry, context_for, pace, self.world.policy, log)
        self.world.tokens.watch(self.door.put_out)

    def join(self, auth: Any = None, query: str = "", peer: Any = FAR, **headers: str) -> FakeSocket:
        socket: Any = FakeSocket()
        handshake = Handshake({"token": query} if query else {}, headers, "192.0.2.7", peer)
        socket.data = self.door.admit(handshake, "/", auth)
        self.door.connect(socket, auth)
        made: FakeSocket = socket
        return made

    def refused(self, auth: Any = None, query: str = "", peer: Any = FAR, **headers: str) -> Any:
        refusal = self.assertRaises(Refusal, self.join, auth, query, peer, **headers)
        return refusal.data

    def send(self, socket: FakeSocket, name: str) -> Any:
        live: Any = socket
        self.door.event(live, "v1", [{"command": name}], None)
        return socket.answers.pop()

    def test_every_command(self) -> None:
        for one, given in self.cases():
            if given is None:
                continue
            answer = self.send(self.join({"token": self.tokens[given]}), one.name)
            if self.allowed(one.scope, given):
                self.assertEqual((answer["status"], self.spied.called.pop()), ("success", one.name))
            else:
                self.assertEqual((answer["status"], answer["code"]), ("fail", "not_allowed"), one.name)
            self.assertEqual(self.spied.called, [])

    def test_where_the_token_is(self) -> None:
        token = self.tokens["admin"]
        for socket in (
            self.join({"token": token}),
            self.join({"token": token}, query="wrong"),
            self.join(query=token),
            self.join({"token": ""}, query=token),
            self.join({"token": 5}, query=token),
            self.join(authorization=f"Bearer {token}"),
        ):
            self.assertEqual(self.send(socket, "delete_session")["status"], "success")

    def test_without(self) -> None:
        given: tuple[Any, ...] = (None, {}, [], "x", {"token": None}, {"Token": self.tokens["admin"]})
        for auth in given:
            self.assertEqual(self.refused(auth), {"code": "token_needed"})
        near = {"host": "127.0.0.1:8080"}
        self.assertEqual(self.refused(peer=CLIENT, host="evil.example")["code"], "token_needed")
        self.assertEqual(
            self.refused(peer=CLIENT, origin="http://evil.example", **near)["code"], "token_needed"
        )
        self.assertEqual(self.refused(peer=CLIENT, via="1.1 x", **near)["code"], "token_needed")
        self.join(peer=CLIENT, **near)
        self.join(peer=UNIXAddress(None), host="x")

    def test_wrong(self) -> None:
        for _ in range(10):
            self.assertEqual(self.refused({"token": "wrong"}), {"code": "token_needed"})
        self.assertEqual(self.refused({"token": "wrong"}), {"code": "too_many"})
        self.join({"token": self.tokens["read"]})

    def test_deleted_token(self) -> None:
        """Its sockets are closed, and what still comes from them is refused."""
        socket, other = self.join({"token": self.tokens["admin"]}), self.join({"token": self.tokens["read"]})
        token_id = next(t.record.id for t in self.world.tokens if t.record.name == "admin")
        run(self.world.tokens.delete(token_id))
        self.assertEqual((socket.connected, other.connected), (False, True))
        self.assertEqual(self.send(socket, "delete_session")["code"], "token_needed")
        self.assertEqual(self.spied.called, [])


class PrincipalTests(SynchronousTestCase):
    def test_start_looks_at_the_scope_before_all_else(self) -> None:
        def pairs() -> Iterator[tuple[str, object]]:
            raise AssertionError("the body was read")
            yield "", ""

        for one in everything.registry():
            if one.scope == PUBLIC:
                continue
            for principal in (Principal("", frozenset()), Principal("x", frozenset({PUBLIC}))):
                self.assertRaises(CommandError, one.start, principal, None, pairs())
            OWNER.require(one.scope)
