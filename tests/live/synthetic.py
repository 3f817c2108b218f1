"""The Socket.IO door above a session of made-up rows, for what needs no libtorrent."""

from types import SimpleNamespace
from typing import Any

from twisted.web.resource import Resource

from resttorrent.access.principals import Principal
from resttorrent.access_log import AccessLog
from resttorrent.commands import subscribing
from resttorrent.commands.context import Subscriptions
from resttorrent.commands.registry import Registry
from resttorrent.engine.pace import Pace
from resttorrent.live.door import LiveDoor
from resttorrent.socketio import SocketResource, SocketServer, Timing
from resttorrent.turns import TurnMeter
from tests.engine.feed_world import FakeSession
from tests.live.access import owners_policy


class OneSession:
    """As much of an engine as ``subscribe`` looks at."""

    def __init__(self, session: FakeSession) -> None:
        self._session = session

    async def ready(self) -> None:
        """It is."""

    def session(self, session_id: str) -> FakeSession:
        assert session_id == self._session.options.id
        return self._session


def live_server(session: FakeSession, clock: Any, timing: Timing) -> SocketServer:
    """A server whose clients can subscribe to the session's torrents."""
    engine = OneSession(session)

    def context_for(principal: Principal, subscriptions: Subscriptions) -> object:
        return SimpleNamespace(engine=engine, subscriptions=subscriptions)

    door = LiveDoor(
        Registry(subscribing.COMMANDS),
        context_for,
        Pace(clock, TurnMeter()),
        owners_policy(clock),
        AccessLog(clock.seconds),
    )
    return SocketServer(door, clock=clock, timing=timing)


def live_root(server: SocketServer, reactor: Any) -> Resource:
    """The root of a site with the server at its usual path."""
    root = Resource()
    root.putChild(b"socket.io", SocketResource(server, reactor=reactor))
    return root
