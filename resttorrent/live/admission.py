"""Which pages may open a Socket.IO session: a browser lets any page try, and asks nobody (CSWSH)."""

from ..access.origins import Origins
from ..socketio import Handshake, Refused
from ..socketio.server import Admission


def admission(origins: Origins) -> Admission:
    """What a ``SocketServer`` asks at each handshake, by polling and by WebSocket."""

    def admit(handshake: Handshake) -> None:
        headers = handshake.headers
        if origins.refuses(
            origin=headers.get("origin"), fetch_site=headers.get("sec-fetch-site"), host=headers.get("host")
        ):
            raise Refused(4, "Forbidden", 403)

    return admit
