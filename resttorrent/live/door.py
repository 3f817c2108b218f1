"""
Event ``v1`` in, one command run, event ``v1`` out: ``{t_id, command, …parameters}``, in namespace ``/``.

The answer is the object that REST gives, with the same ``t_id``; where the client asked for an
acknowledgement, it gets the same object there as well. Commands run side by side and are answered as they
are ready. No command is known by name here; a result that is a subscription is one by its type.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from ..access.policy import Policy
from ..access.principals import Principal
from ..access.quotas import Quota, subscription_quota
from ..access.requests import Facts, facts_of_handshake
from ..access_log import AccessLog
from ..commands.answers import Subscribed, Tagged, WithCookies
from ..commands.context import Subscriptions
from ..commands.envelope import TransactionId, encoded, failure_of, transaction_id
from ..commands.registry import Command, Registry
from ..engine.feeds import Feed
from ..engine.pace import Pace
from ..errors import (
    BadParameter,
    CommandError,
    NotAllowed,
    NotFound,
    Stopping,
    TokenNeeded,
    TooMany,
)
from ..socketio import Application, Handshake, Refusal, Socket
from .caller import Caller

EVENT = "v1"
MOST_RUNNING = 1000
"""Commands of one socket that may run at a time."""

ContextFor = Callable[[Principal, Subscriptions], object]


class Visit:
    """
    One socket's stay.

    :ivar principal: who it is; what that one may is looked at for each command.
    :ivar context: what its commands get; :ivar running: those that run.
    """

    __slots__ = ("caller", "context", "principal", "running")

    def __init__(self, principal: Principal, caller: Caller, context: object) -> None:
        self.principal = principal
        self.caller = caller
        self.context = context
        self.running: dict[Deferred[None], Command] = {}

    def break_off(self) -> None:
        """Cancel what changes nothing; what changes something is never broken off in the middle."""
        for work, command in tuple(self.running.items()):
            if command.is_safe:
                work.cancel()


class LiveDoor(Application):
    """
    The application on the Socket.IO server.

    :param context_for: makes the commands' first argument for one client.
    :param subscriptions: of each client, here and elsewhere.
    :ivar refusals: who was turned away, by the error's code.
    """

    _log = Logger()

    def __init__(
        self,
        registry: Registry,
        context_for: ContextFor,
        pace: Pace,
        policy: Policy,
        access: AccessLog,
        subscriptions: Quota | None = None,
    ) -> None:
        self.refusals: Counter[str] = Counter()
        self._subscriptions = subscriptions or subscription_quota()
        self._registry = registry
        self._policy = policy
        self._access = access
        self._context_for = context_for
        self._pace = pace
        self._visits: dict[Socket, Visit] = {}
        self._running = 0
        self._draining = False
        self._waiting: list[Deferred[None]] = []

    # -- from the server -------------------------------------------------

    def admit(self, handshake: Handshake, namespace: str, auth: Any) -> Principal:
        try:
            principal = self._policy.judge(_facts(handshake, auth))
            # of those that anyone may, no command is worth a socket
            principal.require("read")
        except CommandError as error:
            self.refusals[error.code] += 1
            raise Refusal(error.message, {"code": error.code}) from None
        return principal

    def connect(self, socket: Socket, auth: Any) -> None:
        principal, caller = socket.data, Caller(socket, socket.data, self._subscriptions)
        context = self._context_for(principal, caller)
        socket.data = self._visits[socket] = Visit(principal, caller, context)

    def disconnect(self, socket: Socket, reason: str) -> None:
        visit = self._visits.pop(socket)
        visit.caller.close()
        visit.break_off()

    def writable(self, socket: Socket) -> None:
        visit: Visit = socket.data
        visit.caller.pump()

    def event(self, socket: Socket, name: str | int, arguments: list[Any], ack_id: int | None) -> None:
        visit: Visit = socket.data
        t_id: TransactionId = None
        try:
            message = _message(name, arguments)
            t_id = transaction_id(message.pop("t_id", None))
            command = self._command(visit, message)
        except CommandError as error:
            self._count(error)
            self._answer(socket, encoded(failure_of(error), t_id), ack_id)
            return
        number = self._access.ids.begin()
        try:
            work = Deferred.fromCoroutine(self._serve(socket, command, message, t_id, ack_id))
        finally:
            self._access.ids.end(number)
        if not work.called:
            visit.running[work] = command
            self._running += 1
            work.addBoth(self._ended, visit, work)
        work.addErrback(lambda failure: self._log.failure("an answer could not be sent", failure))

    def _ended(self, result: object, visit: Visit, work: "Deferred[None]") -> object:
        del visit.running[work]
        self._running -= 1
        self._tell_waiting()
        return result

    def put_out(self, grant: str) -> None:
        """Close the sockets that came by a token or a login that is no longer good."""
        for socket, visit in tuple(self._visits.items()):
            if visit.principal.grant == grant:
                socket.disconnect(close=True)

    def drain(self) -> None:
        """Refuse new commands from now on, and end the running ones that change nothing."""
        self._draining = True
        for visit in tuple(self._visits.values()):
            visit.break_off()

    def drained(self) -> "Deferred[None]":
        """Fires when no command runs; cancel it to wait no longer."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        self._tell_waiting()
        return waiter

    def _tell_waiting(self) -> None:
        while self._waiting and not self._running:
            self._waiting.pop().callback(None)

    # -- a command -------------------------------------------------------

    def _command(self, visit: Visit, message: dict[str, Any]) -> Command:
        if self._draining:
            raise Stopping("the daemon is stopping")
        self._policy.check(visit.principal)
        if len(visit.running) >= MOST_RUNNING:
            raise TooMany(f"{MOST_RUNNING} commands of this socket are running: wait for an answer")
        name = message.pop("command", None)
        if not isinstance(name, str):
            raise BadParameter("command: expected the name of a command", field="command")
        return self._registry.named(name)

    async def _serve(
        self,
        socket: Socket,
        command: Command,
        message: dict[str, Any],
        t_id: TransactionId,
        ack_id: int | None,
    ) -> None:
        visit: Visit = socket.data
        began, outcome = self._access.began(), "success"
        try:
            # many may have come at once
            await self._pace.breathe("commands of a socket")
            result = await command.start(visit.principal, visit.context, message.items())
            body = None
            if isinstance(result, Subscribed):
                self._open(socket, result.feed, t_id, ack_id)
            else:
                body = encoded(result.answer if isinstance(result, Tagged | WithCookies) else result, t_id)
        except Exception as error:
            reason = self._reason(command, error)
            body, outcome = encoded(failure_of(reason), t_id), reason.code
        if body is not None:
            self._answer(socket, body, ack_id)
        if self._access.on:
            self._access.command(command.name, outcome, began)

    def _reason(self, command: Command, error: Exception) -> CommandError:
        """What the client is told."""
        if isinstance(error, CommandError):
            self._count(error)
            return error
        if isinstance(error, CancelledError):
            return Stopping("the daemon is stopping")
        self._log.failure("a command failed unexpectedly: {name}", name=command.name)
        return CommandError("the daemon made a mistake; its log says more")

    def _count(self, error: CommandError) -> None:
        if isinstance(error, TooMany | TokenNeeded | NotAllowed):
            self.refusals[error.code] += 1

    def _open(self, socket: Socket, feed: Feed, t_id: TransactionId, ack_id: int | None) -> None:
        """Answer with what the feed shows, and push what comes."""
        if not socket.connected:
            feed.stop()
            return
        visit: Visit = socket.data
        subscription, body = visit.caller.open(feed, t_id)
        self._answer(socket, body, ack_id)
        visit.caller.begin(subscription)

    @staticmethod
    def _answer(socket: Socket, body: bytes, ack_id: int | None) -> None:
        raw = msgspec.Raw(body)
        socket.emit(EVENT, raw)
        if ack_id is not None:
            socket.acknowledge(ack_id, raw)


def _facts(handshake: Handshake, auth: Any) -> Facts:
    """What is known of a client, its token with it: from the connect payload, or for older ones the query."""
    given = auth.get("token") if isinstance(auth, dict) else None
    token = given if isinstance(given, str) and given else handshake.query.get("token")
    return facts_of_handshake(handshake.headers, handshake.peer, token or None)


def _message(name: str | int, arguments: list[Any]) -> dict[str, Any]:
    """
    The object that came with the event.

    :raises NotFound: for another event; :raises BadParameter: for something else than one object.
    """
    if name != EVENT:
        shown = str(name)[:64]
        raise NotFound(f"unknown event {shown!r}: commands are events named {EVENT!r}", field="event")
    if len(arguments) != 1 or not isinstance(arguments[0], dict):
        raise BadParameter("expected one object: {command, t_id, …parameters}")
    return dict(arguments[0])
