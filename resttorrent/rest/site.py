# mypy: disallow-untyped-calls=False
# (twisted.web, whose methods are called through our subclasses)
"""
Below the door: HTTP connections with bounded bodies, on twisted.web.

Bodies stay in memory and are never parsed here. A resource beside the door may take a connection over, as
WebSockets do; it is the site's no longer. See ``channel`` for connections and ``request`` for requests.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from ..access.hosts import Hosts
from ..access.origins import Origins
from ..access.quotas import Quota
from ..access_log import AccessLog
from ..commands.registry import Registry
from ..errors import CommandError
from ..settings import Network
from .app import Door, DoorReactor, MakeContext
from .channel import LINGER, DoorChannel
from .crowd import MOST_TURNED_AWAY, Crowd, Limits, TurnedAway, possible_limits
from .deadlines import Watch
from .front import Front
from .judging import Check, Judge
from .request import DoorRequest
from .screen import Screen

__all__ = ["BODY_LIMIT", "LINGER", "DoorChannel", "DoorRequest", "DoorSite", "build_site"]

BODY_LIMIT = 32 * 1024 * 1024


class DoorSite(Site):
    """
    The factory of connections to the door, and to what stands beside it.

    :ivar door: what answers; also knows how to drain.
    :ivar screen: looks at each request first.
    :ivar connections: the open ones.
    :ivar access: logs requests, and numbers them.
    :ivar refusals: who was turned away, by the answer's status, or ``slow`` or ``stalled``.
    """

    requestFactory = DoorRequest
    # declared by Twisted as what wraps HTTP/1.1 and HTTP/2
    protocol = DoorChannel  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        front: Front,
        *,
        reactor: IReactorTime,
        body_limit: int,
        screen: Screen,
        limits: Limits | None = None,
        access: AccessLog | None = None,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        # no timeout of Twisted's: each byte would prolong it
        super().__init__(front.door, timeout=None, reactor=reactor, parsePOSTFormSubmission=False)
        self.front = front
        self.door = front.door
        self.body_limit = body_limit
        self.screen = screen
        self.connections: set[DoorChannel] = set()
        self.refusals: Counter[int | str] = Counter()
        self.access = access or AccessLog(reactor.seconds)
        self.watch = Watch(reactor)
        self.crowd = Crowd(limits or possible_limits(), trusted_proxies)
        self._turned_away = 0

    def startFactory(self) -> None:
        """No access log of Twisted's, hence no clock for its lines either."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: HTTPRequest) -> None:
        """A request was answered."""
        if self.access.on:
            self.access.request(request, getattr(request, "began", None))

    # -- connections -----------------------------------------------------

    def buildProtocol(self, addr: IAddress | None) -> Any:
        error = self.crowd.refusal(addr)
        if error is not None:
            return self._turn_away(error)
        return super().buildProtocol(addr)

    def _turn_away(self, error: CommandError) -> IProtocol | None:
        """Say why, unless there are many to be told."""
        self.refusals[error.http_status] += 1
        if self._turned_away >= MOST_TURNED_AWAY:
            return None
        self._turned_away += 1
        return TurnedAway(error, self.watch.clock, self._has_gone)

    def _has_gone(self) -> None:
        self._turned_away -= 1

    def enlist(self, channel: DoorChannel) -> None:
        """A connection begins."""
        self.connections.add(channel)
        self.crowd.enter(channel.peer)
        self.watch.add(channel)

    def delist(self, channel: DoorChannel) -> None:
        """A connection has ended, or was taken over; may be said twice."""
        if channel in self.connections:
            self.connections.discard(channel)
            self.crowd.leave(channel.peer)
            self.watch.discard(channel)

    def close_connections(self) -> None:
        """
        Close all connections, once what was written to them is sent; a running command is cancelled.

        Those that were taken over are left to who took them.
        """
        for channel in tuple(self.connections):
            channel.loseConnection()

    # -- requests --------------------------------------------------------

    def getResourceFor(self, request: Request) -> IResource:
        """As Twisted does it, but for the walk from a root that has no more than one level."""
        request.site = self
        return self.front.resource_for(request)

    def acceptableProtocols(self) -> list[bytes]:
        """What TLS may negotiate."""
        return [b"http/1.1"]

    def body_limit_at(self, target: bytes) -> int:
        """The bytes that the body of a request for ``target`` may have."""
        beside: Any = self.front.beside(target)
        limit_at = getattr(beside, "body_limit_at", None)
        smaller: int | None = limit_at(target) if limit_at else getattr(beside, "body_limit", None)
        return self.body_limit if smaller is None else min(smaller, self.body_limit)


def build_site(
    registry: Registry,
    make_context: MakeContext,
    *,
    judge: Judge,
    check: Check | None = None,
    reactor: DoorReactor,
    body_limit: int = BODY_LIMIT,
    beside: Mapping[bytes, IResource] | None = None,
    screen: Screen | None = None,
    limits: Limits | None = None,
    access: AccessLog | None = None,
    subscriptions: Quota | None = None,
    trusted_proxies: Sequence[Network] = (),
) -> DoorSite:
    """
    The factory to listen with.

    :param make_context: makes what a command gets as its first argument, when somebody asks.
    :param judge: says who asks, and :param check: whether one who was let in still may; see ``Judging``.
    :param body_limit: bytes of a request's body.
    :param beside: resources for paths that are not the door's; see ``Front``.
    :param screen: which hosts and origins are let in; by default those of this machine, and its own pages.
    :param access: logs requests; by default nobody's but this site's.
    :param subscriptions: of each client, those by other doors among them.
    :param trusted_proxies: have everybody behind them, and are not counted as one address.
    """
    door = Door(
        registry, make_context, judge=judge, check=check, reactor=reactor, subscriptions=subscriptions
    )
    front = Front(door, beside or {})
    return DoorSite(
        front,
        reactor=reactor,
        body_limit=body_limit,
        screen=screen or Screen(Hosts(), Origins()),
        limits=limits,
        access=access,
        trusted_proxies=trusted_proxies,
    )
