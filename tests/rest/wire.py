"""A made-up registry, and a client that speaks bytes to the real site over an in-memory transport."""

import json
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPResponse
from io import BytesIO
from typing import Annotated, Any

import msgspec
from msgspec import Struct
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from resttorrent.access.principals import OWNER
from resttorrent.commands.answers import Answer, Tagged
from resttorrent.commands.parameters import File, Flag, Text, Words, integer
from resttorrent.commands.registry import Registry, command
from resttorrent.rest.site import BODY_LIMIT, DoorSite, build_site

CLIENT = IPv4Address("TCP", "127.0.0.1", 40000)
SERVER = IPv4Address("TCP", "127.0.0.1", 8080)


Size = Annotated[int, integer(0, 10**9)]


class Context:
    """What the made-up commands act on."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.held: list[Deferred[None]] = []
        self.cancelled = 0
        self.error: Exception | None = None
        self.rows = 3
        self.rev = 7

    def hold(self) -> "Deferred[None]":
        def count(_: object) -> None:
            self.cancelled += 1

        self.held.append(Deferred(count))
        return self.held[-1]


class Thing(Struct):
    id: str
    note: str = ""
    size: int = 0
    words: tuple[str, ...] = ()


class OneThing(Answer):
    thing: Thing


class Things(Answer):
    rev: int
    things: msgspec.Raw


@command("GET", "/v1/things", scope="read")
async def list_things(ctx: Context) -> Tagged[Things]:
    """All things."""
    rows = b",".join(b'{"id":"%08d"}' % n for n in range(ctx.rows))
    return Tagged(Things(rev=ctx.rev, things=msgspec.Raw(b"[" + rows + b"]")), f"{ctx.rev}-all")


@command("POST", "/v1/things", scope="control", status=201, location="/v1/things/{answer.thing.id}")
async def create_thing(ctx: Context, note: Text = "", size: Size = 0, words: Words = ()) -> OneThing:
    """Make a thing."""
    ctx.called.append("create_thing")
    return OneThing(thing=Thing("new", note, size, words))


@command("GET", "/v1/things/{thing_id}", scope="read")
async def get_thing(ctx: Context, thing_id: Text, note: Text = "") -> OneThing:
    """One thing."""
    if ctx.error is not None:
        raise ctx.error
    return OneThing(thing=Thing(thing_id, note))


@command(
    "POST",
    "/v1/things/{thing_id}/file",
    scope="control",
    status=201,
    location="/v1/things/{thing_id}/file/{answer.thing.size}",
)
async def add_file(ctx: Context, thing_id: Text, file: File, checked: Flag = False) -> OneThing:
    """Give a thing a file."""
    ctx.called.append("add_file")
    return OneThing(thing=Thing(thing_id, note=f"{checked} {file[:20]!r}", size=len(file)))


@command("GET", "/v1/wait", scope="read")
async def wait(ctx: Context) -> Answer:
    """Wait for the test."""
    await ctx.hold()
    return Answer()


@command("POST", "/v1/work", scope="control")
async def work(ctx: Context) -> Answer:
    """Change something, in the test's time."""
    await ctx.hold()
    return Answer()


REGISTRY = Registry([list_things, create_thing, get_thing, add_file, wait, work])


class Pool:
    """A thread pool whose threads work when told to."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def callInThreadWithCallback(
        self, done: Callable[[bool, object], None], function: Callable[..., object], *args: Any, **kw: Any
    ) -> None:
        self.jobs.append(lambda: done(True, function(*args, **kw)))

    def run(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()


class Reactor(MemoryReactorClock):
    """Time and threads in the hands of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()

    def getThreadPool(self) -> Pool:
        return self.pool

    def callFromThread(self, function: Callable[..., object], *args: object, **kw: object) -> None:
        function(*args, **kw)


class Received(BytesIO):
    """What came over the wire, dressed as a socket for http.client, which closes it when an answer ends."""

    def makefile(self, mode: str) -> BytesIO:
        return self

    def close(self) -> None:
        """Keep what follows the answer readable."""


class Response:
    """One answer, taken apart; ``rest`` is what followed it."""

    def __init__(self, raw: bytes, method: str) -> None:
        stream = Received(raw)
        parsed = HTTPResponse(stream, method=method)  # type: ignore[arg-type]
        parsed.begin()
        self.status = parsed.status
        self.headers = {name.lower(): value for name, value in parsed.getheaders()}
        self.names = [name.lower() for name, _ in parsed.getheaders()]
        self.body = parsed.read()
        self.rest = stream.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Transport(StringTransport):
    """
    Asks for a pause as sockets do, while it has more than ``most`` bytes to send.

    :ivar unsent: bytes written since the client read the last time; :ivar peak: the most there ever were.
    """

    producer: Any = None
    most: float = float("inf")
    unsent = 0
    peak = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self._written(len(data))

    def writeSequence(self, data: Sequence[bytes]) -> None:
        super().writeSequence(data)
        self._written(sum(map(len, data)))

    def _written(self, size: int) -> None:
        self.unsent += size
        self.peak = max(self.peak, self.unsent)
        if self.unsent > self.most:
            self.producer.pauseProducing()

    def drain(self) -> None:
        """Let the client read all that waits."""
        was_full = self.unsent > self.most
        self.unsent = 0
        if was_full:
            self.producer.resumeProducing()


class Wire:
    """One connection to ``site``."""

    def __init__(self, site: DoorSite) -> None:
        self.transport = Transport(hostAddress=SERVER, peerAddress=CLIENT)
        protocol = site.buildProtocol(CLIENT)
        assert protocol is not None
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)

    def send(self, raw: bytes) -> None:
        self.protocol.dataReceived(raw)

    def received(self) -> bytes:
        raw = bytes(self.transport.value())
        self.transport.clear()
        return raw

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        """Send one request, with a Content-Length if there is a body, and read its answer."""
        self.send(head(method, target, headers, len(body) if body else None) + body)
        return self.answer(method)

    def answer(self, method: str = "GET") -> Response:
        return Response(self.received(), method)

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionLost()))


def head(
    method: str, target: str, headers: Mapping[str, str] | None = None, length: int | None = None
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1:8080"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join((*lines, "", "")).encode("latin-1")


class World:
    """A site with all that is around it."""

    def __init__(
        self,
        body_limit: int = BODY_LIMIT,
        *,
        registry: Registry = REGISTRY,
        beside: Mapping[bytes, IResource] | None = None,
        context: Any = None,
    ) -> None:
        self.context = context or Context()
        self.reactor = Reactor()
        reactor: Any = self.reactor  # of an IReactorThreads it has what the door uses
        self.site = build_site(
            registry,
            lambda principal: self.context,
            judge=lambda facts: OWNER,
            reactor=reactor,
            body_limit=body_limit,
            beside=beside,
        )
        self.door = self.site.door
        self.wire = Wire(self.site)
        self.ask = self.wire.ask
