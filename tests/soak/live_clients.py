"""Socket.IO clients that keep to the rules (python-socketio's): they come and go, and check what they get."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import aiohttp
import libtorrent as lt
import socketio  # type: ignore[import-untyped]

from tests.clients.table import apply
from tests.harness import PORTS, tiny_torrent
from tests.soak.ground import FIELDS, Ground, Keeper, Visitor, Wrong

PATIENCE = 30


@asynccontextmanager
async def joined(url: str, transport: str, handlers: Mapping[str, Any]) -> AsyncIterator[Any]:
    """A connected client; its connections end with the context, without a word if it did not say goodbye."""
    async with aiohttp.ClientSession() as http:
        live = socketio.AsyncClient(reconnection=False, http_session=http, handle_sigint=False)
        for event, handler in handlers.items():
            live.on(event, handler)
        try:
            await live.connect(url, transports=[transport], wait_timeout=PATIENCE)
            yield live
        finally:
            assert http.connector is not None
            await http.connector.close()
            await live.shutdown()


class Member(Keeper):
    """One with a connection by the transport of its class."""

    transport: ClassVar[str]

    async def ask(self, live: Any, name: str, **parameters: Any) -> Any:
        """The answer to a command, a success."""
        answer = await self.tell(live, name, **parameters)
        return self.check(200 if answer["status"] == "success" else 0, answer)

    async def tell(self, live: Any, name: str, **parameters: Any) -> Any:
        """The answer to a command."""
        began = time.monotonic()
        answer = await live.call("v1", {"t_id": name, "command": name, **parameters}, timeout=PATIENCE)
        self.count(answer.get("code", "success"), time.monotonic() - began)
        if answer["t_id"] != name:
            raise Wrong(f"{name} was answered with {answer['t_id']}")
        return answer


class TableKeeper(Member):
    """Keeps a table by a subscription; leaves with a word or without, comes back with ``since``."""

    async def visit(self) -> None:
        self._gone = asyncio.Event()
        self._subscription = ""
        handlers = {"v1/torrents": self._pushed, "disconnect": lambda *_: self._gone.set()}
        async with joined(self.ground.url, self.transport, handlers) as live:
            since = {"since": self.rev} if self.rev else {}
            subscribe = {
                "command": "subscribe", "topic": "torrents", "session_id": self.session, "fields": FIELDS,
                "interval_ms": 500, **since,
            }  # fmt: skip
            # its callback runs before the pushes that follow the answer
            await live.emit("v1", subscribe, callback=self._opened)
            await self.stay(self.rng.uniform(1, 20))
            if self.is_cut:
                raise ConnectionError("the connection was lost")
            if self.rng.random() < 0.5:
                await live.disconnect()

    @property
    def is_cut(self) -> bool:
        return self._gone.is_set()

    def _opened(self, answer: dict[str, Any]) -> None:
        self.count(answer.get("code", "success"))
        try:
            self.check(200 if answer["status"] == "success" else 0, answer)
        except Wrong as wrong:
            self.ground.complain(f"{self.who}: {wrong}")
        except ConnectionError:
            self._gone.set()
        else:
            self._subscription = answer["subscription"]
            self._take(answer)

    def _pushed(self, push: dict[str, Any]) -> None:
        if push["subscription"] == self._subscription:
            self._take(push)

    def _take(self, push: dict[str, Any]) -> None:
        self.rows = apply(self.rows, push)
        self.rev = push["rev"]


class Commander(Member):
    """Adds torrents to the memory-only session, sees them there, removes them, sees them gone."""

    first: ClassVar[int]

    def __init__(self, ground: Ground, rng: random.Random) -> None:
        super().__init__(ground, rng)
        self._number = self.first + rng.randrange(10**8) * 100

    async def visit(self) -> None:
        if self.ground.is_down:
            # what is to be there after a start is compared before anything is made
            return
        async with joined(self.ground.url, self.transport, {}) as live:
            async with self.ground.founding:
                if self.ground.is_down:
                    return
                session = await self._session(live)
            for _ in range(self.rng.randint(1, 10)):
                self._number += 1
                if await self._add_and_remove(live, session):
                    return
                await asyncio.sleep(self.rng.uniform(0, 0.5))

    async def _session(self, live: Any) -> str:
        for session in (await self.ask(live, "get_session_list"))["sessions"]:
            if session["memory_only"] and session["ports"][0] == PARADE:
                return str(session["id"])
        ports = [PARADE, int(PORTS.split(",")[1])]
        created = await self.ask(live, "create_session", port_range=ports, memory_only=1)
        return str(created["session"]["id"])

    async def _add_and_remove(self, live: Any, session: str) -> bool:
        """Whether the session is gone."""
        torrent = tiny_torrent(self._number)
        key = str(lt.load_torrent_buffer(torrent).info_hashes.v1)
        where = {"session_id": session, "infohash": key}
        added = await self.tell(
            live, "add_torrent", session_id=session, file=torrent, save_path="parade", autostart=0
        )
        if added.get("code") == "session_not_found":
            return True
        self.check(200 if added["status"] == "success" else 0, added)
        shown = await self.ask(live, "get_torrent", **where)
        if shown["torrent"]["infohash"] != key or shown["torrent"]["state"] != "stopped":
            raise Wrong(f"{key} was added, and is {shown}")
        await self.ask(live, "remove_torrent", **where)
        gone = await self.tell(live, "get_torrent", **where)
        if gone.get("code") != "torrent_not_found":
            self.check(0, gone)
        return False


PARADE = 19_000
"""The first port of the memory-only session's range, by which it is known."""


class Onlooker(Member):
    """Subscribes to all topics, and looks at what comes."""

    async def visit(self) -> None:
        handlers = {f"v1/{topic}": self._pushed for topic in ("sessions", "torrents", "stats", "log")}
        async with joined(self.ground.url, self.transport, handlers) as live:
            names = []
            for topic in ("sessions", "torrents", "stats", "log"):
                names.append((await self.ask(live, "subscribe", topic=topic))["subscription"])
            await asyncio.sleep(self.rng.uniform(1, 15))
            for name in names:
                await self.ask(live, "unsubscribe", subscription=name)
            await live.disconnect()

    def _pushed(self, push: dict[str, Any]) -> None:
        self.count("pushed")
        if "subscription" not in push:
            self.ground.complain(f"{self.who}: {push}")


def by_both(kind: type[Member], name: str) -> tuple[type[Member], type[Member]]:
    """A kind of client for each transport."""
    return (
        type(kind.__name__, (kind,), {"transport": "websocket", "who": f"WebSocket {name}", "first": 10**12}),
        type(kind.__name__, (kind,), {"transport": "polling", "who": f"polling {name}", "first": 10**13}),
    )


GOOD: Mapping[type[Visitor], int] = {
    **dict.fromkeys(by_both(TableKeeper, "table keeper"), 8),
    **dict.fromkeys(by_both(Commander, "commander"), 5),
    **dict.fromkeys(by_both(Onlooker, "onlooker"), 2),
}
"""How many of each there are."""
