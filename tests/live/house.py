"""A live door with made-up commands, and clients that come to it by WebSocket, all in memory."""

import json
from typing import Annotated, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from resttorrent.access_log import AccessLog
from resttorrent.commands.answers import Answer, Subscribed, Tagged
from resttorrent.commands.context import Subscriptions
from resttorrent.commands.parameters import Kind, Text, integer, parse_file
from resttorrent.commands.registry import Registry, command
from resttorrent.engine.feeds import Part
from resttorrent.engine.pace import Pace
from resttorrent.errors import SessionNotFound
from resttorrent.live.door import LiveDoor
from resttorrent.turns import TurnMeter
from tests.live.access import owners_policy
from tests.rest.feeding import FakeFeed, Feeds
from tests.socketio.stage import FakeChannel, Stage


class World:
    """
    What the commands act on.

    :ivar waiting: by name, what commands wait for; :ivar ended: how they ended.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, Deferred[None]] = {}
        self.ended: dict[str, str] = {}
        self.feeds = Feeds()

    async def wait(self, name: str) -> None:
        """Until the test says so."""
        self.waiting[name] = Deferred()
        try:
            await self.waiting[name]
            self.ended[name] = "done"
        finally:
            self.ended.setdefault(name, "broken off")
            del self.waiting[name]


class Scene:
    """The context of one client's commands."""

    def __init__(self, world: World, subscriptions: Subscriptions) -> None:
        self.world = world
        self.subscriptions = subscriptions


class Said(Answer):
    text: str
    number: int = 0


Number = Annotated[int, integer(0, 99)]
File = Annotated[bytes, Kind("a file", parse_file, {})]


@command("GET", "/v1/say/{text}", scope="read", aliases=("tell",))
async def say(ctx: Scene, text: Text, number: Number = 0) -> Said:
    """Say it."""
    return Said(text=text, number=number)


@command("GET", "/v1/tagged", scope="read")
async def say_tagged(ctx: Scene) -> Tagged[Said]:
    """Say something with an entity tag."""
    return Tagged(Said(text="tagged"), "7-x")


@command("GET", "/v1/waiting", scope="read")
async def look(ctx: Scene, name: Text) -> Said:
    """Look for long."""
    await ctx.world.wait(name)
    return Said(text=name)


@command("POST", "/v1/waiting", scope="control")
async def change(ctx: Scene, name: Text) -> Said:
    """Change something, slowly."""
    await ctx.world.wait(name)
    return Said(text=name)


@command("GET", "/v1/missing", scope="read")
async def miss(ctx: Scene) -> Answer:
    """Fail."""
    raise SessionNotFound("no such session \ud800", field="session_id")


@command("GET", "/v1/broken", scope="read")
async def divide(ctx: Scene) -> Answer:
    """Fail unexpectedly."""
    raise ZeroDivisionError


@command("POST", "/v1/files", scope="control")
async def weigh(ctx: Scene, file: File) -> Said:
    """Weigh a file."""
    return Said(text=file[:4].hex(), number=len(file))


@command("GET", "/v1/numbers", scope="read")
async def watch(ctx: Scene, name: Text = "") -> Subscribed:
    """Watch the numbers."""
    if name:
        await ctx.world.wait(name)
    return ctx.world.feeds.make(None)


@command(None, None, scope="read")
async def unwatch(ctx: Scene, subscription: Text) -> Answer:
    """Watch no more."""
    ctx.subscriptions.end(subscription)
    return Answer()


COMMANDS = Registry([say, say_tagged, look, change, miss, divide, weigh, watch, unwatch])


class Visitor:
    """A client of EIO4, by WebSocket, in namespace ``/``."""

    def __init__(self, stage: Stage) -> None:
        self.channel: FakeChannel = stage.by_channel()
        self.channel.send("40")
        first, joined = self.channel.taken()
        assert isinstance(joined, str) and joined.startswith('40{"sid"'), (first, joined)

    def say(self, message: object, *, ack: int | None = None, name: str = "v1") -> None:
        """An event with one argument."""
        self.channel.send(f"42{'' if ack is None else ack}{json.dumps([name, message])}")

    def call(self, command: str, *, ack: int | None = None, **parameters: object) -> None:
        self.say({"command": command, **parameters}, ack=ack)

    def told(self) -> list[Any]:
        """The events since the last time: the object of ``v1``, and of others ``[name, object]``."""
        return [self._read(frame) for frame in self.channel.taken()]

    @staticmethod
    def _read(frame: str | bytes) -> Any:
        assert isinstance(frame, str)
        if frame.startswith("43"):
            number, _, body = frame[2:].partition("[")
            return ["ack", int(number), *json.loads("[" + body)]
        assert frame.startswith("42"), frame
        name, body = json.loads(frame[2:])
        return body if name == "v1" else [name, body]

    def answer(self, command: str, **parameters: object) -> Any:
        """The answer to a command that has one at once."""
        self.say({"command": command, **parameters})
        (answer,) = self.told()
        return answer

    def leave(self) -> None:
        assert self.channel.connection is not None
        self.channel.connection.lose_channel(self.channel)


class House:
    """The door, and those who come."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.world = World()
        self.busy = 0.0
        meter = TurnMeter(lambda: self.busy)
        pace = Pace(self.clock, meter)
        self.door = LiveDoor(
            COMMANDS,
            lambda _, callers: Scene(self.world, callers),
            pace,
            owners_policy(self.clock),
            AccessLog(self.clock.seconds),
        )
        self.stage = Stage(self.door, clock=self.clock)

    @property
    def feeds(self) -> Feeds:
        return self.world.feeds

    @property
    def feed(self) -> FakeFeed:
        """The last one."""
        return self.world.feeds.feed

    def visitor(self) -> Visitor:
        return Visitor(self.stage)


def closing(code: str = "session_not_found") -> Part:
    """A feed's last part."""
    return Part(b'"closed":true,"code":"%b"' % code.encode(), 0, closes=True)
