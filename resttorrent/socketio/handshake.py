"""What handshakes have in common, whichever transport they come by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

MOST_QUERY_FIELDS = 50
_LONGEST_QUERY = 16 * 1024


@dataclass(frozen=True, slots=True)
class Handshake:
    """
    The request that begins a session, or continues one.

    :ivar query: the first value of each parameter; :ivar headers: by lower-case name.
    :ivar address: the peer's.
    :ivar peer: the other end of the connection, an ``IAddress``: ``Application.admit`` may trust some.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    peer: object = None


def query_of(uri: bytes) -> dict[str, str]:
    """
    The query's parameters, the first of each name; empty for a query that can't be read.

    :param uri: as in the request line.
    """
    query = uri.partition(b"?")[2]
    if len(query) > _LONGEST_QUERY:
        return {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_QUERY_FIELDS
        )
    except ValueError:
        # UnicodeDecodeError among them; without EIO such a request is refused
        return {}
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def headers_of(raw: Iterable[tuple[bytes, Iterable[bytes]]]) -> dict[str, str]:
    """Headers by lower-case name, several values of one joined by commas (RFC 9110 §5.3)."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in raw
    }
