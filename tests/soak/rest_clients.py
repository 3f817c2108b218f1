"""REST clients that keep to the rules, though some stall and hang up; they check what they get."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.clients.table import apply
from tests.rest.feeding import EventReader
from tests.soak.ground import FIELDS, Keeper, Visitor, Wrong

PATIENCE = aiohttp.ClientTimeout(total=60)
FOREVER = aiohttp.ClientTimeout(total=None)


@asynccontextmanager
async def connected() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with connections of its own, none of which outlives it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(), timeout=PATIENCE) as http:
        yield http


class Lister(Keeper):
    """Asks for lists, some with a token, and for what has not changed since."""

    who = "REST lister"

    async def visit(self) -> None:
        headers = {}
        if self.rng.random() < 0.5:
            headers["Authorization"] = f"Bearer {self.ground.token()}"
        async with connected() as http:
            for _ in range(self.rng.randint(1, 20)):
                await self._list(http, headers)
                await asyncio.sleep(self.rng.uniform(0.1, 0.8))

    async def _list(self, http: aiohttp.ClientSession, headers: Mapping[str, str]) -> None:
        url = f"{self.ground.url}/v1/sessions/{self.session}/torrents"
        limit = self.rng.choice((5, 1000))
        parameters = {"fields": FIELDS, "sort": "-name", "limit": str(limit)}
        began = time.monotonic()
        async with http.get(url, params=parameters, headers=headers) as response:
            listed = await response.json()
        self.count(response.status, time.monotonic() - began)
        rows = self.check(response.status, listed)["torrents"]
        if len(rows) != min(limit, listed["total"]) or any(
            row.keys() != set(FIELDS.split(",")) for row in rows
        ):
            raise Wrong(f"{len(rows)} of {listed['total']}: {rows[:1]}")
        tag = {**headers, "If-None-Match": response.headers["ETag"]}
        async with http.get(url, params=parameters, headers=tag) as response:
            again = await response.read()
        self.count(response.status)
        if response.status == 304 and again:
            raise Wrong("304 with a body")


class LongPoller(Keeper):
    """Keeps a table by long polls."""

    who = "REST long poller"

    async def visit(self) -> None:
        async with connected() as http:
            polling = asyncio.create_task(self._poll(http))
            self._polling = polling
            try:
                await self.stay(self.rng.uniform(1, 20))
            finally:
                # hang up in the middle of a poll
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)
            if not polling.cancelled():
                polling.result()

    @property
    def is_cut(self) -> bool:
        return self._polling.done()

    async def _poll(self, http: aiohttp.ClientSession) -> None:
        url = f"{self.ground.url}/v1/sessions/{self.session}/torrents"
        while True:
            parameters = {"fields": FIELDS, "since": str(self.rev), "wait": "5"}
            async with http.get(url, params=parameters) as response:
                news = await response.json()
            self.count(response.status)
            self.check(response.status, news)
            self.rows = apply(self.rows, news)
            self.rev = news["rev"]


class StreamWatcher(Keeper):
    """Keeps a table by server-sent events; stalls at times, hangs up, and goes on where it ended."""

    who = "REST stream watcher"

    async def visit(self) -> None:
        self._stall = 0.0
        async with connected() as http:
            watching = asyncio.create_task(self._watch(http))
            self._watching = watching
            try:
                await asyncio.sleep(self.rng.uniform(0, 2))
                if self.rng.random() < 0.3:
                    self._stall = self.rng.uniform(2, 8)
                await self.stay(self.rng.uniform(1, 20))
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            if not watching.cancelled():
                watching.result()

    @property
    def is_cut(self) -> bool:
        return self._watching.done()

    async def _watch(self, http: aiohttp.ClientSession) -> None:
        parameters = {
            "topic": "torrents", "session_id": self.session, "fields": FIELDS, "interval_ms": "500",
        }  # fmt: skip
        headers = {"Last-Event-ID": str(self.rev)} if self.rev else {}
        url = f"{self.ground.url}/v1/events"
        async with http.get(url, params=parameters, headers=headers, timeout=FOREVER) as response:
            self.count(response.status)
            if response.status != 200:
                self.check(response.status, await response.json())
            reader = EventReader()
            async for data in response.content.iter_any():
                for event in reader.feed(data):
                    self._take(json.loads(event.data))
                stall, self._stall = self._stall, 0.0
                await asyncio.sleep(stall)
        raise ConnectionError("the stream ended")

    def _take(self, push: dict[str, Any]) -> None:
        if "code" in push:
            raise Wrong(f"the stream ended with {push}")
        self.rows = apply(self.rows, push)
        self.rev = push["rev"]


GOOD: Mapping[type[Visitor], int] = {Lister: 6, LongPoller: 6, StreamWatcher: 6}
"""How many of each there are."""
