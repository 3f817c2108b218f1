"""
URLs that can be fetched, taken apart by one strict parser.

What the judge reads and what the HTTP client sends are built from the same pieces, so there is no second
parser to disagree with. Anything that needs repair before it is a URL (a space, a backslash, a control
character) is an error: such repairs are where parsers differ.

Source: RFC 3986 §3; numeric spellings of IPv4 addresses: WHATWG URL, "ends in a number" and "IPv4 parser".
"""

import re
import socket
import unicodedata
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, urljoin

from .addresses import Address

LONGEST_URL = 8192
"""Characters."""

LONGEST_HOST = 253
"""Characters in ASCII form (RFC 1035 §2.3.4, without the final dot)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PRINTABLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?")
_AUTHORITY = re.compile(r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{0,5}))?")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where one request goes.

    :ivar host: a lower-case ASCII name without final dot, or the canonical text of ``literal``.
    :ivar literal: the address, if the URL names one.
    :ivar path: path and query in origin form, printable ASCII, beginning with ``/``.
    """

    scheme: str
    host: str
    port: int
    path: str
    literal: Address | None

    @property
    def url(self) -> str:
        """The URL in canonical form, without fragment."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def parse_target(url: str) -> Target:
    """
    Take a URL apart.

    :raises ValueError: with what was expected, to end the sentence "expected …".
    """
    if len(url) > LONGEST_URL:
        raise ValueError(f"at most {LONGEST_URL} characters")
    if any(_is_unfit(character) for character in url):
        raise ValueError("a URL without white space, control characters or backslashes")
    match = _URL.fullmatch(url)
    if match is None or match["scheme"].lower() not in _DEFAULT_PORTS:
        raise ValueError("an http or https URL")
    scheme = match["scheme"].lower()
    if "@" in match["authority"]:
        raise ValueError("a URL without user name or password")
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None:
        raise ValueError("a URL with a host, and at most a port after it")
    host, literal = _host(authority["name"], authority["literal"])
    port = int(authority["port"] or _DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65535:
        raise ValueError("a port from 1 to 65535")
    rest = match["rest"] if match["rest"].startswith("/") else "/" + match["rest"]
    return Target(scheme, host, port, quote(rest, safe=_PRINTABLE_ASCII), literal)


def redirect_target(base: Target, location: bytes) -> Target:
    """
    Where a Location header leads, which may be relative to the URL that answered with it.

    :raises ValueError: as ``parse_target``.
    """
    try:
        text = location.decode()
    except UnicodeDecodeError:
        text = quote(location, safe=_PRINTABLE_ASCII)
    # urljoin silently drops some of these, and would be slow over a huge one
    if len(text) > LONGEST_URL or any(_is_unfit(character) for character in text):
        raise ValueError(f"a URL of at most {LONGEST_URL} printable characters")
    return parse_target(urljoin(base.url, text))


def _is_unfit(character: str) -> bool:
    return character.isspace() or character == "\\" or unicodedata.category(character) in ("Cc", "Cs")


def _host(name: str | None, literal: str | None) -> tuple[str, Address | None]:
    if literal is not None:
        try:
            address = IPv6Address(literal)
        except AddressValueError:
            raise ValueError("a valid IPv6 address between the brackets") from None
        return str(address), address
    name = _ascii_name(name or "").removesuffix(".")
    if len(name) > LONGEST_HOST:
        raise ValueError(f"a host of at most {LONGEST_HOST} characters")
    if not _NAME.fullmatch(name):
        raise ValueError("a valid host name")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _numeric_host(name)
    return name, None


def _ascii_name(name: str) -> str:
    if name.isascii():
        return name.lower()
    import idna  # its tables are large, and few hosts need them

    try:
        return idna.encode(name, uts46=True).decode()
    except UnicodeError:
        raise ValueError("a valid host name") from None


def _numeric_host(name: str) -> tuple[str, Address]:
    """Read ``127.1``, ``0x7f000001``, ``2130706433``… as the system's resolver would."""
    try:
        address = IPv4Address(socket.inet_aton(name))
    except OSError:
        raise ValueError("a valid host name or address") from None
    return str(address), address
