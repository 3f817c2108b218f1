"""
Which pages may open a Socket.IO session, and by what its client is counted.

A browser lets any page try, and asks nobody (CSWSH).
"""

from ..access.attempts import network_of
from ..access.origins import Origins
from ..access.policy import Policy, is_loopback
from ..access.requests import facts_of_handshake
from ..socketio import Handshake, Refused
from ..socketio.server import Address, Admission


def admission(origins: Origins) -> Admission:
    """What a ``SocketServer`` asks at each handshake, by polling and by WebSocket."""

    def admit(handshake: Handshake) -> None:
        headers = handshake.headers
        if origins.refuses(
            origin=headers.get("origin"), fetch_site=headers.get("sec-fetch-site"), host=headers.get("host")
        ):
            raise Refused(4, "Forbidden", 403)

    return admit


def counted_by(policy: Policy) -> Address:
    """
    The address by which a client is counted, as the policy counts requests.

    Loopback and UNIX sockets count in all alone: behind them are the owner's own programs, or a proxy with
    everybody in it.
    """

    def address(handshake: Handshake) -> str:
        client = policy.client_address(facts_of_handshake(handshake.headers, handshake.peer, None))
        return "" if not client or is_loopback(client) else network_of(client)

    return address
