"""Socket.IO clients that lie: that they read, that they stay, that they speak the protocol."""

import asyncio
import json
from collections.abc import Mapping

from tests.fuzz.mutate import mutated
from tests.soak.ground import Visitor, Wrong
from tests.soak.raw import Raw, command
from tests.soak.rest_liars import Liar
from tests.socketio.wire import BINARY, TEXT, masked_frame

BROKEN = (
    masked_frame(TEXT, b"42[]"),
    masked_frame(TEXT, b"42{}"),
    masked_frame(TEXT, b"9"),
    masked_frame(TEXT, b'451-["v1",{"_placeholder":true,"num":7}]'),
    masked_frame(TEXT, b'4511-["v1",{}]'),
    masked_frame(TEXT, b"42" + b"[" * 5000),
    masked_frame(TEXT, b"\xff\xfe"),
    masked_frame(BINARY, b"unasked"),
    masked_frame(TEXT, b"42", final=False) + masked_frame(TEXT, b"42"),
    b"\x81\x05hello",
    b"\xff\xff\xff\xff",
)
HARMLESS = (
    masked_frame(TEXT, command("get_session_list").encode()),
    masked_frame(TEXT, command("subscribe", topic="log").encode()),
    masked_frame(TEXT, b"3"),
)


class LiveLiar(Liar):
    """Has a connection."""

    async def join(self, raw: Raw) -> None:
        """
        Open a WebSocket, and join the namespace.

        :raises ConnectionError: if it is not let in, as while the daemon ends; :raises Wrong: if by no rule.
        """
        status = await raw.upgrade()
        self.count(status)
        if status in (0, 503):
            raise ConnectionError(status)
        if status != 101:
            raise Wrong(f"not let in: {status}")
        await raw.say("40")

    async def poll(self, raw: Raw) -> str:
        """
        Open a session by polling; where to go on.

        :raises ConnectionError: if it is not let in.
        """
        path = "/socket.io/?EIO=4&transport=polling"
        status, opened = await raw.body_of("GET", path)
        self.count(status)
        if status != 200:
            raise ConnectionError(status)
        return f"{path}&sid={json.loads(opened[1:])['sid']}"


class Deaf(LiveLiar):
    """Subscribes to everything, and stops reading."""

    who = "Socket.IO liar: stops reading"

    async def lie(self, raw: Raw) -> None:
        await self.join(raw)
        for topic in ("torrents", "stats", "log", "sessions"):
            parameters = {} if topic == "log" else {"interval_ms": 100}
            await raw.say(command("subscribe", topic=topic, **parameters))
        await asyncio.sleep(self.rng.uniform(0, 1))
        raw.stop_reading()
        try:
            async with asyncio.timeout(self.rng.choice((5, 10, 75))):
                while True:
                    await raw.say(command("get_torrent_list", session_id=self.ground.sessions[0]))
                    await asyncio.sleep(0.2)
        except TimeoutError:
            self.count("left")


class Cutter(LiveLiar):
    """Is gone, without a word, in the middle of whatever it does."""

    who = "Socket.IO liar: cut"

    async def lie(self, raw: Raw) -> None:
        if self.rng.random() < 0.5:
            await self.join(raw)
            await raw.say(command("subscribe", topic="torrents", interval_ms=100))
        else:
            path = await self.poll(raw)
            await raw.body_of("POST", path, b"40")
            await raw.body_of("POST", path, command("subscribe", topic="log").encode())
        await asyncio.sleep(self.rng.uniform(0, 3))
        self.count("cut")


class Breaker(LiveLiar):
    """Sends frames that are broken, or nearly right."""

    who = "Socket.IO liar: broken frames"

    async def lie(self, raw: Raw) -> None:
        await self.join(raw)
        await asyncio.sleep(self.rng.uniform(0, 0.5))
        if self.rng.random() < 0.5:
            await raw.send(self.rng.choice(BROKEN))
            # some want more, and would wait as long as pongs do
            self.count("thrown out" if await raw.until_gone(5) else "gave up")
            return
        for _ in range(5):
            await raw.send(mutated(self.rng, self.rng.choice(HARMLESS), HARMLESS))
        self.count("thrown out" if await raw.until_gone(self.rng.uniform(0, 3)) else "gave up")


class Mute(LiveLiar):
    """Opens a session and never joins, or never polls, or answers no ping."""

    who = "Socket.IO liar: mute"

    async def lie(self, raw: Raw) -> None:
        if self.rng.random() < 0.5:
            await self.poll(raw)
        else:
            status = await raw.upgrade()
            self.count(status)
        self.count("thrown out" if await raw.until_gone(self.rng.choice((1, 5, 60))) else "gave up")


BAD: Mapping[type[Visitor], int] = {Deaf: 5, Cutter: 5, Breaker: 5, Mute: 5}
"""How many of each there are."""
