"""
One case after the other, each looked at: the daemon lives, says only what it may, does only what it may.

A case is a request, a body for polling, or some frames for a WebSocket, from a stranger or from a client with
a token of one scope; the seed says which. All of it comes to one world, which is made anew now and then.
"""

import json
import random
from collections import Counter
from typing import Any

import txaio.tx
from twisted.internet.error import ConnectionDone
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from resttorrent.socketio.eio_packet import EioVersion
from tests.access.doors import Door
from tests.fuzz.callers import CALLERS, Caller
from tests.fuzz.frames import spoilt
from tests.fuzz.mutate import mutated, pieces
from tests.fuzz.oracle import Answer, Told, Wrong, answers_in
from tests.fuzz.seeds import DEFLATE, HEAD, UPGRADE, Place, Seeds
from tests.fuzz.world import World
from tests.socketio.wire import TEXT, masked_frame

FRESH = 500
"""Cases after which all begins anew."""
LONG = 100.0
"""Seconds after which no session without a client is left."""
ODD = 0.3
"""How many cases are well-formed, and only their parameters are not."""
SERVES = 20
"""Cases after which it is seen whether others are served."""


class Fuzz:
    """:ivar seen: how many cases there were of each outcome: door, caller, what was answered."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._logged: list[str] = []
        self._seeds = {caller.scope: Seeds(caller, Place()) for caller in CALLERS}
        self.seen: Counter[tuple[str, str, str]] = Counter()

    def run(self, count: int) -> None:
        """
        Try ``count`` cases.

        :raises Wrong: at the first that goes wrong.
        """
        observer: Any = self._observe
        loop = txaio.tx.config.loop
        globalLogPublisher.addObserver(observer)
        try:
            world = World()
            for number in range(count):
                if number % FRESH == 0 or not world.is_whole:
                    world = World()
                self._case(world, number)
        finally:
            globalLogPublisher.removeObserver(observer)
            txaio.tx.config.loop = loop

    def _observe(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None or event.get("log_level", LogLevel.info) >= LogLevel.error:
            self._logged.append(str(event.get("log_failure") or event))

    def _case(self, world: World, number: int) -> None:
        caller = self._chance.choice(CALLERS)
        sent: list[bytes] = []
        try:
            match number % 5:
                case 0 | 1:
                    self._request(world, caller, sent)
                case 2:
                    self._polling(world, caller, sent)
                case _:
                    self._websocket(world, caller, sent)
            if self._logged:
                raise Wrong(f"{self._logged} was logged")
            left = world.left_behind()
            if left:
                raise Wrong(f"{left} was left behind")
            if number % SERVES == 0:
                self._still_serves(world)
        except Exception as error:
            raise Wrong(f"case {number}, {caller.scope or 'a stranger'}: {error!r} after {sent!r}") from error

    def _note(self, door: str, caller: Caller, outcomes: Counter[str]) -> None:
        for outcome, number in outcomes.items():
            self.seen[door, caller.scope or "stranger", outcome] += number

    # -- HTTP ------------------------------------------------------------

    def _request(self, world: World, caller: Caller, sent: list[bytes]) -> None:
        seeds = self._seeds[caller.scope]
        if self._chance.random() < ODD:
            raw = seeds.odd_request(self._chance)
        else:
            raw = mutated(self._chance, self._chance.choice(seeds.requests), seeds.requests)
        sent.append(raw)
        look, wire, told = Look(world, caller), world.connect(), Told()
        try:
            for piece in pieces(self._chance, raw):
                reader(wire).dataReceived(piece)
            world.settle()
            answers, frames = answers_in(wire.received())
            told.framed(frames)
        finally:
            self._leave(world, wire)
        look.judge(sum(answer.is_success for answer in answers) + told.successes)
        self._note("http", caller, Counter(str(answer.status) for answer in answers) or Counter(("none",)))

    def _leave(self, world: World, *wires: Door) -> None:
        for wire in wires:
            reader(wire).connectionLost(Failure(ConnectionDone()))
        world.reactor.advance(LONG)
        world.reactor.advance(LONG)

    def _still_serves(self, world: World) -> None:
        wire = world.connect()
        wire.send(b"GET /v1" + HEAD + b"\r\n")
        received = wire.received()
        self._leave(world, wire)
        if not received.startswith(b"HTTP/1.1 200"):
            raise Wrong(f"nothing is served any more: {received[:200]!r}")

    # -- Socket.IO by polling --------------------------------------------

    def _polling(self, world: World, caller: Caller, sent: list[bytes]) -> None:
        eio: EioVersion = 3 if self._chance.random() < 0.2 else 4
        seeds = self._seeds[caller.scope]
        target = seeds.target("polling", eio)
        if self._chance.random() < ODD:
            raw = seeds.odd_event(self._chance)
        else:
            raw = mutated(self._chance, self._chance.choice(seeds.posts), seeds.posts)
        if eio == 3 and self._chance.random() < 0.8:
            raw = b"%d:%b" % (len(raw), raw)
        sent.append(raw)
        look, wire, told = Look(world, caller), world.connect(), Told()
        try:
            wire.send(b"GET " + target + HEAD + b"\r\n")
            opened = answers_in(wire.received())[0][0]
            body = opened.body.partition(b"{")[1:]
            target += b"&sid=" + json.JSONDecoder().raw_decode(b"".join(body).decode())[0]["sid"].encode()
            if eio == 4 and self._chance.random() < 0.9:
                self._post(wire, target, caller.connect)
                self._poll(wire, target, told, eio)
            posted = self._post(wire, target, raw)
            world.settle()
            self._poll(wire, target, told, eio)
            has_ended = not len(world.sockets)
        finally:
            self._leave(world, wire)
        # what breaks the protocol ends the session, and with it the answers to what came before
        look.judge(told.successes, is_cut=has_ended)
        told.outcomes[f"post {posted.status}"] += 1
        self._note("polling", caller, told.outcomes)

    @staticmethod
    def _post(wire: Door, target: bytes, body: bytes) -> Answer:
        wire.send(b"POST " + target + HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return answers_in(wire.received())[0][0]

    @staticmethod
    def _poll(wire: Door, target: bytes, told: Told, eio: EioVersion) -> None:
        """Take what waits; one that is not answered at once ends with its connection."""
        wire.send(b"GET " + target + HEAD + b"\r\n")
        for answer in answers_in(wire.received())[0]:
            told.polled(answer, eio)

    # -- Socket.IO by WebSocket ------------------------------------------

    def _websocket(self, world: World, caller: Caller, sent: list[bytes]) -> None:
        eio: EioVersion = 3 if self._chance.random() < 0.2 else 4
        seeds = self._seeds[caller.scope]
        offer = DEFLATE if self._chance.random() < 0.3 else b""
        sent += self._frames(caller, seeds, joins=eio == 4)
        look, wire, told = Look(world, caller), world.connect(), Told()
        try:
            wire.send(b"GET " + seeds.target("websocket", eio) + HEAD + UPGRADE + offer + b"\r\n")
            [opened], frames = answers_in(wire.received())
            if opened.status != 101:
                raise Wrong(f"no WebSocket, but {opened}")
            for piece in pieces(self._chance, b"".join(sent)):
                reader(wire).dataReceived(piece)
            world.settle()
            frames += wire.received()
            told.framed(frames)
        finally:
            self._leave(world, wire)
        look.judge(told.successes)
        self._note("websocket", caller, told.outcomes)

    def _frames(self, caller: Caller, seeds: Seeds, *, joins: bool) -> list[bytes]:
        joining = [masked_frame(TEXT, caller.connect)] if joins and self._chance.random() < 0.9 else []
        frames = []
        for _ in range(self._chance.choice((1, 1, 1, 2, 3))):
            if self._chance.random() < ODD:
                packet = seeds.odd_event(self._chance)
            else:
                packet = mutated(self._chance, self._chance.choice(seeds.events), seeds.events)
            if self._chance.random() < 0.6:
                frames.append(masked_frame(TEXT, packet))
            else:
                frames += spoilt(self._chance, packet)
        return joining + frames


class Look:
    """A world before a case; what was done since is judged by what was said."""

    def __init__(self, world: World, caller: Caller) -> None:
        self._world, self._caller = world, caller
        self._state = world.state()
        self._done = len(world.calls)

    def judge(self, successes: int, *, is_cut: bool = False) -> None:
        """
        See that nothing was done but what was answered, and by nobody who may not.

        :param is_cut: answers may be lacking, as HTTP's said.
        :raises Wrong: something was.
        """
        calls = self._world.calls[self._done :]
        beyond = [call.name for call in calls if call.scope not in self._caller.may]
        if beyond:
            raise Wrong(f"{beyond} was done for who may not")
        if len(calls) > successes and not is_cut:
            raise Wrong(f"{calls} was done, {successes} of it with success")
        if all(call.is_safe for call in calls) and self._world.state() != self._state:
            raise Wrong(f"{self._state} became {self._world.state()} by {calls}")


def reader(wire: Door) -> Any:
    """The protocol of a connection: HTTP's, or the WebSocket's that has taken it over."""
    transport: Any = wire.transport
    return transport.protocol
