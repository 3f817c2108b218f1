"""
The wiring: the only place where the parts of the daemon meet.

Store → engine → commands → doors, started in that order and stopped in reverse, each awaited. ``twistd``,
``debug.py``, the WSGI bridge and the tests all come through here.
"""

import gc
import time
from dataclasses import replace
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from .access.first_token import make_first_token
from .access.hosts import Hosts
from .access.origins import Origins
from .access.passwords import Argon2, Hashing
from .access.policy import Policy
from .access.principals import OWNER, Principal
from .access.quotas import subscription_quota
from .access.tokens import Tokens
from .access.users import Users
from .access_log import AccessLog
from .commands import (
    adding,
    backups,
    daemon,
    events,
    logins,
    peers,
    sessions,
    subscribing,
    tokens,
    torrents,
    users,
)
from .commands.context import Context, Subscriptions
from .commands.health import Health
from .commands.registry import Registry
from .engine.engine import Engine, Reason
from .engine.eventlog import EventLog
from .engine.pace import Pace
from .engine.shared import Shared
from .engine.web_seeds import WebSeeds
from .errors import CommandError, StartFailed
from .fetch import Fetcher
from .listening import describe, listen_all, remove_listening_json, require_loopback, write_listening_json
from .live.admission import admission, counted_by
from .live.door import LiveDoor
from .paths import Roots
from .rest.screen import Screen
from .rest.site import build_site
from .settings import Settings
from .socketio import SocketResource, SocketServer
from .store.refusals import StoreRefusal
from .store.revisions import Revisions
from .store.store import Store
from .systemd import Probes
from .turns import TurnMeter, TurnWatch
from .web.examples import build_examples

DRAIN_TIMEOUT = 10.0
"""Seconds that running requests have to end when the daemon stops."""
STOP_TIMEOUT = 60.0
TIDYING = 30.0
"""Seconds between two looks at expired tokens, and writes of when which was used."""
_HIGH_WATER = "revisions"
_KNOWN_CALLERS = 256


class DaemonService:
    """
    One daemon.

    Ports are bound in ``privilegedStartService``, so that one in use ends the start; everything else comes up
    in ``startService``, after twistd has forked: a libtorrent session does not survive a fork.
    """

    log = Logger()

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self.settings = settings
        self._reactor = reactor
        self._ports: list[IListeningPort] = []
        self._announced = False
        self._ready: Deferred[None] = Deferred()
        self._started: Deferred[None] | None = None
        self._last_exit_clean = True
        self.meter = TurnMeter()
        self._watch = TurnWatch(reactor, self.meter)
        self.store = Store(settings.state_dir, durability=settings.durability, reactor=reactor)
        self._revisions = Revisions(int(time.time() * 1_000_000), 0)
        self._reserving = LoopingCall(self._reserve)
        self._reserving.clock = reactor
        roots = Roots(settings.roots)
        pace = Pace(reactor, self.meter)
        log = EventLog(reactor, time.time)
        self._web_seeds = WebSeeds(settings.fetch_allow)
        shared = Shared(reactor, self.store, self._revisions, roots, pace, time.time, log, self._web_seeds)
        self.engine = Engine(shared, interfaces=settings.peer_interfaces, discovery=settings.discovery)
        self.health = Health(self.engine, self.store, self.meter, reactor.seconds)
        self.registry = Registry(
            [
                *sessions.COMMANDS,
                *torrents.COMMANDS,
                *adding.COMMANDS,
                *peers.COMMANDS,
                *daemon.COMMANDS,
                *tokens.COMMANDS,
                *users.COMMANDS,
                *logins.COMMANDS,
                *backups.COMMANDS,
                *events.COMMANDS,
                *subscribing.COMMANDS,
            ]
        )
        self.tokens = Tokens(self.store, time.time)
        self.hashing = Hashing(reactor, Argon2())
        self.users = Users(self.store, self.hashing, time.time)
        self.policy = Policy(
            self.tokens,
            self.users,
            auth=settings.auth,
            trusted_proxies=settings.trusted_proxies,
            seconds=reactor.seconds,
        )
        self._tidying = LoopingCall(self.tokens.tick)
        self._tidying.clock = reactor
        self.context = Context(
            engine=self.engine,
            fetcher=Fetcher(reactor, allow=settings.fetch_allow),
            roots=roots,
            pace=pace,
            health=self.health,
            backups=self.store.backups,
            seconds=reactor.seconds,
            started=reactor.seconds(),
            policy=self.policy,
            principal=OWNER,
        )
        # made anew for each request, it would cost more than to see whose token it is
        self._contexts = lru_cache(_KNOWN_CALLERS)(
            lambda principal: replace(self.context, principal=principal)
        )
        self.access = AccessLog(reactor.seconds)
        self.access.on = settings.log_level == "debug"
        quota = subscription_quota()
        self.live = LiveDoor(self.registry, self._context_for, pace, self.policy, self.access, quota)
        screen = Screen(Hosts(settings.allow_hosts), Origins(settings.allow_origins))
        self.sockets = SocketServer(
            self.live, clock=reactor, admit=admission(screen.origins), address=counted_by(self.policy)
        )
        self.site = build_site(
            self.registry,
            self._context_of,
            judge=self.policy.judge,
            check=self.policy.check,
            trusted_proxies=settings.trusted_proxies,
            screen=screen,
            reactor=reactor,
            access=self.access,
            subscriptions=quota,
            beside={
                b"socket.io": SocketResource(self.sockets, reactor=reactor),
                b"examples": build_examples(),
            },
        )
        self.policy.watch(self.site.door.put_out)
        self.policy.watch(self.live.put_out)
        self.health.watch_refusals("http", lambda: self.site.refusals)
        self.health.watch_refusals("socketio", lambda: self.sockets.refusals + self.live.refusals)

    def _context_of(self, principal: Principal) -> Context:
        """What a command gets that somebody asks for."""
        return self.context if principal is OWNER else self._contexts(principal)

    def _context_for(self, principal: Principal, subscriptions: Subscriptions) -> Context:
        """What the commands of one live connection get."""
        return replace(self.context, principal=principal, subscriptions=subscriptions)

    # -- starting --------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        Bind the API's ports.

        :raises StartFailed: if one can't be bound.
        """
        self._ports = listen_all(self._reactor, self.settings.listen, self.site)
        if self.settings.auth == "never" and not self.settings.allow_unauthenticated_network:
            try:
                require_loopback(self._ports)
            except StartFailed:
                # nothing was accepted: the reactor had no turn
                for port in self._ports:
                    port.stopListening()
                raise

    def startService(self) -> None:
        """Begin to start; ``when_ready`` tells how it went."""
        self._reactor.callWhenRunning(self._watch.start)
        self._started = Deferred.fromCoroutine(self._start())
        self._started.addErrback(self._ready.errback)

    def when_ready(self) -> Deferred[None]:
        """Fires when all that was stored is listed; fails with StartFailed, in one line."""
        return self._ready

    def probes(self) -> Probes:
        """A question to each part that must move for the daemon to be alive: see ``systemd.Liveness``."""
        sessions = {f"session {s.options.id}": s.counters for s in self.engine if not s.closing}
        return {"store": lambda: self.store.setting(_HIGH_WATER), **sessions}

    def reload(self, settings: Settings) -> None:
        """Put settings into effect of which only ``reloading.RELOADABLE`` ones changed."""
        self.settings = settings
        self.context.fetcher.admit(settings.fetch_allow)
        self._web_seeds.admit(settings.fetch_allow)
        self.site.screen.hosts.allow(settings.allow_hosts)
        self.site.screen.origins.allow(settings.allow_origins)
        self.access.on = settings.log_level == "debug"

    async def _start(self) -> None:
        # What is made at the start lives on: keep the collector from walking it again and again, now and when
        # all is listed. Its default thresholds cost a tenth of an add's time, for hardly any cycles
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)
        try:
            report = await self.store.open()
        except StoreRefusal as error:
            raise StartFailed(str(error)) from None
        self._last_exit_clean = report.clean
        if report.set_aside is not None:
            message = f"the state database was damaged and was set aside as {report.set_aside}"
            self.log.error("{message}", message=message)
            self.health.remember(Reason("database_set_aside", message))
        self._revisions.resume_above(int(await self.store.setting(_HIGH_WATER) or 0))
        await self._reserve()
        self._reserving.start(1, now=False).addErrback(
            lambda failure: self.log.failure("revisions are no longer reserved", failure)
        )
        await self._load_access()
        await self.engine.start(clean=report.clean)
        gc.freeze()
        self._announce()
        self._ready.callback(None)

    def _announce(self) -> None:
        """Say where the API is; with no ports, under a WSGI server, an old file of a killed daemon goes."""
        for port in self._ports:
            self.log.info("serving at {address}", address=describe(port))
        if self.settings.state_dir is None:
            return
        if self._ports:
            write_listening_json(self.settings.state_dir, self._ports)
            self._announced = True
        else:
            remove_listening_json(self.settings.state_dir)

    async def _load_access(self) -> None:
        """Know the tokens and the users; at the first start, make a token."""
        self.hashing.start()
        await self.users.load()
        await self.tokens.load()
        if self.settings.state_dir is not None:
            try:
                path = await make_first_token(self.tokens, self.store, self.settings.state_dir)
            except (OSError, CommandError) as error:
                raise StartFailed(f"cannot write the first token: {error}") from None
            if path is not None:
                self.log.info("a token for everything is in {path}", path=str(path))
        self._tidying.start(TIDYING, now=False).addErrback(
            lambda failure: self.log.failure("tokens are no longer looked after", failure)
        )

    async def _reserve(self) -> None:
        """Keep the stored high-water mark ahead of all revisions."""
        if not self._revisions.needs_reserve:
            return
        mark = self._revisions.reserve()
        try:
            await self.store.set_setting(_HIGH_WATER, str(mark))
        except Exception:
            self.log.failure("the high-water mark of revisions was not stored")
            self._revisions.reserve_failed()
        else:
            self._revisions.reserved(mark)

    # -- stopping --------------------------------------------------------

    def stopService(self) -> "Deferred[None]":
        """Stop in order; fires when all is saved and closed."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self.health.stopping = True
        for port in self._ports:
            await _result(port.stopListening())
        # never another daemon's file: not if ours was refused, and only while ours holds the lock
        if self._announced and self.settings.state_dir is not None:
            remove_listening_json(self.settings.state_dir)
        self.site.door.drain()
        self.live.drain()
        try:
            drained = [self.site.door.drained(), self.live.drained()]
            await DeferredList(drained, fireOnOneErrback=True).addTimeout(DRAIN_TIMEOUT, self._reactor)
            await self.sockets.stop(farewell=False).addTimeout(DRAIN_TIMEOUT, self._reactor)
        except Exception as error:
            self.log.warn("requests were still running: {error!r}", error=error)
        self.site.close_connections()
        if self._started is not None and not self._started.called:
            self._started.cancel()
        await self._stop_parts()
        self._watch.stop()

    async def _stop_parts(self) -> None:
        # after an unclean exit, what was not loaded yet still wants its check at the next start
        clean = self._last_exit_clean or self.engine.is_loaded
        try:
            await Deferred.fromCoroutine(self.engine.stop()).addTimeout(STOP_TIMEOUT, self._reactor)
        except Exception:
            clean = False
            self.log.failure("the engine was not stopped in order")
        for call in (self._reserving, self._tidying):
            if call.running:
                call.stop()
        self.hashing.stop()
        await self.tokens.flush()
        try:
            await self.store.close(clean=clean)
        except Exception:
            self.log.failure("the store was not closed in order")


async def _result(outcome: Any) -> Any:
    """What a method that may or may not give a Deferred comes to."""
    return await outcome if isinstance(outcome, Deferred) else outcome


def make_service(settings: Settings, reactor: Any) -> DaemonService:
    """The daemon that these settings describe; nothing is started or bound yet."""
    return DaemonService(settings, reactor)
