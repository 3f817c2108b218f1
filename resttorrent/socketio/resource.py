"""
The one address of a Socket.IO server, ``/socket.io/``: polls and WebSockets, told apart by ``Upgrade``.

It is a leaf: put it below a site at any path.
"""

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Request

from .polling import Polling
from .server import SocketServer
from .websocket import SocketFactory


class SocketResource(Resource):
    """
    The resource.

    A site may ask for ``body_limit_at``, the bytes of a body beyond which it need not read on.
    """

    isLeaf = True

    def __init__(
        self, server: SocketServer, *, reactor: IReactorTime, allow_origin: str | None = None
    ) -> None:
        Resource.__init__(self)
        self._polling = Polling(server, allow_origin=allow_origin)
        self._websocket = WebSocketResource(SocketFactory(server, reactor))

    def body_limit_at(self, target: bytes) -> int:
        """For a session that has joined nothing, it is less."""
        return self._polling.body_limit(target)

    def render(self, request: Request) -> int:
        upgrade = request.getHeader(b"Upgrade")
        if upgrade is not None and upgrade.lower() == b"websocket":
            rendered: int = self._websocket.render(request)
            return rendered
        return self._polling.render(request)

    def body_begun(self, request: Request) -> None:
        """A site may tell that a request's head came."""
        self._polling.begin_body(request)

    def body_refused(self, request: Request) -> None:
        """A site may tell that a body was longer than it may be."""
        self._polling.refuse_body(request)
