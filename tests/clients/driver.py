"""
A python-socketio client, driven by JSON lines: orders on stdin, replies and events on stdout.

``python driver.py sync|async``. The language is that of ``driver.js``, which describes it.
"""

import asyncio
import base64
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import socketio  # type: ignore[import-untyped]

TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": None}
RECONNECTION = {"reconnection_delay": 0.05, "reconnection_delay_max": 0.05, "randomization_factor": 0}
Order = dict[str, Any]

_output = threading.Lock()


def say(**line: Any) -> None:
    """Write a line, from whatever thread."""
    with _output:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def revive(value: dict[str, Any]) -> Any:
    """``{"$bytes": base64}`` stands for bytes."""
    return base64.b64decode(value["$bytes"]) if "$bytes" in value else value


def told(name: str, event: str) -> Callable[..., None]:
    """A handler that says what it is called with; the sync client has one thread for each event."""
    return lambda *args: say(socket=name, event=event, args=args)


def acknowledged(order: Order) -> Callable[..., None]:
    return lambda *ack: say(id=order["id"], ack=ack)


def watch(client: Any, order: Order) -> None:
    for event in ("connect", "disconnect", "connect_error", *order["events"]):
        client.on(event, told(order["socket"], event))


class Sync:
    """Does orders with ``socketio.Client``."""

    def __init__(self) -> None:
        self._sockets: dict[str, Any] = {}

    def run(self) -> None:
        for line in sys.stdin:
            order = json.loads(line, object_hook=revive)
            getattr(self, f"do_{order['do']}")(order)

    def do_open(self, order: Order) -> None:
        client = self._sockets[order["socket"]] = socketio.Client(**RECONNECTION)
        watch(client, order)
        client.connect(order["url"], transports=TRANSPORTS[order["transport"]])
        say(id=order["id"])

    def do_emit(self, order: Order) -> None:
        self._sockets[order["socket"]].emit(*order["args"])
        say(id=order["id"])

    def do_call(self, order: Order) -> None:
        self._sockets[order["socket"]].emit(*order["args"], callback=acknowledged(order))

    def do_transport(self, order: Order) -> None:
        say(id=order["id"], transport=self._sockets[order["socket"]].transport())

    def do_close(self, order: Order) -> None:
        self._sockets[order["socket"]].disconnect()
        say(id=order["id"])


class Async:
    """Does orders with ``socketio.AsyncClient``, in the order in which they came."""

    def __init__(self) -> None:
        self._sockets: dict[str, Any] = {}

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line, object_hook=revive)
            await getattr(self, f"do_{order['do']}")(order)

    async def do_open(self, order: Order) -> None:
        client = self._sockets[order["socket"]] = socketio.AsyncClient(**RECONNECTION)
        watch(client, order)
        await client.connect(order["url"], transports=TRANSPORTS[order["transport"]])
        say(id=order["id"])

    async def do_emit(self, order: Order) -> None:
        await self._sockets[order["socket"]].emit(*order["args"])
        say(id=order["id"])

    async def do_call(self, order: Order) -> None:
        await self._sockets[order["socket"]].emit(*order["args"], callback=acknowledged(order))

    async def do_transport(self, order: Order) -> None:
        say(id=order["id"], transport=self._sockets[order["socket"]].transport())

    async def do_close(self, order: Order) -> None:
        await self._sockets[order["socket"]].disconnect()
        say(id=order["id"])


if __name__ == "__main__":
    (Sync() if sys.argv[1] == "sync" else Async()).run()
