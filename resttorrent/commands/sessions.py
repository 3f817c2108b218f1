"""Commands on sessions: libtorrent sessions with ports, torrents and settings of their own."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from ..engine.session import Session
from .answers import Answer
from .context import Context
from .parameters import Flag, Kind, Numbered, PortRange, Text, parse_words
from .registry import command

_DEVICE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
MAX_INTERFACES = 16


def parse_interfaces(given: Sequence[Numbered]) -> tuple[str, ...]:
    """Addresses or device names, separated by commas, in a list or repeated."""
    words = parse_words(given)
    if len(words) > MAX_INTERFACES:
        raise ValueError
    return tuple(_interface(word) for word in words)


def _interface(word: str) -> str:
    _, percent, zone = word.partition("%")
    # Python takes any text for an address's zone
    if percent and not _DEVICE.fullmatch(zone):
        raise ValueError
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        if _DEVICE.fullmatch(word):
            return word
        raise ValueError from None


Interfaces = Annotated[
    tuple[str, ...],
    Kind(
        "addresses or devices of this machine, separated by commas",
        parse_interfaces,
        {"type": "string"},
        repeats=True,
    ),
]


class SessionObject(Struct):
    """
    A session.

    ``port`` is the one bound, ``null`` while none could be; ``ports`` the range asked for; ``interface``
    where peers are served, ``null`` for everywhere; ``torrents`` how many it has.
    """

    id: str
    port: int | None
    ports: tuple[int, int]
    memory_only: bool
    interface: str | None
    discovery: bool
    torrents: int


class SessionList(Answer, kw_only=True):
    sessions: list[SessionObject]


class SessionCreated(Answer, kw_only=True):
    session: SessionObject


class SessionAnswer(Answer, kw_only=True):
    """A session's members, flat."""

    id: str
    port: int | None
    ports: tuple[int, int]
    memory_only: bool
    interface: str | None
    discovery: bool
    torrents: int


def describe(session: Session) -> SessionObject:
    options = session.options
    return SessionObject(
        id=options.id,
        port=session.port,
        ports=options.port_range,
        memory_only=options.memory_only,
        interface=",".join(options.interfaces) or None,
        discovery=options.discovery,
        torrents=len(session.torrents),
    )


@command("GET", "/v1/sessions", scope="read")
async def get_session_list(ctx: Context) -> SessionList:
    """List the sessions."""
    await ctx.engine.ready()
    return SessionList(sessions=[describe(session) for session in ctx.engine if not session.closing])


@command(
    "POST",
    "/v1/sessions",
    scope="admin",
    status=201,
    location="/v1/sessions/{answer.session.id}",
    parameter_aliases={"port_range": ("ports",)},
)
async def create_session(
    ctx: Context,
    port_range: PortRange = (6881, 6891),
    memory_only: Flag = True,
    interface: Interfaces | None = None,
    discovery: Flag | None = None,
) -> SessionCreated:
    """Create a session that serves peers on the first free port of a range."""
    await ctx.engine.ready()
    session = await ctx.engine.create_session(
        port_range=port_range, memory_only=memory_only, interfaces=interface, discovery=discovery
    )
    return SessionCreated(session=describe(session))


@command("GET", "/v1/sessions/{session_id}", scope="read")
async def get_session(ctx: Context, session_id: Text) -> SessionAnswer:
    """Show a session."""
    await ctx.engine.ready()
    members: dict[str, Any] = msgspec.structs.asdict(describe(ctx.engine.session(session_id)))
    return SessionAnswer(**members)


@command("DELETE", "/v1/sessions/{session_id}", scope="admin")
async def delete_session(ctx: Context, session_id: Text) -> Answer:
    """Delete a session and forget its torrents; their payload stays."""
    await ctx.engine.ready()
    await ctx.engine.delete_session(ctx.engine.session(session_id))
    return Answer()


COMMANDS = (get_session_list, create_session, get_session, delete_session)
