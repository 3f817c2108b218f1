"""Connections at the level of bytes, for clients that lie."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.socketio.wire import TEXT, masked_frame, request_head

SMALL_BUFFER = 16 * 1024


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def status(self) -> int | None:
        """
        The status of the next answer, whose body is read; ``None`` if there is none.

        :raises TimeoutError: if nothing comes.
        """
        async with asyncio.timeout(30):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").lower().split("\r\n")
                length = [int(line[15:]) for line in lines if line.startswith("content-length:")]
                if length:
                    await self._reader.readexactly(length[0])
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
        return int(lines[0].split(" ")[1])

    async def body_of(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask, and get status and body."""
        headers = {"Content-Length": str(len(body))} if body else {}
        await self.send(request_head(method, target, headers) + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        return int(head.split(" ")[1]), await self._reader.readexactly(length)

    async def upgrade(self) -> int:
        """Ask for a Socket.IO session by WebSocket; the status."""
        opening = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "AAECAwQFBgcICQoLDA0ODw==",
            "Sec-WebSocket-Version": "13",
        }
        await self.send(request_head("GET", "/socket.io/?EIO=4&transport=websocket", opening))
        return await self.status() or 0

    async def say(self, packet: str) -> None:
        """A packet in a WebSocket's frame."""
        await self.send(masked_frame(TEXT, packet.encode()))

    def stop_reading(self) -> None:
        """Leave what comes to the kernel, and to the daemon."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def until_gone(self, seconds: float) -> bool:
        """Whether the daemon hangs up within that time."""
        try:
            async with asyncio.timeout(seconds):
                while await self._reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def abort(self) -> None:
        """Hang up at once, whatever is under way."""
        self._writer.transport.abort()


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[Raw]:
    """A connection that ends abruptly."""
    raw = Raw(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
    try:
        yield raw
    finally:
        raw.abort()


def command(name: str, **parameters: object) -> str:
    """A packet with a command."""
    return "42" + json.dumps(["v1", {"t_id": 1, "command": name, **parameters}])
