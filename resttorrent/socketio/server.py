"""A Socket.IO server in a reactor: its sessions, and how requests come to them."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from .connection import Channel, Connection, Session
from .eio_server import EngineServer, Limits, Query, Refused
from .eio_socket import EngineSocket
from .handshake import Handshake
from .sio_server import Application, Client
from .timing import Timing

Admission = Callable[[Handshake], None]
"""Looks at a request before a session is made of it; raises ``Refused`` to keep it out."""


class SocketServer:
    """
    All sessions of one application.

    :param admit: looks at each handshake's headers; the protocol's own checks come first.
    """

    def __init__(
        self,
        application: Application,
        *,
        clock: IReactorTime,
        timing: Timing | None = None,
        limits: Limits | None = None,
        admit: Admission | None = None,
    ) -> None:
        self.engines = EngineServer(timing or Timing(), limits or Limits())
        self._application = application
        self.clock = clock
        self._admit = admit
        self._connections: dict[str, Connection] = {}
        self._stopping = False
        self._ended: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._connections)

    def check(self, handshake: Handshake, *, method: str, websocket: bool) -> Connection | None:
        """
        What a request is about: a session, or ``None`` if it may begin one.

        :raises Refused: if it may not.
        """
        self.engines.check(handshake.query, method=method, websocket=websocket)
        if "sid" in handshake.query:
            # a busy server's timers are late; who comes after its time is not let in for that
            self._connections[self.engines.find(handshake.query).sid].catch_up()
            return self._connections[self.engines.find(handshake.query).sid]
        if self._stopping:
            raise Refused(4, "The server is stopping", 503)
        if self._admit is not None:
            self._admit(handshake)
        self.engines.check_room(handshake.address)
        return None

    def open(self, handshake: Handshake, channel: Channel | None = None) -> Connection:
        """
        Begin a session.

        :raises Refused: if there are too many.
        """
        engine = self.engines.open(handshake.query, handshake.address, self.clock.seconds(), channel=channel)
        connection = Connection(engine, handshake, self.make_session, self.clock, self._forget)
        self._connections[engine.sid] = connection
        connection.flush()
        return connection

    def make_session(self, engine: EngineSocket, handshake: Handshake, flush: Callable[[], None]) -> Session:
        """What speaks above Engine.IO; to be overridden by what is not Socket.IO."""
        return Client(
            engine,
            self._application,
            handshake,
            self.clock.seconds,
            connect_timeout=self.engines.timing.connect,
            flush=flush,
        )

    def named(self, query: Query) -> Connection | None:
        """The session that a query names, if there is one."""
        return self._connections.get(query.get("sid", ""))

    def _forget(self, connection: Connection) -> None:
        self.engines.forget(connection.engine)
        self._connections.pop(connection.engine.sid, None)
        if not self._connections:
            while self._ended:
                self._ended.pop().callback(None)

    def stop(self, *, farewell: bool = True) -> "Deferred[None]":
        """
        End all sessions, when their clients have got what waits for them; fires when none is left.

        :param farewell: ``False`` if the clients are to come back by themselves, to the next server.
        """
        self._stopping = True
        for connection in tuple(self._connections.values()):
            connection.close(farewell=farewell)
        ended: Deferred[None] = Deferred(self._ended.remove)
        if self._connections:
            self._ended.append(ended)
        else:
            ended.callback(None)
        return ended
