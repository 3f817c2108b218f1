"""
The REST door: an HTTP request in, one command run, an answer out.

The registry says what is served; no command is known by name here. A request's pairs come from path, query
and body, and the command judges them. A subscription is answered with a stream of events. A command that
changes nothing is cancelled when its client is gone. While the daemon stops, requests that change nothing
(RFC 9110 §9.2.1; a long poll would hold all up) end with 503, streams just end, others may finish.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from ..access.principals import STRANGER, Principal
from ..access.quotas import Quota, running_quota, subscription_quota
from ..commands.answers import Subscribed, WithCookies
from ..commands.envelope import TransactionId, transaction_id
from ..commands.registry import Command, Parameter, Registry
from ..errors import CommandError, Stopping, TokenNeeded, TooMany
from . import bodies, replies, urlencoded
from .compression import SMALLEST, Compressor
from .events import EventStream, Streams, last_event_id, resumed_by
from .judging import Check, Judge, Judging
from .negotiation import accepts_gzip, matches_tag
from .replies import Reply
from .routes import Routes

SAFE_METHODS = (b"GET", b"HEAD", b"OPTIONS")


MakeContext = Callable[[Principal], object]


class DoorReactor(IReactorThreads, IReactorTime):
    """What the door asks of the reactor."""


class Exchange:
    """
    One request on its way to a reply.

    :ivar pairs: the parameters read so far.
    :ivar principal: who asks.
    :ivar t_id: what to echo.
    :ivar counts: it counts among the commands that run for its client; :ivar streams: it has become a stream,
        and does not.
    :ivar running: the work, cancelled when ``gone`` (no client, no reply) or ``stopped`` (and why), if it
        ``can_be_cut``: while it changes nothing.
    """

    __slots__ = (
        "can_be_cut", "counts", "gone", "pairs", "path", "principal", "query", "request", "running",
        "stopped", "streams", "t_id",
    )  # fmt: skip

    def __init__(self, request: Request) -> None:
        self.principal = STRANGER
        self.request = request
        self.path, _, self.query = request.uri.partition(b"?")
        self.pairs: list[tuple[str, object]] = []
        self.t_id: TransactionId = None
        self.can_be_cut = request.method in SAFE_METHODS
        self.gone = self.counts = self.streams = False
        self.stopped: CommandError | None = None
        self.running: Deferred[None] | None = None

    def take(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Add parameters, but for those that belong to the envelope."""
        for name, value in pairs:
            if name == "t_id":
                if self.t_id is None:
                    self.t_id = transaction_id(value)
            elif name != "command":
                self.pairs.append((name, value))

    def parameters(
        self, variables: Mapping[str, str], since: Parameter | None
    ) -> Iterator[tuple[str, object]]:
        """
        All that was sent, read as it is asked for: not before it is clear that the caller may.

        :raises CommandError: as ``bodies.pairs_of``.
        """
        self.take(variables.items())
        self.take_body()
        if since is not None:
            self.resume(since)
        yield from self.pairs

    def take_body(self) -> None:
        """
        Add the body's parameters.

        :raises CommandError: as ``bodies.pairs_of``.
        """
        content = self.request.content
        body = b"" if content is None else content.read()
        if body:
            content_type = self.request.requestHeaders.getRawHeaders(b"Content-Type", [None])[0]
            self.take(bodies.pairs_of(content_type, self.header(b"Content-Encoding"), body))

    def resume(self, since: Parameter) -> None:
        """Let a Last-Event-ID header stand for a parameter that was not given."""
        header = self.header(b"Last-Event-ID")
        if header is None or any(name in (since.name, *since.aliases) for name, _ in self.pairs):
            return
        value = last_event_id(header, since)
        if value is not None:
            self.pairs.append((since.name, value))

    def client_left(self, reason: Failure) -> None:
        self.gone = True
        self._cut()

    def stop(self, why: CommandError) -> None:
        self.stopped = why
        self._cut()

    def _cut(self) -> None:
        # what changes something is never broken off in the middle
        if self.can_be_cut and self.running is not None:
            self.running.cancel()

    def header(self, name: bytes) -> bytes | None:
        """A request header's values as one list, or ``None``."""
        values = self.request.requestHeaders.getRawHeaders(name)
        return b",".join(values) if values else None


def t_id_of(query: bytes) -> TransactionId:
    """What a query asks to be echoed, as far as it can be read."""
    pairs = urlencoded.pairs_of(query)
    try:
        return next((transaction_id(value) for name, value in pairs if name == "t_id"), None)
    except CommandError:
        return None


class Door(Resource):
    """
    The resource that answers every path.

    :param make_context: makes what a command gets as its first argument, when somebody asks.
    :param judge: says who asks, and :param check: whether one who was let in still may; see ``Judging``.
    :param subscriptions: of each client, here and elsewhere.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        registry: Registry,
        make_context: MakeContext,
        *,
        judge: Judge,
        check: Check | None = None,
        reactor: DoorReactor,
        subscriptions: Quota | None = None,
    ) -> None:
        Resource.__init__(self)
        self._subscriptions = subscriptions or subscription_quota()
        self._at_work = running_quota()
        self._make_context = make_context
        self._judging = Judging(judge, check)
        self._compressor = Compressor(reactor)
        self._streams = Streams(reactor)
        self._routes = Routes(
            (c.name, c.method, c.route, self._handler(c))
            for c in registry
            if c.method is not None and c.route is not None
        )
        self._scopes = {c.name: c.scope for c in registry}
        self._running: set[Exchange] = set()
        self._draining = False
        self._waiting: list[Deferred[None]] = []

    def render(self, request: Request) -> int:
        exchange = Exchange(request)
        try:
            work = self._begin(exchange)
        except CommandError as error:
            self._send(replies.of_error(error, exchange.t_id), exchange)
            return NOT_DONE_YET
        if not work.called:
            exchange.running = work
            self._running.add(exchange)
            if not exchange.streams:
                exchange.counts = True
                self._at_work.enter(exchange.principal)
            request.notifyFinish().addErrback(exchange.client_left)
            work.addBoth(self._ended, exchange)
        work.addErrback(self._log_mistake)
        return NOT_DONE_YET

    def look(self, request: Request) -> Principal:
        """
        Judge a request by its head: who asks, and whether that one may.

        :raises CommandError: its body need not be read.
        """
        principal = self._judging.who_asks(request)
        try:
            name, _ = self._routes.match(request.method, request.uri.partition(b"?")[0])
        except CommandError:
            if request.method != b"OPTIONS":
                principal.require("read")
        else:
            principal.require(self._scopes[name])
        return principal

    def drain(self) -> None:
        """Refuse new requests from now on, and end the running ones that change nothing."""
        self._draining = True
        for exchange in tuple(self._running):
            exchange.stop(Stopping("the daemon is stopping"))

    def put_out(self, grant: str) -> None:
        """End what runs by a grant that is no longer good, and changes nothing."""
        for exchange in tuple(self._running):
            if exchange.principal.grant == grant:
                exchange.stop(TokenNeeded("this token is no longer good"))

    def drained(self) -> Deferred[None]:
        """Fires when no request runs; cancel it (``addTimeout``) to wait no longer."""
        waiter: Deferred[None] = Deferred(self._forget)
        self._waiting.append(waiter)
        self._tell_waiting()
        return waiter

    def _forget(self, waiter: Deferred[None]) -> None:
        self._waiting.remove(waiter)

    def _ended(self, result: object, exchange: Exchange) -> object:
        self._running.discard(exchange)
        self._is_no_work(exchange)
        self._tell_waiting()
        return result

    def _is_no_work(self, exchange: Exchange) -> None:
        if exchange.counts:
            exchange.counts = False
            self._at_work.leave(exchange.principal)

    def _tell_waiting(self) -> None:
        while self._waiting and not self._running:
            self._waiting.pop().callback(None)

    def _log_mistake(self, failure: Failure) -> None:
        self._log.failure("a reply could not be sent", failure)

    def _begin(self, exchange: Exchange) -> Deferred[None]:
        request = exchange.request
        exchange.principal = self._who(request)
        try:
            exchange.take(urlencoded.pairs_of(exchange.query))
            if self._draining:
                raise Stopping("the daemon is stopping")
            if request.method == b"OPTIONS":
                self._send(replies.of_options(self._routes.allowed(exchange.path)), exchange)
                return succeed(None)
            name, variables = self._routes.match(request.method, exchange.path)
        except CommandError as error:
            if not isinstance(error, Stopping):
                # who asks comes first
                exchange.principal.require("read")
            raise
        self._at_work.check(exchange.principal)
        return self._routes.run(name, request, exchange, **variables)

    def _who(self, request: Request) -> Principal:
        """Who asks, if that was not judged yet: a wrong token counts once."""
        principal: Principal | None = getattr(request, "principal", None)
        # what says so may have gone while the body came
        if principal is None or principal.grant is not None:
            return self._judging.who_asks(request)
        return principal

    def _handler(self, command: Command) -> Callable[..., Coroutine[Deferred[Any], Any, None]]:
        since = resumed_by(command)

        def handle(
            request: Request, exchange: Exchange, **variables: str
        ) -> Coroutine[Deferred[Any], Any, None]:
            return self._serve(exchange, command, variables, since)

        return handle

    async def _serve(
        self, exchange: Exchange, command: Command, variables: Mapping[str, str], since: Parameter | None
    ) -> None:
        try:
            reply = await self._reply(exchange, command, variables, since)
            if isinstance(reply, EventStream):
                await self._stream(reply, exchange)
                return
            reply = await self._compressed(reply, exchange)
        except CancelledError:
            why = exchange.stopped or Stopping("the daemon is stopping")
            reply = replies.of_error(why, exchange.t_id)
        if not exchange.gone:
            self._send(reply, exchange)

    async def _stream(self, stream: EventStream, exchange: Exchange) -> None:
        if exchange.gone:
            stream.abandon()
            return
        exchange.can_be_cut = exchange.streams = True
        self._is_no_work(exchange)
        self._subscriptions.enter(exchange.principal)
        try:
            await self._streams.serve(stream, exchange.request)
        finally:
            self._subscriptions.leave(exchange.principal)

    async def _reply(
        self, exchange: Exchange, command: Command, variables: Mapping[str, str], since: Parameter | None
    ) -> Reply | EventStream:
        try:
            principal = exchange.principal
            parameters = exchange.parameters(variables, since)
            result = await command.start(principal, self._make_context(principal), parameters)
            if isinstance(result, WithCookies):
                replies.set_cookies(exchange.request, result.cookies)
                result = result.answer
            if isinstance(result, Subscribed):
                return self._streamed(result, exchange)
            reply = replies.of_result(result, command, variables, exchange.t_id)
        except CommandError as error:
            return replies.of_error(error, exchange.t_id)
        except Exception as error:
            if isinstance(error, CancelledError) and (exchange.gone or exchange.stopped):
                raise
            return self._mistake(exchange)
        if reply.opaque_tag is not None and exchange.request.method in SAFE_METHODS:
            known = exchange.header(b"If-None-Match")
            if known is not None and matches_tag(known, reply.opaque_tag):
                return reply.not_modified()
        return reply

    def _streamed(self, result: Subscribed, exchange: Exchange) -> Reply | EventStream:
        if self._draining:
            result.feed.stop()
            raise Stopping("the daemon is stopping")
        try:
            self._subscriptions.check(exchange.principal)
        except TooMany:
            result.feed.stop()
            raise
        return self._streams.of(result.feed, exchange.t_id, exchange.request)

    def _mistake(self, exchange: Exchange) -> Reply:
        # the query is left out of the log: it may hold secrets
        self._log.failure(
            "a command failed unexpectedly: {method!r} {path!r}",
            method=exchange.request.method,
            path=exchange.path,
        )
        return replies.of_error(CommandError("the daemon made a mistake; its log says more"), exchange.t_id)

    async def _compressed(self, reply: Reply, exchange: Exchange) -> Reply:
        if len(reply.body) < SMALLEST:
            return reply
        accepted = exchange.header(b"Accept-Encoding")
        if accepted is None or not accepts_gzip(accepted):
            return reply
        return reply.gzipped(await self._compressor.compress(reply.body))

    def _send(self, reply: Reply, exchange: Exchange) -> None:
        if self._draining:
            reply = reply.closing()
        reply.write_to(exchange.request)
        exchange.request.finish()
