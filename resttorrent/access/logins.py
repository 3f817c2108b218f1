"""
Browsers that have exchanged a token, or a name and its password, for a cookie.

Scripts of a page never see what is in it. The browser sends it along, whoever made the page; so a request
that changes something must also have a header with a value that only a page of this site can read. Logins are
in memory: after a restart one logs in again.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie

from .principals import Principal
from .tokens import digest_of

COOKIE = "resttorrent_login"
CSRF_COOKIE = "resttorrent_csrf"
"""Its value is what the header ``X-CSRF-Token`` must have."""
MOST_LOGINS = 1000
IDLE = 7 * 24 * 3600.0
"""Seconds without a request after which a login ends."""


@dataclass(slots=True)
class Login:
    """
    A browser.

    :ivar csrf: what its requests must have in the header; :ivar seen: the steady clock's, at its last one.
    """

    principal: Principal
    csrf: str
    seen: float


class Logins:
    """
    :param seconds: a steady clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # the one that has been quiet the longest first
        self._logins: OrderedDict[bytes, Login] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logins)

    def open(self, principal: Principal) -> tuple[str, Login]:
        """A new login, and the value of its cookie."""
        self._drop_idle()
        if len(self._logins) >= MOST_LOGINS:
            self._logins.popitem(last=False)
        secret = secrets.token_urlsafe(32)
        digest = digest_of(secret)
        login = Login(replace(principal, login=digest), secrets.token_urlsafe(32), self._seconds())
        self._logins[digest] = login
        return secret, login

    def find(self, header: bytes) -> Login | None:
        """The login that a Cookie header tells of."""
        secret = cookie_of(header)
        if secret is None:
            return None
        self._drop_idle()
        digest = digest_of(secret)
        login = self._logins.get(digest)
        if login is not None:
            login.seen = self._seconds()
            self._logins.move_to_end(digest)
        return login

    def close(self, principal: Principal) -> None:
        """End the login by which somebody came, if it was one."""
        if principal.login is not None:
            self._logins.pop(principal.login, None)

    def forget(self, grant: str) -> None:
        """End all that were opened with a token, or by a user as it was."""
        for digest, login in tuple(self._logins.items()):
            if login.principal.grant == grant:
                del self._logins[digest]

    def _drop_idle(self) -> None:
        oldest = self._seconds() - IDLE
        while self._logins and next(iter(self._logins.values())).seen <= oldest:
            self._logins.popitem(last=False)


def cookie_of(header: bytes) -> str | None:
    """The login cookie's value in a Cookie header (RFC 6265 §5.4)."""
    if COOKIE.encode() not in header:
        return None
    try:
        morsel = SimpleCookie(header.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def same(one: str, other: bytes) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(one.encode(), other)
