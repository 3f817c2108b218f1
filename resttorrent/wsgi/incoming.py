"""
From a WSGI environ (PEP 3333) back to what the client sent.

Texts in an environ are bytes decoded as latin-1. The path in it is percent-decoded, so that ``%2F`` can't be
told from a slash: servers that also hand over the request line's own spelling (gunicorn ``RAW_URI``, others
``REQUEST_URI``) are believed where it means the same path, which it doesn't after a rewrite.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from ..errors import BadParameter, TooLarge

Environ = Mapping[str, Any]
Address = IPv4Address | IPv6Address | UNIXAddress

PIECE = 65536
# Longer ones exceed any limit, and some are more than int() takes.
_LONGEST_LENGTH = 18
# What may stand in a path unescaped (RFC 3986 §3.3).
_PLAIN = "/:@!$&'()*+,;=~"
_OCTET = re.compile(rb"%[0-9A-Fa-f]{2}|.", re.DOTALL)
_ORIGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
# Of the connection between client and server, which is the server's (RFC 9110 §7.6.1), or said elsewhere.
_NOT_OURS = frozenset(
    {"CONNECTION", "KEEP_ALIVE", "TE", "TRAILER", "TRANSFER_ENCODING", "UPGRADE", "EXPECT"}
    | {"CONTENT_TYPE", "CONTENT_LENGTH"}
)


@dataclass(frozen=True, slots=True)
class Incoming:
    """
    A request without its body.

    :ivar target: path and query as in a request line, below ``mount``.
    :ivar mount: the path that the application is mounted at (``SCRIPT_NAME``), escaped; mostly empty.
    :ivar client: who asks; :ivar server: whom. Something else than IP is an unnamed UNIX address.
    """

    method: bytes
    target: bytes
    mount: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    client: Address
    server: Address
    secure: bool

    @classmethod
    def of(cls, environ: Environ) -> "Incoming":
        """Read all but the body."""
        return cls(
            method=_octets(environ["REQUEST_METHOD"]),
            target=_target(environ),
            mount=_escaped(_octets(environ.get("SCRIPT_NAME", ""))),
            headers=tuple(_headers(environ)),
            client=_address(environ.get("REMOTE_ADDR", ""), environ.get("REMOTE_PORT", "")),
            server=_address(environ.get("SERVER_NAME", ""), environ.get("SERVER_PORT", "")),
            secure=environ.get("wsgi.url_scheme") == "https",
        )


def body_of(environ: Environ, limit: int) -> bytes:
    """
    Read the body; one that is known to be too long is left unread.

    Chunked bodies need a server that ends its input (``wsgi.input_terminated``), as gunicorn and waitress do.

    :param limit: bytes.
    :raises TooLarge: it exceeds the limit. :raises BadParameter: it can't be had whole.
    """
    chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
    length = environ.get("CONTENT_LENGTH")
    if environ.get("wsgi.input_terminated") and (chunked or not length):
        return _read_to_end(environ["wsgi.input"], limit)
    if chunked:
        raise BadParameter("this server takes bodies with a Content-Length only")
    return _read(environ["wsgi.input"], _length(length, limit)) if length else b""


def _length(text: str, limit: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadParameter("Content-Length is not a number")
    if len(text) > _LONGEST_LENGTH or int(text) > limit:
        raise _too_large(limit)
    return int(text)


def _read(stream: Any, length: int) -> bytes:
    parts = []
    while length:
        part = stream.read(min(length, PIECE))
        if not part:
            raise BadParameter("the body ended before its Content-Length")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _read_to_end(stream: Any, limit: int) -> bytes:
    parts, size = [], 0
    while part := stream.read(PIECE):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")


def _octets(text: str) -> bytes:
    return text.encode("latin-1")


def _escaped(path: bytes) -> bytes:
    return quote_from_bytes(path, safe=_PLAIN).encode("ascii")


def _target(environ: Environ) -> bytes:
    mount, path = _octets(environ.get("SCRIPT_NAME", "")), _octets(environ.get("PATH_INFO", ""))
    spelt = _as_sent(environ, mount, path)
    target = (_escaped(path) if spelt is None else spelt) or b"/"
    query = _octets(environ.get("QUERY_STRING", ""))
    return target + b"?" + query if query else target


def _as_sent(environ: Environ, mount: bytes, path: bytes) -> bytes | None:
    """The path below ``mount`` as the client spelt it, if the server tells."""
    for name in ("RAW_URI", "REQUEST_URI"):
        raw = re.split(rb"[?#]", _octets(environ.get(name) or ""), maxsplit=1)[0]
        origin = _ORIGIN.match(raw)
        if origin:
            raw = raw[origin.end() :]
        if raw and unquote_to_bytes(raw) == mount + path:
            # each match is one octet of the decoded path
            return b"".join(_OCTET.findall(raw)[len(mount) :])
    return None


def _headers(environ: Environ) -> Iterator[tuple[bytes, bytes]]:
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            yield _header(name, environ[name])
    for key, value in environ.items():
        name = key.removeprefix("HTTP_")
        if key.startswith("HTTP_") and name not in _NOT_OURS:
            yield _header(name, value)


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    return _octets(name.replace("_", "-").title()), _octets(value)


def _address(host: str, port: str) -> Address:
    try:
        version, number = ip_address(host).version, int(port or 0)
    except ValueError:
        return UNIXAddress(None)
    return (IPv4Address if version == 4 else IPv6Address)("TCP", host, number)
