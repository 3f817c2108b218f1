"""Who is the owner, whose token it is, and what a wrong one comes to."""

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access.attempts import MOST, PERIOD
from resttorrent.access.principals import OWNER
from resttorrent.access.requests import Facts
from resttorrent.errors import Loading, NotAllowed, TokenNeeded, TooMany

from .support import NOW, World, facts, run

NETWORK = "192.0.2.7"
STRANGERS = {
    "from the network": facts(NETWORK),
    "by IPv6 from the network": facts("2001:db8::1"),
    "passed on by a proxy": facts(proxied=True),
    "for another host": facts(host="evil.example"),
    "for another host with our port": facts(host="evil.example:8080"),
    "for a host that begins like ours": facts(host="127.0.0.1.evil.example"),
    "for a host that ends like ours": facts(host="evil.example/127.0.0.1"),
    "for the machine's own address in the network": facts(host="192.0.2.1:8080"),
    "for two hosts": facts(host="127.0.0.1:8080, 127.0.0.1:8080"),
    "for no host": facts(host=""),
    "from a page elsewhere": facts(origin="http://evil.example"),
    "from a page at another port": facts(origin="http://127.0.0.1:3000"),
    "from a page by another name of ours": facts(origin="http://localhost:8080"),
    "from a page without an origin": facts(origin="null"),
    "from two pages": facts(origin="http://127.0.0.1:8080, http://evil.example"),
    "from nowhere that is known": facts(""),
    "by a UNIX socket through a proxy": facts("", unix=True, proxied=True),
}
OWNERS = {
    "as curl asks": facts(),
    "by name": facts(host="localhost:8080"),
    "by name, at the usual port": facts(host="LocalHost"),
    "by IPv6": facts("::1", host="[::1]:8080"),
    "by IPv4 in IPv6": facts("::ffff:127.0.0.1"),
    "at another loopback address": facts("127.9.9.9", host="127.9.9.9:1"),
    "from our own page": facts(origin="http://127.0.0.1:8080"),
    "from our own page by name": facts(host="localhost:8080", origin="http://localhost:8080"),
    "by a UNIX socket": facts("", unix=True, host="whatever"),
    "with a password meant for somebody else": facts(authorization="Basic YTpi"),
    "with a cookie of another site here": facts(cookie="sid=1"),
}


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.judge = self.world.policy.judge

    def assertStranger(self, asked: Facts, why: str = "") -> None:
        principal = self.judge(asked)
        self.assertTrue(principal.is_stranger, why)
        for scope in ("read", "control", "admin"):
            self.assertRaises(TokenNeeded, principal.require, scope)


class OwnerTests(Case):
    def test_auto(self) -> None:
        for why, asked in OWNERS.items():
            self.assertIs(self.judge(asked), OWNER, why)
        for why, asked in STRANGERS.items():
            self.assertStranger(asked, why)

    def test_many_hosts(self) -> None:
        """What is remembered of hosts is bounded, and never of the wrong one."""
        for number in range(1000):
            self.world.clock.advance(1)
            self.assertStranger(facts(host=f"h{number}.example"))
            self.assertIs(self.judge(facts(host=f"127.0.0.1:{number}")), OWNER)
        self.assertLessEqual(len(self.world.policy._known_hosts), 256)

    def test_always(self) -> None:
        self.world = World("always")
        self.judge = self.world.policy.judge
        for why, asked in {**OWNERS, **STRANGERS}.items():
            self.assertStranger(asked, why)
        token = self.world.token("admin")
        self.assertEqual(self.judge(facts(bearer=token)).name, "a token")

    def test_never(self) -> None:
        self.judge = World("never").policy.judge
        for asked in (*OWNERS.values(), *STRANGERS.values(), facts(NETWORK, bearer="wrong")):
            self.assertIs(self.judge(asked), OWNER)

    def test_trusted_proxy_is_never_the_owner(self) -> None:
        self.judge = World(trusted=(ip_network("127.0.0.1"),)).policy.judge
        self.assertStranger(facts())
        self.assertStranger(facts(proxied=True, x_forwarded_for="127.0.0.1"))
        self.assertIs(self.judge(facts("127.0.0.2")), OWNER)


class TokenTests(Case):
    def test_scopes(self) -> None:
        for given, may in (("read", 1), ("control", 2), ("admin", 3)):
            principal = self.judge(facts(NETWORK, bearer=self.world.token(given)))
            for number, scope in enumerate(("read", "control", "admin")):
                if number < may:
                    principal.require(scope)
                else:
                    self.assertRaises(NotAllowed, principal.require, scope)

    def test_wherever_it_is_given(self) -> None:
        token = self.world.token()
        for asked in (
            facts(NETWORK, bearer=token),
            facts(NETWORK, authorization=f"bearer  {token} "),
            facts(NETWORK, token=token),
            facts(NETWORK, bearer=token, host="a.example", origin="http://b.example", proxied=True),
        ):
            self.assertEqual(self.judge(asked).name, "a token")

    def test_small_token_of_the_owner(self) -> None:
        """Who says a token is what the token says."""
        principal = self.judge(facts(bearer=self.world.token("read")))
        self.assertRaises(NotAllowed, principal.require, "control")

    def test_wrong(self) -> None:
        right = self.world.token()
        wrong = ("", "x", right[:-1], right + "x", right.swapcase(), "é", "x" * 100_000, f"{right}, {right}")
        for number, token in enumerate(wrong):
            self.assertRaises(TokenNeeded, self.judge, facts(f"192.0.2.{number}", bearer=token))
        self.assertRaises(TokenNeeded, self.judge, facts("192.0.2.99", token="wrong"))
        # the owner's wrong ones too: a mistake is told
        self.assertRaises(TokenNeeded, self.judge, facts(bearer="wrong"))

    def test_expired(self) -> None:
        token = self.world.token(expiry=NOW + 60)
        self.world.wall += 59.9
        self.judge(facts(NETWORK, bearer=token))
        self.world.wall += 0.1
        error = self.assertRaises(TokenNeeded, self.judge, facts(NETWORK, bearer=token))
        self.assertIn("expired", error.message)

    def test_not_loaded(self) -> None:
        judge = World(load=False).policy.judge
        self.assertRaises(Loading, judge, facts(NETWORK, bearer="x"))
        self.assertIs(judge(facts()), OWNER)


class CountingTests(Case):
    def wrong(self, peer: str, forwarded: str = "") -> type[Exception] | None:
        try:
            self.judge(facts(peer, bearer="wrong", x_forwarded_for=forwarded))
        except (TokenNeeded, TooMany) as error:
            return type(error)
        return None

    def test_too_many(self) -> None:
        right = self.world.token()
        for _ in range(MOST):
            self.assertIs(self.wrong(NETWORK), TokenNeeded)
        error = self.assertRaises(TooMany, self.judge, facts(NETWORK, bearer="wrong"))
        self.assertEqual((error.http_status, error.retry_after), (429, 60))
        # a right one is always let in, and another address is another
        self.assertEqual(self.judge(facts(NETWORK, bearer=right)).name, "a token")
        self.assertIs(self.wrong("192.0.2.8"), TokenNeeded)
        # they age
        self.world.clock.advance(PERIOD - 1)
        error = self.assertRaises(TooMany, self.judge, facts(NETWORK, bearer="wrong"))
        self.assertEqual(error.retry_after, 1)
        self.world.clock.advance(1)
        self.assertIs(self.wrong(NETWORK), TokenNeeded)

    def test_without_a_token_nothing_is_counted(self) -> None:
        for _ in range(3 * MOST):
            self.assertStranger(facts(NETWORK))
        self.assertIs(self.wrong(NETWORK), TokenNeeded)

    def test_expired_ones_are_not_counted(self) -> None:
        token = self.world.token(expiry=NOW)
        for _ in range(3 * MOST):
            self.assertRaises(TokenNeeded, self.judge, facts(NETWORK, bearer=token))

    def test_behind_a_proxy(self) -> None:
        proxies = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
        self.world = World(trusted=proxies)
        address = self.world.policy.client_address
        for peer, forwarded, expected in (
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
            ("::ffff:10.0.0.1", "::ffff:192.0.2.7", "192.0.2.7"),
            # what the client itself wrote stands before what the proxy saw
            ("10.0.0.1", "127.0.0.1, 192.0.2.7", "192.0.2.7"),
            ("10.0.0.1", "192.0.2.7, 10.0.0.2,fd00::1", "192.0.2.7"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("10.0.0.1", "192.0.2.7, junk, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "junk", "10.0.0.1"),
            # not of whom nobody trusts
            (NETWORK, "192.0.2.1", NETWORK),
            ("", "192.0.2.1", ""),
        ):
            self.assertEqual(address(facts(peer, x_forwarded_for=forwarded)), expected)
        self.judge = self.world.policy.judge
        for _ in range(MOST):
            self.assertIs(self.wrong("10.0.0.1", NETWORK), TokenNeeded)
        self.assertIs(self.wrong("10.0.0.1", NETWORK), TooMany)
        self.assertIs(self.wrong("10.0.0.1", "192.0.2.8"), TokenNeeded)


class LoginTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.secret, self.login = self.world.policy.log_in(self.world.token("control"), NETWORK)
        self.cookie = f"other=1; resttorrent_login={self.secret}; resttorrent_csrf={self.login.csrf}"

    def test_reading(self) -> None:
        for method in (b"GET", b"HEAD", b"OPTIONS"):
            self.assertEqual(self.judge(facts(NETWORK, method=method, cookie=self.cookie)).name, "a token")

    def test_changing_needs_the_csrf_token(self) -> None:
        for method in (b"POST", b"PUT", b"DELETE", b"PATCH", b"get"):
            for sent in ("", "wrong", self.login.csrf + "x"):
                asked = facts(NETWORK, method=method, cookie=self.cookie, x_csrf_token=sent)
                self.assertRaises(NotAllowed, self.judge, asked)
            asked = facts(NETWORK, method=method, cookie=self.cookie, x_csrf_token=self.login.csrf)
            principal = self.judge(asked)
            principal.require("control")
            self.assertRaises(NotAllowed, principal.require, "admin")

    def test_wrong_cookies(self) -> None:
        for cookie in (
            "resttorrent_login=",
            f"resttorrent_login={self.secret}x",
            f"resttorrent_csrf={self.secret}",
            "resttorrent_login",
            "resttorrent_login=é; \x01",
            f"x_resttorrent_login={self.secret}",
        ):
            self.assertStranger(facts(NETWORK, cookie=cookie), cookie)

    def test_wrong_token(self) -> None:
        self.assertRaises(TokenNeeded, self.world.policy.log_in, "wrong", NETWORK)
        for _ in range(MOST - 1):
            self.assertRaises(TokenNeeded, self.world.policy.log_in, "wrong", NETWORK)
        self.assertRaises(TooMany, self.world.policy.log_in, "wrong", NETWORK)

    def test_ends_with_its_token(self) -> None:
        grant = self.login.principal.grant
        assert grant is not None
        run(self.world.tokens.delete(grant))
        self.assertStranger(facts(NETWORK, cookie=self.cookie))

    def test_ends_when_its_token_expires(self) -> None:
        secret, _ = self.world.policy.log_in(self.world.token(expiry=NOW + 1), NETWORK)
        self.world.wall += 1
        asked = facts(NETWORK, cookie=f"resttorrent_login={secret}")
        self.assertRaises(TokenNeeded, self.judge, asked)

    def test_logout(self) -> None:
        principal = self.judge(facts(NETWORK, cookie=self.cookie))
        self.world.policy.logins.close(principal)
        self.assertStranger(facts(NETWORK, cookie=self.cookie))
        self.world.policy.logins.close(OWNER)

    def test_idle(self) -> None:
        for _ in range(10):
            self.world.clock.advance(6 * 24 * 3600)
            self.assertEqual(self.judge(facts(NETWORK, cookie=self.cookie)).name, "a token")
        self.world.clock.advance(7 * 24 * 3600)
        self.assertStranger(facts(NETWORK, cookie=self.cookie))
        self.assertEqual(len(self.world.policy.logins), 0)
