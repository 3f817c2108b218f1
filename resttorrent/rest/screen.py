# mypy: disallow-untyped-calls=False
"""
The first look at a request, before anything is routed or read: is it meant for us, may its page make it?

What is refused here has changed nothing and told nothing: 421 for a foreign Host, 403 for a foreign page.
Other origins that were allowed get the CORS headers (WHATWG Fetch §3.2), each by its own name.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from ..access.hosts import Hosts
from ..access.origins import SAFE_METHODS, Origins
from ..errors import CommandError, NotAllowed, WrongHost
from .replies import Reply

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = b"Authorization, Content-Type, If-None-Match, Last-Event-ID, X-CSRF-Token"
_ANSWER_HEADERS = b"ETag, Location, Retry-After"
_PREFLIGHT_AGE = b"600"


class Screen:
    """Judges requests by Host and Origin."""

    def __init__(self, hosts: Hosts, origins: Origins) -> None:
        self.hosts = hosts
        self.origins = origins

    def refusal(self, method: bytes, headers: Headers, channel: Any) -> CommandError | None:
        """
        Why a request is not let in; ``None`` if it is.

        :param channel: its connection, or what stands for one under a WSGI server.
        """
        host = _value(headers, b"Host")
        if not self._is_ours(host, channel):
            shown = "a request without a Host header" if host is None else f"the host {host[:100]!a}"
            return WrongHost(f"this daemon does not answer to {shown}: see --allow-host")
        # what begins a WebSocket is a GET, and yet may do everything that comes after
        if method in SAFE_METHODS and not headers.hasHeader(b"Upgrade"):
            return None
        origin, site = _value(headers, b"Origin"), _value(headers, b"Sec-Fetch-Site")
        if origin is None and site is None:
            return None
        if self.origins.refuses(origin=origin, fetch_site=site, host=host):
            return NotAllowed("a page of another origin may not do this: see --allow-origin")
        return None

    def preflight(self, request: Request) -> Reply | None:
        """The answer to a browser that asks for an allowed origin's page whether it may ask."""
        if request.method != b"OPTIONS" or not self.origins.shares:
            return None
        headers = request.requestHeaders
        if not headers.hasHeader(b"Access-Control-Request-Method") or self._reader(headers) is None:
            return None
        allowed = [
            (b"Access-Control-Allow-Methods", _METHODS),
            (b"Access-Control-Allow-Headers", _REQUEST_HEADERS),
            (b"Access-Control-Max-Age", _PREFLIGHT_AGE),
        ]
        if headers.hasHeader(b"Access-Control-Request-Private-Network"):
            allowed.append((b"Access-Control-Allow-Private-Network", b"true"))
        return Reply(204, b"", tuple(allowed))

    def share(self, asked: Headers, answer: Headers) -> None:
        """Let an allowed origin's page read the answer; caches are told that answers differ by origin."""
        if not self.origins.shares:
            return
        answer.addRawHeader(b"Vary", b"Origin")
        reader = self._reader(asked)
        if reader is not None:
            answer.setRawHeaders(b"Access-Control-Allow-Origin", [reader])
            answer.setRawHeaders(b"Access-Control-Expose-Headers", [_ANSWER_HEADERS])

    def _reader(self, headers: Headers) -> bytes | None:
        origin = _value(headers, b"Origin")
        return origin.encode("latin-1") if origin is not None and self.origins.allows(origin) else None

    def _is_ours(self, host: str | None, channel: Any) -> bool:
        here = channel.getHost()
        address = here.host if isinstance(here, _IP) else None
        # what has no address of its own can't be reached by a name that leads there; under a WSGI server an
        # address that is none only means that it is not known
        if address is None and isinstance(here, UNIXAddress) and getattr(channel, "streams", False):
            return True
        if host is None:
            return False
        try:
            return self.hosts.accepts(host, address)
        except ValueError:
            return False


def _value(headers: Headers, name: bytes) -> str | None:
    values: Sequence[bytes] | None = headers.getRawHeaders(name)
    if values is None:
        return None
    return (values[0] if len(values) == 1 else b", ".join(values)).decode("latin-1")


_IP = (IPv4Address, IPv6Address)
