"""
Whether the page that had a request made may have it made: Origin and Sec-Fetch-Site.

A browser sends requests for any page to any address, and says in these headers whose page it was; scripts
can't change them. What is no browser sends neither, and is let in. Sources: RFC 6454, Fetch Metadata (W3C).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .hosts import Host

SAFE_METHODS = (b"GET", b"HEAD", b"OPTIONS")
"""They change nothing (RFC 9110 §9.2.1); what they answer, a foreign page can't read."""
FOREIGN_SITES = ("cross-site", "same-site")
"""What Sec-Fetch-Site says of pages of another origin."""
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#@]+)")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """
    The scheme, host and port of a page's address.

    :ivar host: its port is ``None`` where it is the scheme's usual one.
    """

    scheme: str
    host: Host

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """
        Read ``scheme://host[:port]``.

        :raises ValueError: it is something else, such as ``null``.
        """
        found = _ORIGIN.fullmatch(text)
        if found is None:
            raise ValueError("expected an origin such as https://example.org")
        scheme, host = found[1].lower(), Host.parse(found[2])
        return cls(scheme, Host(host.name) if host.port == _PORTS.get(scheme) else host)

    def is_at(self, host: Host) -> bool:
        """Whether it is the site that a Host header names; a proxy may speak TLS where we don't."""
        usual = _PORTS.get(self.scheme)
        return self.host.name == host.name and (self.host.port or usual) == (host.port or usual)


class Origins:
    """
    The pages that may drive the daemon: its own, and those of the origins given.

    :param allowed: origins of others.
    :ivar shares: whether there is any other origin that may read answers.
    """

    def __init__(self, allowed: Iterable[Origin] = ()) -> None:
        self.allow(allowed)

    def allow(self, allowed: Iterable[Origin]) -> None:
        """Let the pages of these origins in from now on, and of no others."""
        self._allowed = frozenset(allowed)
        self.shares = bool(self._allowed)

    def allows(self, text: str) -> bool:
        """Whether an Origin header names one of the other origins that were allowed."""
        origin = _read(text)
        return origin is not None and origin in self._allowed

    def refuses(self, *, origin: str | None, fetch_site: str | None, host: str | None) -> bool:
        """
        Whether a request comes from a page that may not have it made.

        :param host: the Host header, which has been accepted.
        """
        if origin is not None and self.allows(origin):
            return False
        if fetch_site is not None and fetch_site.strip().lower() in FOREIGN_SITES:
            return True
        return origin is not None and not same_site(origin, host)


def same_site(origin: str, host: str | None) -> bool:
    """Whether an Origin header names the very site that the Host header does; ``null`` never does."""
    read = _read(origin)
    if read is None or not host:
        return False
    try:
        return read.is_at(Host.parse(host))
    except ValueError:
        return False


def _read(text: str) -> Origin | None:
    try:
        return Origin.parse(text)
    except ValueError:
        return None
