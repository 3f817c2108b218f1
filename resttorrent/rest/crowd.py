# mypy: disallow-untyped-calls=False
"""
How many connections there may be, from one address and in all; and what those beyond get to hear.

Loopback, UNIX sockets and trusted proxies are counted in all alone: behind them are the owner's own programs,
or a proxy with everybody in it. Connections that became WebSockets are not counted here: the Socket.IO server
counts those.
"""

import resource
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ..access.attempts import network_of
from ..access.hosts import is_loopback
from ..access.policy import is_within
from ..commands.envelope import encoded, failure_of
from ..errors import Busy, CommandError, TooMany
from ..settings import Network

PER_ADDRESS = 500
IN_ALL = 16_384
KEPT_DESCRIPTORS = 256
"""File descriptors of the process that connections leave to files, peers and the store."""
PATIENCE = 1.0
"""Seconds in which one that is turned away may say something, so that it hears the answer."""
MOST_TURNED_AWAY = 100
"""Those that wait for that at a time; more are closed without a word."""
RETRY_AFTER = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """:ivar per_address: from one address, or one IPv6 network of 64 bits; :ivar in_all: from all."""

    per_address: int = PER_ADDRESS
    in_all: int = IN_ALL


def possible_limits() -> Limits:
    """What the process has descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Limits()
    return Limits(in_all=min(IN_ALL, max(soft - KEPT_DESCRIPTORS, soft // 2)))


class Crowd:
    """
    Counts connections.

    :param trusted_proxies: whose address is nobody's in particular.
    """

    def __init__(self, limits: Limits, trusted_proxies: Sequence[Network] = ()) -> None:
        self.limits = limits
        self._trusted_proxies = tuple(trusted_proxies)
        self._in_all = 0
        self._from: Counter[str] = Counter()

    def refusal(self, address: IAddress | None) -> CommandError | None:
        """Why one more connection from ``address`` is not taken; ``None`` if it is."""
        if self._in_all >= self.limits.in_all:
            return Busy("there are too many connections")
        counted = self._counted(address)
        if counted and self._from[counted] >= self.limits.per_address:
            return TooMany("there are too many connections from your address")
        return None

    def enter(self, address: IAddress | None) -> None:
        self._in_all += 1
        counted = self._counted(address)
        if counted:
            self._from[counted] += 1

    def leave(self, address: IAddress | None) -> None:
        self._in_all -= 1
        counted = self._counted(address)
        if counted:
            self._from[counted] -= 1
            if not self._from[counted]:
                del self._from[counted]

    def _counted(self, address: IAddress | None) -> str:
        """What it is counted by, beside all; empty if by nothing."""
        host = getattr(address, "host", "")
        if not host or is_loopback(host) or is_within(host, self._trusted_proxies):
            return ""
        return network_of(host)


class TurnedAway(Protocol):
    """
    A connection too many: it hears why at its first word, or soon, and is closed.

    Closed before that was read, TCP would reset the connection and the answer be lost.
    """

    def __init__(self, error: CommandError, clock: IReactorTime, gone: Callable[[], None]) -> None:
        self._error, self._clock, self._gone = error, clock, gone
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._timer = self._clock.callLater(PATIENCE, self._answer)

    def dataReceived(self, data: bytes) -> None:
        self._answer()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop()
        self._gone()

    def _answer(self) -> None:
        if self._timer is None:
            return
        self._stop()
        assert self.transport is not None
        self.transport.write(bare_answer(self._error))
        self.transport.loseConnection()

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


def bare_answer(error: CommandError) -> bytes:
    """The whole answer to what never became a request; the connection ends with it."""
    body = encoded(failure_of(error))
    lines = [
        b"HTTP/1.1 %d %s" % (error.http_status, _REASONS.get(error.http_status, b"Refused")),
        b"Server: RestTorrent",
        b"Content-Type: application/json",
        b"X-Content-Type-Options: nosniff",
        b"Cache-Control: no-store",
        b"Content-Length: %d" % len(body),
        b"Connection: close",
    ]
    if error.http_status in WITH_RETRY:
        lines.append(b"Retry-After: %d" % RETRY_AFTER)
    return b"\r\n".join((*lines, b"", body))


WITH_RETRY = (429, 503)
_REASONS = {400: b"Bad Request", 429: b"Too Many Requests", 503: b"Service Unavailable"}
