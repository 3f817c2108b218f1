"""
A Socket.IO server for Twisted, for clients of every age: Engine.IO 3 and 4, Socket.IO 1 to 4.

It knows nothing of what it is used for. The protocols are machines without I/O (``eio_…``, ``sio_…``); thin
transports put them on twisted.web (``polling``) and Autobahn (``websocket``).
"""

from .eio_server import Refused
from .handshake import Handshake
from .limits import Limits
from .outgoing import Outgoing
from .resource import SocketResource
from .server import SocketServer
from .sio_server import Application, Refusal, Socket, prepare
from .timing import Timing

__all__ = [
    "Application",
    "Handshake",
    "Limits",
    "Outgoing",
    "Refusal",
    "Refused",
    "Socket",
    "SocketResource",
    "SocketServer",
    "Timing",
    "prepare",
]
