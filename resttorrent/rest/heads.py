"""
What a request's head must be like before anybody acts on it, beyond what twisted.web asks.

Wherever two readers of one request could differ, as a proxy and we could, there is one answer: 400. Source:
RFC 9112, §3.2 (targets and Host), §5.2 (folded lines), §6.1 (framing).
"""

import re

from twisted.web.http_headers import Headers

from ..access.hosts import Host

_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)([^#]*)")
_PRINTABLE = re.compile(rb"[!-~]+")
# all of C0 but the tab, and DEL
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})


class BadHead(Exception):
    """A head that no two readers need agree on; the message is a sentence for people."""


def check_line(line: bytes) -> None:
    """
    Look at a line of a head as it came.

    :raises BadHead: it continues the line before (obs-fold), or has control characters in it.
    """
    if line[0] in b" \t":
        raise BadHead("a line of the head begins with white space")
    if line.translate(None, _CONTROLS) != line:
        raise BadHead("a line of the head has control characters in it")


def origin_form(method: bytes, target: bytes, version: bytes, headers: Headers) -> bytes:
    """
    Look at a whole head.

    :return: the target as path and query, or ``*``.
    :raises BadHead: it can be read in more than one way, or in none.
    """
    _check_framing(version, headers)
    host = _host_of(version, headers)
    if _PRINTABLE.fullmatch(target) is None:
        raise BadHead("the target is not ASCII")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise BadHead("the target is not a path")
    authority, rest = absolute.groups()
    if host is None or authority.lower() != host.lower():
        raise BadHead("the target names another host than the Host header")
    return rest if rest.startswith(b"/") else b"/" + rest


def _check_framing(version: bytes, headers: Headers) -> None:
    codings = headers.getRawHeaders(b"Transfer-Encoding")
    if codings is None:
        return
    if version != b"HTTP/1.1":
        raise BadHead("Transfer-Encoding needs HTTP/1.1")
    if [coding.lower() for coding in codings] != [b"chunked"]:
        raise BadHead("the only Transfer-Encoding taken is chunked")


def _host_of(version: bytes, headers: Headers) -> bytes | None:
    hosts = headers.getRawHeaders(b"Host", [])
    if len(hosts) > 1:
        raise BadHead("there is more than one Host header")
    if not hosts:
        if version == b"HTTP/1.1":
            raise BadHead("there is no Host header")
        return None
    if hosts[0]:
        try:
            Host.parse(hosts[0].decode("ascii"))
        except ValueError:
            raise BadHead("the Host header names no host") from None
    return hosts[0]
