"""What a daemon can be told at its start; read by ``options``, used by ``service``."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from .access.hosts import Host
from .access.origins import Origin

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    One daemon's settings, already validated.

    :ivar listen: Twisted endpoint strings to serve the API at; none where a WSGI server does that.
    :ivar state_dir: where the database, the lock and ``listening.json`` live; ``None`` keeps all in memory.
    :ivar roots: absolute folders that payload may lie in; the first is the default.
    :ivar peer_interfaces: addresses or device names on which sessions serve peers; empty means all.
    :ivar auth: who needs a token; see ``access.policy``.
    :ivar allow_unauthenticated_network: ``auth="never"`` may be served beyond this machine.
    :ivar allow_hosts: names that requests may be for, beside loopback's and the address they came to.
    :ivar allow_origins: sites of others whose pages may drive the daemon.
    :ivar trusted_proxies: whose X-Forwarded-For is believed, to count clients by.
    :ivar discovery: whether sessions use DHT, LSD, UPnP and NAT-PMP unless told otherwise.
    :ivar fetch_allow: networks that ``url`` may reach although they are not public.
    :ivar durability: ``full`` flushes the disk before each answer, ``normal`` within a second.
    :ivar umask: of payload files; state is always private.
    """

    listen: tuple[str, ...]
    state_dir: Path | None
    roots: tuple[Path, ...]
    peer_interfaces: tuple[str, ...] = ()
    auth: Literal["auto", "always", "never"] = "auto"
    allow_unauthenticated_network: bool = False
    trusted_proxies: Sequence[Network] = ()
    allow_hosts: Sequence[Host] = ()
    allow_origins: Sequence[Origin] = ()
    discovery: bool = True
    fetch_allow: Sequence[Network] = ()
    durability: Literal["normal", "full"] = "normal"
    umask: int = 0o022
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
