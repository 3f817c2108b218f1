"""
The daemon's doors with all of its commands, whose work is replaced: each call is noted and ends well.

What is real: site, connections, screen, policy, routes, parameters, envelopes, Socket.IO by polling. What is
not: engine, disk and network, so that nothing is sent anywhere and a case takes a millisecond.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from resttorrent.access.hosts import Hosts
from resttorrent.access.origins import Origins
from resttorrent.access.policy import Policy
from resttorrent.access.tokens import Tokens, digest_of
from resttorrent.access_log import AccessLog
from resttorrent.commands.answers import Answer
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
from tests.commands.everything import registry
from tests.rest.wire import Reactor

TOKEN = "f" * 43
LIMIT = 100_000


class Stored:
    """A store with one token in it."""

    async def tokens(self) -> Sequence[TokenRecord]:
        record = TokenRecord(
            id="0" * 16,
            name="fuzz",
            digest=digest_of(TOKEN),
            scopes=("admin",),
            created_time=0,
            expiry=None,
            last_used=None,
        )
        return [record]


class World:
    """:ivar called: the names of the commands that were run, with what they were given."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.reactor = Reactor()
        reactor: Any = self.reactor  # of an IReactorThreads it has what the door uses
        stored: Any = Stored()
        tokens = Tokens(stored, time.time)
        Deferred.fromCoroutine(tokens.load())
        policy = Policy(tokens, auth="always", seconds=self.reactor.seconds)
        commands = Registry([self._stub(command) for command in registry()])
        pace = Pace(self.reactor, TurnMeter(self.reactor.seconds))
        screen = Screen(Hosts(), Origins())
        live = LiveDoor(
            commands, lambda principal, _: principal, pace, policy, AccessLog(self.reactor.seconds)
        )
        self.sockets = SocketServer(
            live, clock=self.reactor, admit=admission(screen.origins), limits=Limits(max_payload=LIMIT)
        )
        self.site = build_site(
            commands,
            lambda principal: principal,
            judge=policy.judge,
            reactor=reactor,
            body_limit=LIMIT,
            screen=screen,
            beside={
                b"socket.io": SocketResource(self.sockets, reactor=self.reactor),
                b"examples": build_examples(),
            },
        )

    def _stub(self, command: Command) -> Command:
        async def function(ctx: object, **parameters: object) -> Answer:
            self.called.append(command.name)
            return Answer()

        return replace(command, function=function, location=None)

    def connect(self) -> Door:
        return Door(self.site)
