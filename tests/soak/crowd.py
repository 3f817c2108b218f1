"""All the clients with an event loop, in a thread of their own."""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from math import ceil
from typing import Any

import aiohttp

from tests.soak import live_clients, live_liars, rest_clients, rest_liars
from tests.soak.ground import FIELDS, Ground, Visitor, Wrong
from tests.soak.rest_clients import connected

KINDS: tuple[Mapping[type[Visitor], int], ...] = (
    rest_clients.GOOD,
    rest_liars.BAD,
    live_clients.GOOD,
    live_liars.BAD,
)
LONGEST_VISIT = 150.0
ALIKE_WITHIN = 30.0
"""Seconds within which a table is as a fresh list, when nothing changes any more."""


class Crowd:
    """
    The visitors.

    :param share: so large a part of each kind, rounded up; :param deaf: with those who do not read.
    """

    def __init__(self, ground: Ground, rng: random.Random, share: float = 1.0, *, deaf: bool = True) -> None:
        self._ground = ground
        self._rng = rng
        self.visitors = [
            kind(ground, random.Random(rng.random()))
            for kinds in KINDS
            for kind, count in kinds.items()
            if deaf or kind not in (live_liars.Deaf, live_liars.Mute, rest_liars.Glutton)
            for _ in range(ceil(count * share))
        ]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self.visitors)

    def start(self) -> None:
        # what python-socketio and aiohttp say of connections that were cut on purpose
        for name in ("socketio.client", "engineio.client", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._thread.start()
        self._run(self._begin()).result()

    def end(self) -> None:
        """All leave."""
        self._run(self._finish()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def compare(self) -> int:
        """
        Compare each table with a fresh list, while nobody changes anything; complain of those that differ.

        :return: how many tables were compared.
        """
        compared: int = self._run(self._compare()).result()
        return compared

    def _run(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _begin(self) -> None:
        self._tasks = [asyncio.create_task(self._live(visitor)) for visitor in self.visitors]

    async def _finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _live(self, visitor: Visitor) -> None:
        rng = visitor.rng
        await asyncio.sleep(rng.uniform(0, 2))
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(LONGEST_VISIT):
                    await visitor.visit()
            except Exception as error:
                visitor.count("broken off")
                self._ground.failed(visitor.who, error, began)
            await asyncio.sleep(rng.uniform(0.05, 2))

    async def _compare(self) -> int:
        ground = self._ground
        ground.holding = True
        differing: list[str] = []
        keepers = list(ground.keepers)
        try:
            deadline = time.monotonic() + ALIKE_WITHIN
            while time.monotonic() < deadline:
                await asyncio.sleep(0.5)
                try:
                    lists = await self._lists()
                except aiohttp.ClientError as error:
                    raise Wrong(f"lists can't be had: {error!r}") from error
                keepers = [keeper for keeper in keepers if keeper in ground.keepers]
                differing = [
                    f"{keeper.who}: its table differs from the list in {_differences(keeper.rows, listed)}"
                    for keeper in keepers
                    if (listed := lists[keeper.session]) != keeper.rows
                ]
                if not differing:
                    break
        finally:
            ground.holding = False
        for fault in differing:
            ground.complain(fault)
        return len(keepers)

    async def _lists(self) -> dict[str, Any]:
        lists = {}
        async with connected() as http:
            for session in self._ground.sessions:
                url = f"{self._ground.url}/v1/sessions/{session}/torrents?fields={FIELDS}"
                async with http.get(url) as response:
                    rows = (await response.json())["torrents"]
                lists[session] = {row["infohash"]: row for row in rows}
        return lists


def _differences(rows: Mapping[str, Any], listed: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    keys = sorted(key for key in {*rows, *listed} if rows.get(key) != listed.get(key))
    return [(rows.get(key), listed.get(key)) for key in keys[:3]]
