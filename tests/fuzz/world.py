"""
The daemon's doors with all of its commands, whose work is replaced: each call is noted and ends well.

What is real: site, connections, screen, policy, routes, parameters, envelopes, Socket.IO by polling and by
WebSocket, subscriptions, and the commands on tokens and logins. What is not: engine, disk and network,
so that nothing is sent anywhere and a case takes a millisecond or two. ``real`` has the rest.
"""

import time
import typing
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import txaio.tx
from twisted.internet.defer import Deferred

from resttorrent.access.hosts import Hosts
from resttorrent.access.origins import Origins
from resttorrent.access.policy import Policy
from resttorrent.access.principals import Principal, including
from resttorrent.access.tokens import Tokens, digest_of
from resttorrent.access.users import Users
from resttorrent.access_log import AccessLog
from resttorrent.commands import logins as login_commands
from resttorrent.commands import tokens as token_commands
from resttorrent.commands.answers import Answer, Subscribed
from resttorrent.commands.context import Subscriptions
from resttorrent.commands.registry import Command, Registry
from resttorrent.engine.pace import Pace
from resttorrent.live.admission import admission
from resttorrent.live.door import LiveDoor
from resttorrent.rest.screen import Screen
from resttorrent.rest.site import build_site
from resttorrent.socketio import Limits, SocketResource, SocketServer
from resttorrent.store.records import TokenRecord
from resttorrent.turns import TurnMeter
from resttorrent.web.examples import build_examples
from tests.access.doors import Door
from tests.access.support import FakeHashes, FakeStore
from tests.commands import everything
from tests.fuzz.callers import KNOWN, Caller
from tests.rest.feeding import Feeds
from tests.rest.wire import Reactor

LIMIT = 100_000
REAL = (*token_commands.COMMANDS, *login_commands.COMMANDS)


@dataclass(frozen=True)
class Asked:
    """What a command gets."""

    policy: Policy
    principal: Principal
    subscriptions: Subscriptions | None = None


@dataclass(frozen=True)
class Call:
    """A command that was run: what it is for, and whether it changes something."""

    name: str
    scope: str
    is_safe: bool


class World:
    """
    :ivar calls: the commands that were run; :ivar sockets: the Socket.IO server.
    :ivar changes: how often something that is not here was changed.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.changes = 0
        self.reactor = Reactor()
        reactor: Any = self.reactor  # of an IReactorThreads it has what the door uses
        # Autobahn's own timers don't run by the reactor that it is given
        txaio.tx.config.loop = reactor
        self._store = FakeStore()
        self._store.records = {record.id: record for record in map(_record_of, KNOWN)}
        stored: Any = self._store
        self._tokens = Tokens(stored, time.time)
        Deferred.fromCoroutine(self._tokens.load())
        users = Users(stored, FakeHashes(), time.time)
        Deferred.fromCoroutine(users.load())
        self._policy = Policy(self._tokens, users, auth="always", seconds=self.reactor.seconds)
        self._feeds = Feeds()
        commands = Registry([self._stub(command) for command in _commands()])
        # no turn is ever long: what is done is answered before the next thing is read
        pace = Pace(self.reactor, TurnMeter(lambda: 0.0))
        screen = Screen(Hosts(), Origins())
        live = LiveDoor(commands, self._asked, pace, self._policy, AccessLog(self.reactor.seconds))
        self.sockets = SocketServer(
            live,
            clock=self.reactor,
            admit=admission(screen.origins),
            limits=Limits(max_payload=LIMIT, max_frame=LIMIT),
        )
        self.site = build_site(
            commands,
            self._asked,
            judge=self._policy.judge,
            reactor=reactor,
            body_limit=LIMIT,
            screen=screen,
            beside={
                b"socket.io": SocketResource(self.sockets, reactor=self.reactor),
                b"examples": build_examples(),
            },
        )
        self._policy.watch(self.site.door.put_out)
        self._policy.watch(live.put_out)

    def _asked(self, principal: Principal, subscriptions: Subscriptions | None = None) -> Asked:
        return Asked(self._policy, principal, subscriptions)

    def _stub(self, command: Command) -> Command:
        subscribes = typing.get_type_hints(command.function).get("return") is Subscribed
        is_real = command in REAL or command.name == "unsubscribe"

        async def function(ctx: Asked, **parameters: object) -> object:
            if is_real:
                result = await command.function(ctx, **parameters)
            else:
                result = self._feeds.make(None) if subscribes else Answer()
                self.changes += not command.is_safe
            self.calls.append(Call(command.name, command.scope, command.is_safe))
            return result

        return replace(command, function=function, location=None)

    # -- looking ---------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        """Whether all callers' tokens are still good."""
        return {record.id for record in map(_record_of, KNOWN)} <= {token.record.id for token in self._tokens}

    def state(self) -> tuple[object, ...]:
        """What is kept; equal when nothing was changed."""
        kept = frozenset(token.record.id for token in self._tokens)
        return self.changes, kept, frozenset(self._store.records), len(self._policy.logins)

    def left_behind(self) -> dict[str, object]:
        """What there should be none of when all clients have gone; that which is there."""
        found = {
            "connections": len(self.site.connections),
            "watched": len(self.site.watch),
            "sessions": len(self.sockets),
            "timers": list(map(str, self.reactor.getDelayedCalls())),
            "feeds": sum(feed.watching for feed in self._feeds.feeds),
        }
        return {name: value for name, value in found.items() if value}

    # -- clients ---------------------------------------------------------

    def connect(self) -> Door:
        """A connection, whose transport has what TCP's have beside what all have."""
        door = Door(self.site)
        transport: Any = door.transport
        transport.protocol = door.protocol
        transport.setTcpNoDelay = lambda enabled: None
        return door

    def settle(self) -> None:
        """Do what was put off, and have something new for all who subscribed."""
        self.reactor.pool.run()
        self.reactor.advance(0)
        self._feeds.step()


def _record_of(caller: Caller) -> TokenRecord:
    return TokenRecord(
        id=caller.scope[0] * 16,
        name=caller.scope,
        digest=digest_of(caller.token),
        scopes=including((caller.scope,)),
        created_time=0,
        expiry=None,
        last_used=None,
    )


@cache
def _commands() -> Iterable[Command]:
    return tuple(everything.registry())
