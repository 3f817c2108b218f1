"""
Which addresses are public.

The tables are ours, not the ``is_global`` of ``ipaddress``: that one changes between Python versions, and
calls NAT64, 6to4, IPv4-compatible and multicast addresses global, which can all end inside the house.

Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates).
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # "this network"; 0.0.0.0 connects to the own machine
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, and some clouds' metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # looks public, is the host below every Azure machine
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""
All that IANA gives out (RFC 4291 §2.4). Beyond it lie loopback, IPv4-mapped and -compatible, NAT64
(64:ff9b::/96, 64:ff9b:1::/48), discard-only, unique local, link-local, site-local and multicast addresses.
"""

_NOT_PUBLIC_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds any IPv4 address
        "3fff::/20",  # documentation
    )
)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, and to nothing nearer."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _GLOBAL_UNICAST_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def is_admitted(address: Address, allow: Iterable[Network]) -> bool:
    """
    Whether an address may be connected to.

    A network in ``allow`` admits the addresses of its own version only: 127.0.0.0/8 does not admit
    ::ffff:127.0.0.1.
    """
    return is_public(address) or any(address in network for network in allow)
