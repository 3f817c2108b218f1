"""
``python -m tests.socketio.fuzz --count 100000``: mutated packets, payloads and orders, for a whole server.

A case is one session, from its handshake to its end, without a network. It gets what clients send, some of it
mutated, in any order. Whatever that is, the session is closed cleanly, or it still serves; nothing is logged
as a failure, and no timer and no session stays behind. The same seed makes the same cases.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from resttorrent.socketio import Handshake, Refused
from resttorrent.socketio.connection import Connection
from resttorrent.socketio.eio_packet import EioVersion, MalformedPacket
from resttorrent.socketio.eio_socket import NotPolling, Overlap

from .echo_server import EventEcho
from .stage import CONNECT, INTERVAL, TIMEOUT, FakeChannel, FakePoll, Stage

SEED = 20_140_804
MOST_STEPS = 14
EXPECTED = (Refused, NotPolling, Overlap, MalformedPacket)
"""What a server may raise to its transports."""

EVENTS = (
    b'42["message",1,"2",{"3":["4"]}]',
    '42["message","é€𝄞"]'.encode(),
    b'4212["message-with-ack",true,null]',
    b'42/custom,["message","x"]',
    b'42/custom,7["message-with-ack"]',
    b'451-["message",{"_placeholder":true,"num":0}]',
    b'452-0["message-with-ack",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]',
    b'450-["message"]',
    b'431["ack"]',
    b'461-1[{"_placeholder":true,"num":0}]',
)
OTHERS = (
    b"40",
    b'40{"token":"x"}',
    b"40/custom,",
    b"40/custom",
    b"40/random,",
    b"41",
    b"41/custom,",
    b"44{}",
)
PACKETS = (b"0{}", b"1", b"2", b"2probe", b"3", b"3probe", b"4", b"5", b"6", b"bAQID", b"b4AQID", b"7", b"")
TEXTS = EVENTS * 3 + OTHERS + PACKETS
BINARIES = (b"\1\2\3", b"\4\1\2\3", b"\4", b"", b"\x04" + bytes(300), bytes(300))
BODIES = (
    b"\0\2\xff40",
    b"\0\2\xff42\1\4\xff\4\1\2\3",
    '\0\3\7\xff42["message","é€𝄞 and some more"]'.encode("latin-1", "replace"),
    '20:42["message","é€𝄞"]'.encode(),
    b'40\x1e42["message",1]\x1e3',
)
MUTATIONS: tuple[Callable[[Random, bytearray], None], ...] = (
    lambda r, b: b.insert(r.randrange(len(b) + 1), r.randrange(256)),
    lambda r, b: b.insert(r.randrange(len(b) + 1), r.choice(b'0123456789-,/?[]{}":\x1e\xff\0')),
    lambda r, b: b.__setitem__(r.randrange(len(b)), r.randrange(256)),
    lambda r, b: b.__setitem__(r.randrange(len(b)), r.choice(b'0123456789-,/[]{}":\x1e\xff')),
    lambda r, b: b.__delitem__(r.randrange(len(b))),
    lambda r, b: b.__delitem__(slice(r.randrange(len(b)), None)),
    lambda r, b: b.extend(b[r.randrange(len(b)) :] * r.choice((1, 2, 9))),
    lambda r, b: b.extend(r.choice(TEXTS)),
)


class Broken(Exception):
    """A case that did not end as it must."""


@dataclass
class Report:
    """:ivar outcomes: how many cases ended how, and what came up on the way."""

    count: int
    seconds: float
    outcomes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items()))
        return f"{self.count} cases in {self.seconds:.1f} s, none broken: {counts}"


def mutated(random: Random, raw: bytes) -> bytes:
    """Some bytes with one to three things changed; one time in two they stay as they are."""
    if random.random() < 0.5:
        return raw
    changed = bytearray(raw)
    for _ in range(random.randint(1, 3)):
        if changed:
            random.choice(MUTATIONS)(random, changed)
    return bytes(changed)


class Case:
    """
    One session.

    :param note: is told what came up.
    """

    STEPS: Sequence[str] = (
        *("post", "post", "poll", "poll", "frame", "frame", "frame", "binary", "channel", "upgrade", "pause"),
        *("resume", "resume", "advance", "leave_poll", "lose", "break_post", "close", "shout"),
    )

    def __init__(self, random: Random, stage: Stage, note: Callable[[str], None]) -> None:
        self._random = random
        self._stage = stage
        self._note = note
        self._eio: EioVersion = random.choice((3, 4))
        self._stage.eio = self._eio
        self._channels: list[FakeChannel] = []
        self._polls: list[FakePoll] = []
        self._is_closing = False
        self.trace: list[object] = []

    def run(self) -> None:
        """:raises Broken: if the server is left in a state that it must not be in."""
        query = {"EIO": str(self._eio), "transport": self._random.choice(("polling", "websocket"))}
        if self._random.random() < 0.2:
            query["b64"] = "1"
        if self._random.random() < 0.1:
            self._spoil(query)
        channel = FakeChannel() if query.get("transport") == "websocket" else None
        self.trace.append(query)
        try:
            handshake = Handshake(query, {}, "127.0.0.1")
            self._stage.server.check(handshake, method="GET", websocket=channel is not None)
            connection = self._stage.server.open(handshake, channel)
        except Refused:
            self._note("refused")
            return
        self._adopt(channel, connection)
        self._live(connection)
        self._end(connection)

    def _spoil(self, query: dict[str, str]) -> None:
        name = self._random.choice(("EIO", "transport", "sid", "j"))
        query[name] = mutated(self._random, query.get(name, "x").encode()).decode("latin-1")

    def _adopt(self, channel: FakeChannel | None, connection: Connection) -> None:
        if channel is not None:
            channel.connection = connection
            self._channels.append(channel)

    def _live(self, connection: Connection) -> None:
        if self._random.random() < 0.8:
            # as every client begins
            self._attempt("hello", lambda: self._say(connection, b"40"))
        for _ in range(self._random.randint(1, MOST_STEPS)):
            if connection.engine.closed and self._random.random() < 0.7:
                break
            name = self._random.choice(self.STEPS)
            self._attempt(name, partial(getattr(self, f"_{name}"), connection))

    def _attempt(self, name: str, step: Callable[[], object]) -> None:
        self.trace.append(name)
        try:
            step()
        except EXPECTED as error:
            self._note(type(error).__name__)

    # -- steps -----------------------------------------------------------

    def _text(self) -> bytes:
        raw = mutated(self._random, self._random.choice(TEXTS))
        # Autobahn lets nothing else through, HTTP does
        return raw.decode("utf-8", "ignore").encode()

    def _say(self, connection: Connection, text: bytes) -> None:
        if connection.engine.channel is not None:
            connection.receive(connection.engine.channel, text, binary=False)  # type: ignore[arg-type]
        else:
            self._send_body(connection, self._stage.body(text.decode()), binary=False)

    def _send_body(self, connection: Connection, body: bytes, *, binary: bool) -> None:
        self.trace.append(body)
        connection.begin_post()
        connection.post(body, binary=binary)

    def _post(self, connection: Connection) -> None:
        binary = self._random.random() < 0.3
        if binary or self._random.random() < 0.2:
            body = self._random.choice(BODIES)
        else:
            texts = [self._random.choice(TEXTS) for _ in range(self._random.randint(1, 3))]
            body = self._stage.body(*(text.decode() for text in texts))
        self._send_body(connection, mutated(self._random, body), binary=binary)

    def _poll(self, connection: Connection) -> None:
        self._polls.append(Stage.poll(connection))

    def _frame(self, connection: Connection) -> None:
        if self._channels:
            text = self._text()
            self.trace.append(text)
            connection.receive(self._random.choice(self._channels), text, binary=False)

    def _binary(self, connection: Connection) -> None:
        if self._channels:
            data = mutated(self._random, self._random.choice(BINARIES))
            self.trace.append(data)
            connection.receive(self._random.choice(self._channels), data, binary=True)

    def _channel(self, connection: Connection) -> None:
        self._channels.append(self._stage.probe(connection))

    def _upgrade(self, connection: Connection) -> None:
        self._channel(connection)
        for frame in (b"2probe", b"5"):
            connection.receive(self._channels[-1], mutated(self._random, frame), binary=False)

    def _pause(self, connection: Connection) -> None:
        for channel in self._channels:
            connection.pause(channel)

    def _resume(self, connection: Connection) -> None:
        for channel in self._channels:
            connection.resume(channel)

    def _advance(self, connection: Connection) -> None:
        self._stage.clock.advance(self._random.choice((0.0, 1.0, 9.0, 10.0, TIMEOUT, INTERVAL)))

    def _leave_poll(self, connection: Connection) -> None:
        connection.poll_gone()

    def _lose(self, connection: Connection) -> None:
        if self._channels:
            connection.lose_channel(self._channels.pop(self._random.randrange(len(self._channels))))

    def _break_post(self, connection: Connection) -> None:
        connection.begin_post()
        connection.break_post()

    def _close(self, connection: Connection) -> None:
        if self._random.random() < 0.2:
            connection.close(farewell=self._random.random() < 0.5)
            self._is_closing = True

    def _shout(self, connection: Connection) -> None:
        """The application sends unasked."""
        session: Any = connection.session
        for socket in tuple(session._sockets.values()):
            socket.emit("news", self._random.choice(("x" * 100, b"bytes", "x" * 70_000, "é")))

    # -- the end ---------------------------------------------------------

    def _end(self, connection: Connection) -> None:
        self._note("closed" if connection.engine.closed else self._last_word(connection))
        for channel in self._channels:
            connection.lose_channel(channel)
        for _ in range(3):
            self._stage.clock.advance(max(INTERVAL, CONNECT))
        if not connection.engine.closed or len(self._stage.server) or self._stage.clock.getDelayedCalls():
            raise Broken("the session, or a timer, stayed behind")
        if any(poll.answer is None for poll in self._polls[:-1]):
            raise Broken("a poll was never answered")

    def _last_word(self, connection: Connection) -> str:
        """Whether a session that is open serves still; to be closed now is as good."""
        self._resume(connection)
        if self._is_closing:
            return "closing"
        self._attempt("last word", lambda: self._say(connection, b'42["message","last word"]'))
        if connection.engine.closed:
            return "closed by the last word"
        channel = connection.engine.channel
        if isinstance(channel, FakeChannel):
            told: list[Any] = channel.taken()
        else:
            told = self._told(connection)
        if '42["message-back","last word"]' not in told:
            raise Broken(f"an open session did not answer: {told}")
        return "serving"

    def _told(self, connection: Connection) -> list[object]:
        """What all polls brought, and more of them until there is nothing more."""
        while connection.engine.unsent and not connection.engine.closed:
            self._attempt("last poll", lambda: self._poll(connection))
        return [p for poll in self._polls if poll.answer is not None for p in poll.packets(self._eio)]


def run(count: int, seed: int = SEED) -> Report:
    """
    Run the cases with these numbers: 0 to ``count``.

    :raises Broken: with the case's number, and what was done.
    """
    outcomes: Counter[str] = Counter()
    failures: list[Any] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    globalLogPublisher.addObserver(observe)
    began = time.perf_counter()
    try:
        stage = Stage(EventEcho())
        for number in range(count):
            case = Case(Random(f"{seed}-{number}"), stage, lambda name: outcomes.update((name,)))
            try:
                case.run()
                if failures:
                    raise Broken(f"a failure was logged: {failures[0]['log_failure']}")
            except Exception as error:
                raise Broken(f"case {number}: {error!r} after {case.trace}") from error
    finally:
        globalLogPublisher.removeObserver(observe)
    return Report(count, time.perf_counter() - began, outcomes)


def main() -> None:
    """Say how it went on one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    sys.stdout.write(f"{run(options.count, options.seed)}\n")


if __name__ == "__main__":
    main()
