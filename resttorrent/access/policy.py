"""
Who may come in. Sans I/O: facts in, a principal or an error out.

``auto``: whoever asks on the machine itself, for the machine itself, is the owner; all others need a token.
``always``: all need one. ``never``: all are the owner. A token that is given is judged, wherever it comes
from: with a wrong one nobody gets in, with a small one nobody gets more.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from ..errors import NotAllowed, TokenNeeded, TooMany, WrongPassword
from ..settings import Network
from .attempts import Attempts, Strangers
from .guesses import Guesses
from .hosts import Host
from .logins import Login, Logins, same
from .origins import SAFE_METHODS, same_site
from .principals import OWNER, Principal, stranger_at, too_many_requests
from .requests import Facts
from .tokens import Tokens, Watcher
from .users import Users

Auth = Literal["auto", "always", "never"]
_MOST_KNOWN_HOSTS = 256


class Policy:
    """
    :param trusted_proxies: whose X-Forwarded-For is believed, to count by; what they send is never the
        owner's.
    :param seconds: a steady clock.
    :ivar tokens: the daemon's tokens; :ivar users: its users; :ivar logins: browsers that are logged in.
    """

    def __init__(
        self,
        tokens: Tokens,
        users: Users,
        *,
        auth: Auth = "auto",
        trusted_proxies: Sequence[Network] = (),
        seconds: Callable[[], float],
    ) -> None:
        self.tokens = tokens
        self.users = users
        self.logins = Logins(seconds)
        self.watch(self.logins.forget)
        self._auth = auth
        self._trusted_proxies = tuple(trusted_proxies)
        self._attempts = Attempts(seconds)
        self._strangers = Strangers(seconds)
        self._guesses = Guesses(self._attempts, seconds)
        self._known_hosts: dict[bytes, bool] = {}

    def judge(self, facts: Facts) -> Principal:
        """
        Who asks; a stranger, if nothing says who.

        A stranger whose address has asked for too much may still send what changes something: a right token
        may be in its body. Wrong ones have a count of their own; all else such a one is refused.

        :raises TokenNeeded: the token is wrong, or has expired, :raises TooMany: one of many wrong ones, or
            of many requests without one,
        :raises NotAllowed: a cookie without its CSRF header, :raises Loading: tokens can't be judged yet.
        """
        if self._auth == "never":
            return OWNER
        headers = facts.headers
        if facts.token is not None:
            return self.check_token(facts.token, self.client_address(facts))
        if b"authorization" in headers:
            token = bearer_of(headers[b"authorization"])
            if token is not None:
                return self.check_token(token, self.client_address(facts))
        if self._auth == "auto" and self._is_owner(facts):
            return OWNER
        if b"cookie" in headers:
            login = self.logins.find(headers[b"cookie"])
            if login is not None:
                return self._logged_in(login, facts)
        address = self.client_address(facts)
        wait = self._strangers.wait(address)
        if wait and facts.method in SAFE_METHODS:
            raise too_many_requests(wait)
        return stranger_at(address, wait)

    def check_token(self, token: str, address: str) -> Principal:
        """
        Whose token it is.

        :param address: to count it by, if it is nobody's.
        :raises TokenNeeded: it is wrong, or has expired, :raises TooMany: one of many wrong ones,
            :raises Loading: that can't be told yet.
        """
        principal = self.tokens.find(token)
        if principal is not None:
            return principal
        wait = self._attempts.wrong(address)
        if wait:
            raise TooMany("there were too many wrong tokens from your address", retry_after=wait)
        raise TokenNeeded("this token is not known here")

    async def check_password(self, name: str, password: str, source: str) -> Principal:
        """
        Whose name and password they are, both canonical.

        :param source: to count it by, unless it is right.
        :raises WrongPassword: nobody's, :raises TooMany: one of many wrong ones, which is not looked at, or
            too many are being looked at, :raises Loading: that can't be told yet.
        """
        guess = self._guesses.begin(name, source)
        if isinstance(guess, int):
            raise TooMany("there were too many wrong tokens or passwords", retry_after=guess)
        try:
            principal = await self.users.find(name, password)
        except BaseException:
            self._guesses.drop(guess)
            raise
        if principal is None:
            self._guesses.wrong(guess)
            raise WrongPassword("the name or the password is wrong")
        self._guesses.right(guess)
        return principal

    def check(self, principal: Principal) -> None:
        """
        See that a caller who was let in earlier still may be.

        :raises TokenNeeded: the token, or what the user logged in by, is no longer good.
        """
        if principal.is_user:
            self.users.check(principal)
        else:
            self.tokens.check(principal)

    def watch(self, watcher: Watcher) -> None:
        """Hear of each grant that is no longer good."""
        self.tokens.watch(watcher)
        self.users.watch(watcher)

    def client_address(self, facts: Facts) -> str:
        """
        By which address to count a request.

        The last entry of X-Forwarded-For that is no trusted proxy, if a trusted proxy says so; else the
        connection's own.
        """
        if b"x-forwarded-for" not in facts.headers or not self._is_trusted(facts.peer):
            return facts.peer
        address = facts.peer
        for entry in reversed(facts.headers[b"x-forwarded-for"].decode("latin-1").split(",")):
            parsed = _address(entry.strip())
            if parsed is None:
                # whoever wrote that is behind the last one that is known
                return address
            address = str(parsed)
            if not self._is_trusted(address):
                return address
        return address

    # -- the owner -------------------------------------------------------

    def _is_owner(self, facts: Facts) -> bool:
        if facts.proxied or (self._trusted_proxies and self._is_trusted(facts.peer)):
            return False
        if facts.is_unix:
            return True
        if not is_loopback(facts.peer):
            return False
        host = facts.headers.get(b"host", b"")
        if not self._is_loopback_host(host):
            return False
        origin = facts.headers.get(b"origin")
        return origin is None or same_site(origin.decode("latin-1"), host.decode("latin-1"))

    def _is_loopback_host(self, host: bytes) -> bool:
        known = self._known_hosts.get(host)
        if known is None:
            known = names_loopback(host.decode("latin-1"))
            if len(self._known_hosts) >= _MOST_KNOWN_HOSTS:
                self._known_hosts.clear()
            if len(host) < 256:
                self._known_hosts[host] = known
        return known

    def _is_trusted(self, address: str) -> bool:
        return is_within(address, self._trusted_proxies)

    # -- browsers --------------------------------------------------------

    def _logged_in(self, login: Login, facts: Facts) -> Principal:
        if facts.method not in SAFE_METHODS and not same(login.csrf, facts.headers.get(b"x-csrf-token", b"")):
            raise NotAllowed("a request with the login cookie needs its CSRF token in X-CSRF-Token as well")
        self.check(login.principal)
        return login.principal

    def log_in(self, token: str, address: str) -> tuple[str, Login]:
        """
        Exchange a token for a login; the cookie's value, and it.

        :raises CommandError: as ``check_token``.
        """
        return self.logins.open(self.check_token(token, address))

    async def log_in_as(self, name: str, password: str, source: str) -> tuple[str, Login]:
        """
        Exchange a name and a password for a login; the cookie's value, and it.

        :raises CommandError: as ``check_password``.
        """
        return self.logins.open(await self.check_password(name, password, source))


def is_loopback(peer: str) -> bool:
    """Whether an address, as the system spells it, is of this machine alone."""
    return peer.startswith(("127.", "::ffff:127.")) or peer == "::1"


def names_loopback(host: str) -> bool:
    """Whether a Host header names this machine by a name or address that leads to itself everywhere."""
    try:
        return Host.parse(host).is_loopback
    except ValueError:
        return False


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address, as the system spells it, lies in one of these networks."""
    if not networks:
        return False
    parsed = _address(address)
    return parsed is not None and any(parsed in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, or ``None``; IPv4 inside IPv6 counts as IPv4."""
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def bearer_of(authorization: bytes) -> str | None:
    """The token of an Authorization header (RFC 6750 §2.1); ``None`` for another scheme."""
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    return token.strip().decode("latin-1")
