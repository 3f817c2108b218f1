"""REST clients that lie: who they are, what they send, that they will read. None may get what it asks for."""

import asyncio
import secrets
from collections.abc import Mapping

from tests.fuzz.mutate import mutated
from tests.rest.wire import head
from tests.soak.ground import Visitor, Wrong
from tests.soak.raw import Raw, opened
from tests.socketio.wire import request_head

MALFORMED = (
    b"GET /v1/sessions\r\n\r\n",
    b"GET  /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /v1/sessions HTTP/1.1\r\n\r\n",
    b"GET /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nX : y\r\n\r\n",
    b"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: +3\r\n\r\nabc",
    b"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 5\r\n\r\n[[[[[",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
)
HARMLESS = (
    request_head("GET", "/v1/sessions?t_id=1", {}),
    request_head("GET", "/v1/events?topic=stats", {}),
    request_head("GET", "/socket.io/?EIO=4&transport=polling", {}),
    request_head("HEAD", "/health", {}),
)
"""What is mutated: nothing that could change anything."""


class Liar(Visitor):
    async def visit(self) -> None:
        try:
            async with opened(self.ground.port) as raw:
                await self.lie(raw)
        except ConnectionRefusedError:
            self.count("down")
        except (ConnectionError, asyncio.IncompleteReadError):
            # that it is thrown out is as it should be
            self.count("thrown out")

    async def lie(self, raw: Raw) -> None:
        raise NotImplementedError

    async def expect(self, raw: Raw, *statuses: int | None) -> None:
        """
        See how it is answered; while the daemon stops, 503 is as good.

        :raises Wrong: if otherwise.
        """
        status = await raw.status()
        self.count("no answer" if status is None else status)
        if status not in statuses and status not in (None, 503):
            raise Wrong(f"answered with {status}, not {statuses}")


class CutUploader(Liar):
    """Hangs up in the middle of an upload."""

    who = "REST liar: cut upload"

    async def lie(self, raw: Raw) -> None:
        size = self.rng.randrange(1000, 3_000_000)
        kind = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(size)}
        target = f"/v1/sessions/{self.rng.choice(self.ground.sessions)}/torrents"
        await raw.send(request_head("POST", target, kind))
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        await raw.send(part + bytes(self.rng.randrange(size // 2)))
        await asyncio.sleep(self.rng.uniform(0, 3))
        self.count("cut")


class Slowloris(Liar):
    """Drips a head or a body until it is thrown out, or loses patience."""

    who = "REST liar: slowloris"

    async def lie(self, raw: Raw) -> None:
        whole = request_head("GET", "/v1/sessions", {})[:-2]
        if self.rng.random() < 0.5:
            body = {"Content-Type": "application/json", "Content-Length": "1000"}
            whole = request_head("POST", "/v1/sessions", body)
        await raw.send(whole)
        for _ in range(self.rng.choice((3, 40))):
            await raw.send(b"x")
            if await raw.until_gone(0.5):
                self.count("thrown out")
                return
        self.count("gave up")


class Malformer(Liar):
    """Sends what is no request, or nearly one."""

    who = "REST liar: malformed"

    async def lie(self, raw: Raw) -> None:
        if self.rng.random() < 0.5:
            await raw.send(self.rng.choice(MALFORMED))
            await self.expect(raw, 400, 505)
            return
        await raw.send(mutated(self.rng, self.rng.choice(HARMLESS), HARMLESS))
        try:
            async with asyncio.timeout(self.rng.uniform(0.1, 2)):
                status = await raw.status()
        except TimeoutError:
            status = None
        self.count("no answer" if status is None else status)
        if status is not None and status >= 500 and status not in (501, 503, 505):
            raise Wrong(f"answered with {status}")


class Guesser(Liar):
    """Has a wrong token."""

    who = "REST liar: wrong token"

    async def lie(self, raw: Raw) -> None:
        for _ in range(3):
            wrong = {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}
            await raw.send(request_head("GET", "/v1/sessions", wrong))
            await self.expect(raw, 401, 429)
            await asyncio.sleep(self.rng.uniform(0.2, 2))


class Foreigner(Liar):
    """A page of another site, or one whose name was bound anew."""

    who = "REST liar: foreign host or origin"

    async def lie(self, raw: Raw) -> None:
        if self.rng.random() < 0.5:
            await raw.send(b"GET /v1/sessions HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            await self.expect(raw, 421)
            return
        origin = {"Origin": self.rng.choice(("http://evil.example", "null")), "Content-Length": "0"}
        await raw.send(request_head("POST", "/v1/sessions", origin))
        await self.expect(raw, 403)


class Glutton(Liar):
    """Asks for lists and events, again and again, and reads nothing."""

    who = "REST liar: never reads"

    async def lie(self, raw: Raw) -> None:
        raw.stop_reading()
        session = self.rng.choice(self.ground.sessions)
        targets = [f"/v1/sessions/{session}/torrents"] * self.rng.randrange(20, 200)
        targets.append("/v1/events?topic=torrents&interval_ms=100")
        try:
            async with asyncio.timeout(self.rng.choice((5, 5, 75))):
                for target in targets:
                    await raw.send(head("GET", target, {}))
                await asyncio.Event().wait()
        except TimeoutError:
            self.count("left")


BAD: Mapping[type[Visitor], int] = {
    CutUploader: 4,
    Slowloris: 4,
    Malformer: 4,
    Guesser: 4,
    Foreigner: 4,
    Glutton: 4,
}
"""How many of each there are."""
