"""
One case after the other, each looked at: the daemon lives, says only what it may, does only what it may.

Half of the cases come from a client with a token, half from one without; one in three is a Socket.IO message.
"""

import json
import random
from collections import Counter
from typing import Any

from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from tests.access.doors import Door
from tests.fuzz.mutate import mutated, pieces
from tests.fuzz.seeds import CONNECT, MESSAGES, REQUESTS, STRANGERS
from tests.fuzz.world import TOKEN, World

_HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"
_POLL = b"/socket.io/?EIO=4&transport=polling"
FRESH = 500
"""Cases after which all begins anew."""
LONG = 100.0
"""Seconds after which no session without a client is left."""
NO_BODY = (100, 101, 204, 304)


class Wrong(Exception):
    """The daemon did what it must not; says with which bytes."""


class Fuzz:
    """:ivar seen: how many answers had which status."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._logged: list[str] = []
        self.seen: Counter[int] = Counter()

    def run(self, count: int) -> None:
        """
        Try ``count`` cases.

        :raises Wrong: at the first that goes wrong.
        """
        observer: Any = self._observe
        globalLogPublisher.addObserver(observer)
        try:
            world = World()
            for number in range(count):
                if number % FRESH == 0:
                    world = World()
                if number % 3 == 2:
                    self._message(world)
                else:
                    self._request(world)
        finally:
            globalLogPublisher.removeObserver(observer)

    def _observe(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None or event.get("log_level", LogLevel.info) >= LogLevel.error:
            self._logged.append(str(event.get("log_failure") or event))

    # -- HTTP ------------------------------------------------------------

    def _request(self, world: World) -> None:
        known = self._chance.random() < 0.5
        seeds = REQUESTS if known else STRANGERS
        raw = mutated(self._chance, self._chance.choice(seeds), seeds)
        wire, before = world.connect(), len(world.called)
        try:
            for piece in pieces(self._chance, raw):
                wire.send(piece)
            world.reactor.pool.run()
            answers = self._answers(wire.received())
        except Exception as error:
            raise Wrong(f"{error!r} after {raw!r}") from error
        finally:
            wire.lose()
        self._judge(world, raw, answers, world.called[before:], known=known)
        self._still_serves(world, raw)

    def _judge(
        self, world: World, raw: bytes, answers: list[tuple[int, bytes]], called: list[str], *, known: bool
    ) -> None:
        successes = sum(status < 400 for status, _ in answers)
        if len(called) > successes:
            raise Wrong(f"{called} was done and refused: {answers} after {raw!r}")
        if not known and set(called) - {"get_about", "get_health", "login", "logout"}:
            raise Wrong(f"{called} was done for a stranger after {raw!r}")
        if self._logged:
            raise Wrong(f"{self._logged} was logged after {raw!r}")

    def _answers(self, raw: bytes) -> list[tuple[int, bytes]]:
        found = []
        while raw:
            head, separator, raw = raw.partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            if not separator or not lines[0].startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
                raise Wrong(f"{head[:200]!r} is no answer")
            status = int(lines[0].split(b" ")[1])
            fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
            size = 0 if status in NO_BODY else int(fields.get(b"content-length", b"-1"))
            # a HEAD's answer has none of its body
            body = raw[: max(size, 0)] if not raw.startswith(b"HTTP/1.1 ") else b""
            raw = raw[len(body) :]
            self.seen[status] += 1
            if status != 100:
                found.append((status, body))
            if status >= 400 and body:
                check_shape(status, body)
        return found

    def _still_serves(self, world: World, raw: bytes) -> None:
        answer = world.connect()
        answer.send(b"GET /v1" + _HEAD + b"\r\n")
        received = answer.received()
        answer.lose()
        if not received.startswith(b"HTTP/1.1 200"):
            raise Wrong(f"nothing is served any more after {raw!r}: {received[:200]!r}")

    # -- Socket.IO -------------------------------------------------------

    def _message(self, world: World) -> None:
        known = self._chance.random() < 0.5
        wire = world.connect()
        wire.send(b"GET " + _POLL + _HEAD + b"\r\n")
        [(_, opened)] = self._answers(wire.received())
        target = _POLL + b"&sid=" + json.loads(opened[1:])["sid"].encode()
        if known:
            self._post(wire, target, CONNECT)
        raw = mutated(self._chance, self._chance.choice(MESSAGES), MESSAGES)
        before = len(world.called)
        try:
            self._post(wire, target, raw)
            world.reactor.advance(0)
            # one that has ended may still have something to say, for a while
            self._post(wire, target, b"1")
            world.reactor.advance(LONG)
        except Exception as error:
            raise Wrong(f"{error!r} after {raw!r}") from error
        finally:
            wire.lose()
        self._judge_message(world, raw, world.called[before:], known=known)
        if len(world.sockets):
            raise Wrong(f"{len(world.sockets)} sessions are left after {raw!r}")
        self._still_serves(world, raw)

    def _post(self, wire: Door, target: bytes, body: bytes) -> list[tuple[int, bytes]]:
        wire.send(b"POST " + target + _HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return self._answers(wire.received())

    def _judge_message(self, world: World, raw: bytes, called: list[str], *, known: bool) -> None:
        if called and not known and TOKEN.encode() not in raw:
            raise Wrong(f"{called} was done for a stranger after {raw!r}")
        if self._logged:
            raise Wrong(f"{self._logged} was logged after {raw!r}")


def check_shape(status: int, body: bytes) -> None:
    """
    See that an error has the one shape, or Engine.IO's own.

    :raises Wrong: if not.
    """
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise Wrong(f"{body[:200]!r} is not JSON") from error
    if answer.keys() == {"code", "message"} and isinstance(answer["code"], int):
        return
    if answer.get("status") != "fail" or not isinstance(answer.get("code"), str) or not answer.get("message"):
        raise Wrong(f"{answer} is not in the shape of errors")
    if status >= 500 and answer["code"] == "internal_error":
        raise Wrong(f"{answer}: a mistake")
