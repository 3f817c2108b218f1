"""Commands on the peers of a torrent."""

import ipaddress
import re
from typing import Annotated

from ..engine.peers import Peer
from .answers import Answer
from .context import Context
from .parameters import Kind, Text, parse_text
from .registry import command

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")


def parse_endpoint(raw: object) -> tuple[str, int]:
    """``ip:port`` or ``[ip6]:port``."""
    match = _ADDRESS.fullmatch(parse_text(raw, longest=80))
    if match is None:
        raise ValueError
    six, four, port = match.groups()
    address = ipaddress.IPv6Address(six) if six else ipaddress.IPv4Address(four)
    if not 1 <= int(port) <= 65535 or address.is_unspecified or address.is_multicast:
        raise ValueError
    return str(address), int(port)


Endpoint = Annotated[tuple[str, int], Kind("ip:port or [ip6]:port", parse_endpoint, {"type": "string"})]


class PeerList(Answer, kw_only=True):
    peers: list[Peer]


@command("GET", "/v1/sessions/{session_id}/torrents/{infohash}/peers", scope="read")
async def get_peers(ctx: Context, session_id: Text, infohash: Text) -> PeerList:
    """List the peers that a torrent is connected to."""
    await ctx.engine.ready()
    session = ctx.engine.session(session_id)
    return PeerList(peers=await session.peers(session.torrents.named(infohash)))


@command("POST", "/v1/sessions/{session_id}/torrents/{infohash}/peers", scope="control")
async def connect_peer(ctx: Context, session_id: Text, infohash: Text, address: Endpoint) -> Answer:
    """Connect a torrent to a peer at ``address``, ``ip:port`` or ``[ip6]:port``."""
    await ctx.engine.ready()
    session = ctx.engine.session(session_id)
    await session.connect_peer(session.torrents.named(infohash), *address)
    return Answer()


COMMANDS = (get_peers, connect_peer)
