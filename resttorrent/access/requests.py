"""
What is looked at of a request, whichever door it came to.

Each door makes ``Facts`` of its own kind of request; nothing else of one has a say in who asks.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.server import Request

WATCHED = frozenset(
    (
        b"host",
        b"origin",
        b"authorization",
        b"cookie",
        b"x-csrf-token",
        b"x-forwarded-for",
    )
)
# What proxies add (RFC 7239, RFC 9110 §7.6.3, and custom); X-Forwarded-… besides.
_OF_PROXIES = frozenset((b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip"))
_FORWARDED = (b"x-forwarded", b"cf-connecting-")


class Facts(Struct, frozen=True, gc=False):
    """
    A request, as far as it matters who asks.

    :ivar peer: IP address of the other end of the connection, empty if that has none.
    :ivar is_unix: the connection came by a UNIX socket of this daemon.
    :ivar proxied: some header says that it was passed on.
    :ivar headers: those of ``WATCHED`` that came, names in lower case; several values joined by ``, ``.
    :ivar token: given elsewhere than in a header: in a Socket.IO handshake or connect payload.
    """

    method: bytes
    peer: str
    is_unix: bool
    proxied: bool
    headers: Mapping[bytes, bytes]
    token: str | None = None


def facts_of(request: Request) -> Facts:
    """The facts of a request that came to twisted.web, or by WSGI."""
    return _facts(
        request.method,
        request.requestHeaders.getAllRawHeaders(),
        request.getClientAddress(),
    )


def facts_of_handshake(headers: Mapping[str, str], peer: object, token: str | None) -> Facts:
    """
    The facts of a Socket.IO handshake.

    :param headers: by lower-case name, values joined.
    :param peer: as ``ITransport.getPeer``; :param token: where there is none in the headers.
    """
    raw = (
        (name.encode("latin-1", "replace"), (text.encode("latin-1", "replace"),))
        for name, text in headers.items()
    )
    return _facts(b"GET", raw, peer, token)


def _facts(
    method: bytes,
    raw: Iterable[tuple[bytes, Sequence[bytes]]],
    peer: object,
    token: str | None = None,
) -> Facts:
    headers: dict[bytes, bytes] = {}
    proxied = False
    for spelt, values in raw:
        name = _meaning(spelt)
        if name is None:
            continue
        if name in WATCHED:
            headers[name] = values[0] if len(values) == 1 else b", ".join(values)
        if name in _OF_PROXIES or name.startswith(_FORWARDED):
            proxied = True
    return Facts(
        method,
        peer.host if isinstance(peer, _IP) else "",
        isinstance(peer, UNIXAddress),
        proxied,
        headers,
        token,
    )


@lru_cache(512)
def _meaning(spelt: bytes) -> bytes | None:
    """The name of a header in lower case, if it has a say."""
    name = spelt.lower()
    return name if name in WATCHED or name in _OF_PROXIES or name.startswith(_FORWARDED) else None


_IP = (IPv4Address, IPv6Address)
