"""
Whether a request was meant for this daemon: its Host header, against the names that are known to lead here.

In DNS rebinding a page lets its own name lead to our address, so that its scripts ask us "at their own site";
the Host header still says that name. Loopback's names and IP literals belong to nobody who could do so, other
names count only when the owner says that they are ours. Source of the syntax: RFC 3986 §3.2.2, RFC 9110 §7.2.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

_AUTHORITY = re.compile(
    r"(?:\[(?P<literal>[^\[\]]{2,60})\]|(?P<name>[A-Za-z0-9._~-]{1,255}))(?::(?P<port>[0-9]{0,5}))?"
)
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Host:
    """
    A host, perhaps with a port.

    :ivar name: in lower case without a final dot; an IP address as its shortest text, without a zone.
    """

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Host":
        """
        Read ``name``, ``name:port``, ``192.0.2.1:port`` or ``[2001:db8::1]:port``.

        :raises ValueError: it is none of them.
        """
        return _parsed(text)

    @property
    def is_loopback(self) -> bool:
        """Whether it means this very machine, for whoever says it (RFC 6761 §6.3)."""
        if self.name == "localhost" or self.name.endswith(".localhost"):
            return True
        return is_loopback(self.name)


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> Host:
    # each request of a client has the same Host header; to read an address takes longer than all other checks
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise ValueError("expected a host name or an IP address, perhaps with a port")
    port = int(found["port"]) if found["port"] else None
    if port is not None and port > 65535:
        raise ValueError("expected a port of at most 65535")
    if found["literal"] is not None:
        address = ip_address(found["literal"].replace("%25", "%"))
        if address.version != 6:
            raise ValueError("expected an IPv6 address in the brackets")
        return Host(_shortest(address), port)
    name = found["name"].lower().removesuffix(".")
    return Host(plain_address(name) or name, port)


class Hosts:
    """
    The hosts that requests may name.

    :param allowed: beside loopback and the address that a connection came to; one without a port allows any.
    """

    def __init__(self, allowed: Iterable[Host] = ()) -> None:
        # the same few are asked about all the time; a stranger's soon fall out
        self._judge = lru_cache(_REMEMBERED)(self._decide)
        self.allow(allowed)

    def allow(self, allowed: Iterable[Host]) -> None:
        """Let these be named from now on, and no others."""
        self._allowed = frozenset(allowed)
        self._judge.cache_clear()

    def accepts(self, text: str, here: str | None) -> bool:
        """
        Whether a Host header names us.

        :param here: the address at which the connection arrived; ``None`` if it is not an IP address.
        :raises ValueError: the header's syntax is wrong.
        """
        return self._judge(text, here)

    def _decide(self, text: str, here: str | None) -> bool:
        if not text:
            return False
        host = Host.parse(text)
        if host.is_loopback or host in self._allowed or Host(host.name) in self._allowed:
            return True
        return here is not None and host.name == plain_address(here)


def plain_address(text: str) -> str | None:
    """An IP address as its shortest text, IPv4 in IPv6 as IPv4, without a zone; ``None`` for other texts."""
    try:
        return _shortest(ip_address(text))
    except ValueError:
        return None


def is_loopback(text: str) -> bool:
    """Whether a text is an IP address of this very machine."""
    plain = plain_address(text)
    return plain is not None and ip_address(plain).is_loopback


def _shortest(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address)))
    return str(address)
