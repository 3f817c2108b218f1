"""Who asks is judged by the head: what is refused is refused without its body, and each request once."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access import attempts
from resttorrent.access.attempts import MOST, MOST_REQUESTS, PERIOD
from resttorrent.access.logins import COOKIE
from resttorrent.access.quotas import Quota
from resttorrent.rest.request import STRANGERS_BODY
from resttorrent.rest.site import LINGER, build_site
from tests.access.doors import Door, lan
from tests.access.support import World as Access
from tests.access.support import run
from tests.rest.feeding import NUMBERS, Feeds
from tests.rest.wire import REGISTRY, Context, Reactor, World, head

MiB = 1024 * 1024
JSON = {"Content-Type": "application/json"}


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.access = Access()
        reactor: Any = Reactor()
        self.reactor = reactor
        self.judged = 0
        self.context = Context()
        self.site = build_site(
            REGISTRY, lambda principal: self.context, judge=self.judge, check=self.access.policy.check,
            reactor=reactor, body_limit=32 * MiB,
        )  # fmt: skip

    def judge(self, facts: Any) -> Any:
        self.judged += 1
        return self.access.policy.judge(facts)

    def connect(self) -> Door:
        return Door(self.site, lan(1), lan(2))

    def head(self, method: str, path: str, length: int | None, token: str = "", **headers: str) -> bytes:
        given = {**JSON, **{name.replace("_", "-"): text for name, text in headers.items()}}
        if token:
            given["Authorization"] = f"Bearer {token}"
        return head(method, path, given, length).replace(b"127.0.0.1:8080", b"192.0.2.1:8080")

    def refused(self, raw: bytes, status: int, code: str) -> Any:
        """The answer to a head, of whose body nothing came; the connection ends."""
        wire = self.connect()
        wire.send(raw)
        answer = wire.answer()
        self.assertEqual((answer.status, answer.json["code"]), (status, code))
        self.assertEqual(answer.headers["connection"], "close")
        [request] = wire.protocol.requests
        wire.send(b"x" * 100_000)
        self.assertEqual(request.content.getvalue(), b"")
        self.reactor.advance(LINGER)
        self.assertTrue(wire.transport.disconnecting)
        self.assertEqual(self.context.called, [])
        wire.lose()
        return answer


class HeadTests(Case):
    def test_stranger(self) -> None:
        for path in ("/v1/things", "/v1/nothing", "/", "/v1/things?x=%ff"):
            self.refused(self.head("POST", path, 30 * MiB), 401, "token_needed")
        self.refused(self.head("PATCH", "/v1/things", 5), 401, "token_needed")
        self.refused(self.head("POST", "/v1/things", None, Transfer_Encoding="chunked"), 401, "token_needed")
        self.assertEqual(self.judged, 6)

    def test_t_id(self) -> None:
        answer = self.refused(self.head("POST", "/v1/things?t_id=7&x=%ff", 5), 401, "token_needed")
        self.assertEqual(answer.json["t_id"], "7")
        answer = self.refused(self.head("POST", "/v1/things?x=%ff&t_id=7", 5), 401, "token_needed")
        self.assertNotIn("t_id", answer.json)

    def test_scope(self) -> None:
        token = self.access.token("read")
        self.refused(self.head("POST", "/v1/things", 30 * MiB, token), 403, "not_allowed")

    def test_wrong_token_counts_once(self) -> None:
        for _ in range(MOST):
            self.refused(self.head("POST", "/v1/things", MiB, "wrong"), 401, "token_needed")
        answer = self.refused(self.head("POST", "/v1/things", MiB, "wrong"), 429, "too_many")
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertEqual(self.judged, MOST + 1)

    def test_right_token(self) -> None:
        wire = self.connect()
        body = b'{"note":"x"}'.ljust(MiB)
        wire.send(self.head("POST", "/v1/things", len(body), self.access.token("control")))
        wire.send(body)
        self.assertEqual(wire.answer().status, 201)

    def test_token_that_goes_while_the_body_comes(self) -> None:
        wire = self.connect()
        text = self.access.token("control")
        wire.send(self.head("POST", "/v1/things", 2, text))
        (token,) = self.access.tokens
        run(self.access.tokens.delete(token.record.id))
        wire.send(b"{}")
        self.assertEqual((wire.answer().status, self.context.called), (401, []))

    def test_expectation(self) -> None:
        """Who may not is not told to go on; who may is."""
        wire = self.connect()
        wire.send(self.head("POST", "/v1/things", 5, Expect="100-continue"))
        self.assertTrue(wire.received().startswith(b"HTTP/1.1 401"))
        self.assertTrue(wire.transport.disconnecting)
        wire = self.connect()
        wire.send(self.head("POST", "/v1/things", 5, self.access.token("control"), Expect="100-continue"))
        self.assertEqual(wire.received(), b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_options(self) -> None:
        """They are answered to all."""
        wire = self.connect()
        wire.send(self.head("OPTIONS", "/v1/things", 2) + b"{}")
        self.assertEqual(wire.answer().status, 204)


class KnownTests(Case):
    """On a connection a good token is judged whole once."""

    def setUp(self) -> None:
        super().setUp()
        self.wire = self.connect()

    def ask(self, token: str = "", **headers: str) -> int:
        self.wire.send(self.head("GET", "/v1/things", None, token, **headers))
        return self.wire.answer().status

    def test_once(self) -> None:
        token = self.access.token("read")
        self.assertEqual([self.ask(token) for _ in range(3)], [200] * 3)
        self.assertEqual(self.judged, 1)
        self.assertEqual(self.ask(self.access.token("control")), 200)
        self.assertEqual((self.ask(token), self.judged), (200, 3))
        # each connection for itself
        self.wire = self.connect()
        self.assertEqual((self.ask(token), self.judged), (200, 4))

    def test_scopes_are_its_own(self) -> None:
        read, control = self.access.token("read"), self.access.token("control")
        for token, status in ((control, 201), (read, 403)):
            self.wire.send(self.head("POST", "/v1/things", 2, token) + b"{}")
            self.assertEqual(self.wire.answer().status, status)

    def test_nobody_else(self) -> None:
        token = self.access.token("read")
        self.assertEqual(self.ask(token), 200)
        self.assertEqual((self.ask(), self.ask(token + "x"), self.ask(token[:-1])), (401, 401, 401))
        bearer = b"Authorization: Bearer " + token.encode()
        self.wire.send(
            b"\r\n".join((b"GET /v1/things HTTP/1.1", b"Host: 192.0.2.1:8080", bearer, bearer, b"", b""))
        )
        self.assertIn(self.wire.answer().status, (400, 401))

    def test_deleted(self) -> None:
        """It counts as a wrong one from then on."""
        text = self.access.token("read")
        self.assertEqual(self.ask(text), 200)
        (token,) = self.access.tokens
        run(self.access.tokens.delete(token.record.id))
        self.assertEqual([self.ask(text) for _ in range(MOST + 1)], [401] * MOST + [429])

    def test_login_by_cookie(self) -> None:
        """What a header of another scheme comes with says nothing of who asks next."""
        value, _ = self.access.policy.log_in(self.access.token("read"), "192.0.2.2")
        cookie = f"{COOKIE}={value}"
        self.assertEqual(self.ask(Authorization="Basic eDp5", Cookie=cookie), 200)
        self.assertEqual(self.ask(Authorization="Basic eDp5"), 401)


class StrangersBodyTests(Case):
    """What anybody may call, such as a login, takes a short body."""

    def setUp(self) -> None:
        super().setUp()
        self.site.door._scopes["create_thing"] = "public"

    def test_read(self) -> None:
        wire = self.connect()
        wire.send(self.head("POST", "/v1/things", STRANGERS_BODY) + b"{}".ljust(STRANGERS_BODY))
        # the command itself is not public here
        self.assertEqual((wire.answer().status, self.judged), (401, 1))
        self.assertFalse(wire.transport.disconnecting)

    def test_too_long(self) -> None:
        """Who asks comes first: it is 401, not 413."""
        self.refused(self.head("POST", "/v1/things", STRANGERS_BODY + 1), 401, "token_needed")
        wire = self.connect()
        wire.send(self.head("POST", "/v1/things", None, Transfer_Encoding="chunked"))
        wire.send(b"4000\r\n" + b" " * STRANGERS_BODY + b"\r\n")
        self.assertEqual(wire.received(), b"")
        wire.send(b"1\r\n")
        wire.send(b" ")
        self.assertEqual(wire.answer().status, 401)


class StrangersRateTests(Case):
    def ask(self, token: str = "", method: str = "GET", peer: int = 2) -> int:
        wire = Door(self.site, lan(1), lan(peer))
        wire.send(self.head(method, "/v1/things", None, token))
        answer = wire.answer()
        wire.lose()
        if answer.status == 429:
            self.assertGreater(int(answer.headers["retry-after"]), 0)
        return answer.status

    def test_rate(self) -> None:
        for _ in range(MOST_REQUESTS):
            self.assertEqual(self.ask(), 401)
        self.assertEqual((self.ask(), self.ask(method="POST"), self.ask(method="DELETE")), (429, 429, 429))
        self.assertEqual(self.site.refusals[429], 3)
        # others, and who has a token, are let in
        self.assertEqual(self.ask(peer=3), 401)
        self.assertEqual(self.ask(self.access.token("read")), 200)
        self.access.clock.advance(2 * PERIOD)
        self.assertEqual(self.ask(), 401)

    def test_steady(self) -> None:
        """Whoever never stops gets as many a minute as may be, not more."""
        let_in = 0
        for _ in range(3 * 1200):
            principal_or_error = self.judge_one()
            let_in += principal_or_error
            self.access.clock.advance(PERIOD / 1200)
        self.assertLessEqual(let_in, 3 * MOST_REQUESTS)
        self.assertGreater(let_in, 2.9 * MOST_REQUESTS)

    def judge_one(self) -> bool:
        return self.access.policy._strangers.wait("192.0.2.2") == 0

    def test_wait_is_long_enough(self) -> None:
        for _ in range(MOST_REQUESTS + 50):
            self.judge_one()
            self.access.clock.advance(0.09)
        wait = self.access.policy._strangers.wait("192.0.2.2")
        self.assertTrue(0 <= wait <= PERIOD)
        self.access.clock.advance(wait)
        self.assertTrue(self.judge_one())

    def test_login_is_let_through(self) -> None:
        """A right token may be in its body."""
        self.site.door._scopes["create_thing"] = "public"
        for _ in range(MOST_REQUESTS + 1):
            self.judge_one()
        wire = self.connect()
        wire.send(self.head("POST", "/v1/things", 2))
        self.assertEqual(wire.received(), b"")

    def test_table_is_bounded(self) -> None:
        self.patch(attempts, "MOST_ADDRESSES", 100)
        strangers = attempts.Strangers(self.access.clock.seconds)
        for number in range(1000):
            strangers.wait(f"10.0.{number // 256}.{number % 256}")
        self.assertEqual(len(strangers._rates), 100)


class QuotaTests(SynchronousTestCase):
    def test_commands_that_run(self) -> None:
        world = World()
        world.door._at_work = Quota(2, "commands running")
        wires = [Door(world.site) for _ in range(3)]
        for wire in wires:
            wire.send(head("GET", "/v1/wait"))
        self.assertEqual([wire.received() for wire in wires[:2]], [b"", b""])
        world.wire.send(head("GET", "/v1/things"))
        refused = world.wire.answer()
        self.assertEqual((refused.status, refused.json["code"]), (429, "too_many"))
        self.assertGreater(int(refused.headers["retry-after"]), 0)
        world.context.held[0].callback(None)
        self.assertEqual(world.wire.ask("GET", "/v1/things").status, 200)
        wires[1].lose()
        self.assertEqual(len(world.door._at_work), 0)

    def test_streams_are_subscriptions(self) -> None:
        """They do not count as commands that run, and those of all doors together are bounded."""
        world = World(registry=NUMBERS, context=Feeds())
        world.door._at_work = Quota(1, "commands running")
        quota = world.door._subscriptions = Quota(2, "subscriptions")
        wires = [Door(world.site) for _ in range(3)]
        for wire in wires:
            wire.send(head("GET", "/v1/numbers"))
        self.assertEqual([wire.received()[:12] for wire in wires[:2]], [b"HTTP/1.1 200"] * 2)
        self.assertEqual(wires[2].answer().status, 429)
        for wire in wires:
            wire.lose()
        self.assertEqual((len(quota), len(world.door._at_work)), (0, 0))
