"""A Socket.IO server in a reactor: its sessions, and how requests come to them."""

from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from .connection import Channel, Connection, Session
from .eio_server import EngineServer, Query, Refused
from .eio_socket import UNREAD, EngineSocket
from .handshake import Handshake
from .limits import Limits
from .sio_server import NOT_JOINED, Application, Client
from .timing import Timing

Admission = Callable[[Handshake], None]
"""Looks at a request before a session is made of it; raises ``Refused`` to keep it out."""
Address = Callable[[Handshake], str]
"""By what to count a request; empty for one that counts in all alone."""
HELD = "too much is kept for all clients"
_COUNTED = {UNREAD: "unread", NOT_JOINED: "not_joined", HELD: "held"}
"""The words of sessions that the server ended, by the reason."""


class SocketServer:
    """
    All sessions of one application.

    :param admit: looks at each handshake's headers; the protocol's own checks come first.
    :param address: by what to count a client; by default the connection's.
    :ivar refusals: who was turned away, by HTTP's status, or by a word: ``unread`` (too much waited for a
        client), ``not_joined`` (it joined nothing in time), ``held`` (all together were at the limit, and it
        had the most), ``too_long`` (a message before it had joined, or any).
    """

    def __init__(
        self,
        application: Application,
        *,
        clock: IReactorTime,
        timing: Timing | None = None,
        limits: Limits | None = None,
        admit: Admission | None = None,
        address: Address | None = None,
    ) -> None:
        self.refusals: Counter[str] = Counter()
        self.address_of: Address = address or (lambda handshake: handshake.address)
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
        try:
            return self._check(handshake, method=method, websocket=websocket)
        except Refused as refused:
            self._count(refused)
            raise

    def _count(self, refused: Refused) -> None:
        if refused.status != 400:
            self.refusals[str(refused.status)] += 1

    def _check(self, handshake: Handshake, *, method: str, websocket: bool) -> Connection | None:
        self.engines.check(handshake.query, method=method, websocket=websocket)
        if "sid" in handshake.query:
            # a busy server's timers are late; who comes after its time is not let in for that
            self._connections[self.engines.find(handshake.query).sid].catch_up()
            return self._connections[self.engines.find(handshake.query).sid]
        if self._stopping:
            raise Refused(4, "The server is stopping", 503)
        if self._admit is not None:
            self._admit(handshake)
        self.engines.check_room(self.address_of(handshake))
        return None

    def enter_channel(self, address: str) -> None:
        """
        A WebSocket begins; see ``EngineServer.enter_channel``.

        :raises Refused: if there are too many.
        """
        try:
            self.engines.enter_channel(address)
        except Refused as refused:
            self._count(refused)
            raise

    def open(self, handshake: Handshake, channel: Channel | None = None) -> Connection:
        """
        Begin a session.

        :raises Refused: if there are too many.
        """
        address = self.address_of(handshake)
        engine = self.engines.open(handshake.query, address, self.clock.seconds(), channel=channel)
        connection = Connection(
            engine,
            handshake,
            self.make_session,
            self.clock,
            self._forget,
            lambda changed: self.engines.settle(changed.engine),
            self.engines.held,
            self._relieve,
        )
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

    def _relieve(self) -> None:
        """While too much is kept for all clients together, close the one for which most is."""
        while self.engines.held.total > self.engines.limits.held:
            most = max(self._connections.values(), key=lambda connection: connection.holds, default=None)
            if most is None or not most.holds:
                return
            most.abort(HELD)

    def _forget(self, connection: Connection, reason: str) -> None:
        if reason in _COUNTED:
            self.refusals[_COUNTED[reason]] += 1
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
