"""
A model of a client on its way from polling to a WebSocket, against a server without a network.

The world is a server's session and a client that follows the protocol. Each method is one step that can
happen now, in any order that ``steps`` allows; what one side has sent and the other not yet read lies in
between. The client has one GET and one POST at a time; after ``3probe`` it begins no more of them, and says
``5`` when those under way have ended.
"""

from collections.abc import Callable
from typing import Any

from resttorrent.socketio import Handshake, Outgoing, SocketServer, Timing
from resttorrent.socketio.connection import Connection
from resttorrent.socketio.eio_packet import MESSAGE, EioVersion, Packet, encode_base64
from resttorrent.socketio.eio_socket import EngineSocket, NotPolling

from .stage import FakeChannel, FakePoll, Stage, payload_of

Message = str | bytes
TICK = 6.0


class Ear:
    """In place of Socket.IO: notes what comes."""

    deadline: float | None = None
    holds = 0

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.reason: str | None = None

    def receive(self, message: Packet) -> None:
        self.heard.append(message.data if message.binary else message.data.decode())

    def writable(self) -> None:
        """It sends when the test says so."""

    def tick(self, now: float) -> None:
        """Nothing is due."""

    def close(self) -> None:
        """The test closes."""

    def ended(self, reason: str) -> None:
        self.reason = reason


class EarServer(SocketServer):
    def make_session(self, engine: EngineSocket, handshake: Handshake, flush: Callable[[], None]) -> Ear:
        engine.joined = True
        return Ear()


class World:
    """
    One session, and its client.

    :ivar phase: of the client: ``polling``, ``probing`` once it has sent ``2probe``, ``agreed`` when it has
        read ``3probe``, ``upgraded`` when it has said ``5``.
    :ivar budget: how often some steps may still be taken.
    """

    def __init__(self, eio: EioVersion, budget: dict[str, int]) -> None:
        self.eio: EioVersion = eio
        self.budget = dict(budget)
        self.stage = Stage(eio=eio, make=EarServer)
        # in EIO4 the server pings as the clock moves; nobody is given up
        self.stage.server.engines.timing = Timing(interval=5.0, timeout=1000.0)
        self.connection: Connection = self.stage.by_polling()
        self.ear: Any = self.connection.session
        self.phase = "polling"
        self.poll: FakePoll | None = None
        self.post: list[Message] | None = None
        self.channel: FakeChannel | None = None
        self.is_paused = False
        self.outbox: list[Message] = []
        self.sent: list[Message] = []
        self.said: list[Message] = []
        self.got: list[Message] = []
        self.pings = self.pongs = 0

    # -- which steps there are -------------------------------------------

    def steps(self) -> list[str]:
        """The names of the steps that can be taken now."""
        may = {
            "get": self.poll is None and self.phase in ("polling", "probing"),
            "read_answer": self.poll is not None and self.poll.answer is not None,
            "begin_post": self.post is None and bool(self.outbox) and self.phase in ("polling", "probing"),
            "end_post": self.post is not None,
            "open_channel": self.channel is None,
            "say_probe": self.channel is not None and self.phase == "polling",
            "read_frame": self.channel is not None and bool(self.channel.frames),
            "say_upgrade": self.phase == "agreed" and self.poll is None and self.post is None,
            "send_frame": self.phase == "upgraded" and bool(self.outbox),
            "server_sends": True,
            "client_sends": True,
            "client_pings": self.eio == 3,
            "pause": self.channel is not None and not self.is_paused,
            "resume": self.is_paused,
            "tick": True,
            "lose_probe": self.channel is not None and self.phase != "upgraded",
            "intrude": self.channel is not None,
        }
        return [name for name, possible in may.items() if possible and self.budget.get(name, 1)]

    def take(self, name: str) -> None:
        """Take a step, and look whether everything is still as it should be."""
        if name in self.budget:
            self.budget[name] -= 1
        getattr(self, f"_{name}")()
        self.check()

    # -- steps of the client ---------------------------------------------

    def _get(self) -> None:
        self.poll = Stage.poll(self.connection)

    def _read_answer(self) -> None:
        assert self.poll is not None
        packets = self.poll.packets(self.eio)
        self.poll = None
        for packet in packets:
            self._read(packet)

    def _begin_post(self) -> None:
        self.connection.begin_post()
        self.post, self.outbox = self.outbox[:2], self.outbox[2:]

    def _end_post(self) -> None:
        assert self.post is not None
        packets, self.post = self.post, None
        self._note_sent(packets)
        # base64 is understood by all, and asked for by none
        texts = [p if isinstance(p, str) else self._base64(p) for p in packets]
        self.connection.post(self.stage.body(*texts), binary=False)

    def _base64(self, data: bytes) -> str:
        return encode_base64(data, self.eio).decode()

    def _open_channel(self) -> None:
        self.channel = self.stage.probe(self.connection)

    def _say_probe(self) -> None:
        assert self.channel is not None
        self.phase = "probing"
        self.channel.send("2probe")
        self._mind_drop()

    def _read_frame(self) -> None:
        assert self.channel is not None
        message = payload_of(self.channel.frames.pop(0))
        if isinstance(message, bytes) and self.eio == 3:
            assert message[0] == 4
            message = message[1:]
        if message == "3probe":
            assert self.phase == "probing"
            self.phase = "agreed"
        else:
            assert self.phase == "upgraded", "nothing but 3probe comes by a probe"
            self._read(message)

    def _say_upgrade(self) -> None:
        assert self.channel is not None
        self.phase = "upgraded"
        self.channel.send("5")

    def _send_frame(self) -> None:
        assert self.channel is not None
        message = self.outbox.pop(0)
        self._note_sent([message])
        if isinstance(message, bytes) and self.eio == 3:
            message = b"\x04" + message
        self.channel.send(message)

    def _client_sends(self) -> None:
        number = len(self.said)
        message: Message = f"4to the server {number} 𝄞" if number % 3 else b"to the server %d" % number
        self.said.append(message)
        self.outbox.append(message)

    def _client_pings(self) -> None:
        self.pings += 1
        self.outbox.append(f"2{self.pings}")

    def _lose_probe(self) -> None:
        assert self.channel is not None
        self.connection.lose_channel(self.channel)
        self._back_to_polls()

    def _intrude(self) -> None:
        """Requests that have no business here change nothing."""
        stranger = self.stage.probe(self.connection)
        assert stranger.dropped == 1
        stranger.send("2probe", "5", "4not from here")
        self.connection.lose_channel(stranger)
        assert stranger.frames == []
        if self.phase == "upgraded":
            for intrusion in (lambda: Stage.poll(self.connection), self.connection.begin_post):
                try:
                    intrusion()
                except NotPolling:
                    continue
                raise AssertionError("a session by WebSocket does not poll")

    def _back_to_polls(self) -> None:
        self.channel, self.phase, self.is_paused = None, "polling", False

    def _read(self, packet: Message) -> None:
        if packet == "2":
            assert self.eio == 4
            self.outbox.append("3")
        elif isinstance(packet, str) and packet.startswith("3"):
            self.pongs += 1
            assert packet == f"3{self.pongs}", "pongs bring back their pings' data"
        elif packet != "6":
            self.got.append(packet[1:] if isinstance(packet, str) else packet)

    def _note_sent(self, packets: list[Message]) -> None:
        self.on_its_way = packets

    # -- steps of the server and of nature -------------------------------

    def _server_sends(self) -> None:
        number = len(self.sent)
        message: Message = f"to the client {number} 𝄞" if number % 3 else b"to the client %d" % number
        self.sent.append(message)
        binary = isinstance(message, bytes)
        raw = message if isinstance(message, bytes) else message.encode()
        self.connection.engine.send([Outgoing(Packet(MESSAGE, raw, binary=binary))])
        self.connection.flush()

    def _pause(self) -> None:
        assert self.channel is not None
        self.is_paused = True
        self.connection.pause(self.channel)

    def _resume(self) -> None:
        assert self.channel is not None
        self.is_paused = False
        self.connection.resume(self.channel)

    def _tick(self) -> None:
        self.stage.clock.advance(TICK)
        self._mind_drop()

    def _mind_drop(self) -> None:
        """A probe that took too long was closed; what it was sent last is lost with it."""
        if self.channel is not None and self.channel.dropped:
            assert self.phase != "upgraded", self.ear.reason
            self._back_to_polls()

    # -- what must hold --------------------------------------------------

    def check(self) -> None:
        """So far, nothing is lost, doubled or out of order."""
        assert self.ear.reason is None, self.ear.reason
        assert self.got == self.sent[: len(self.got)], (self.got, self.sent)
        said = [m[1:] if isinstance(m, str) else m for m in self.said]
        assert self.ear.heard == said[: len(self.ear.heard)], (self.ear.heard, said)
        assert len(self.stage.clock.getDelayedCalls()) == 1

    def finish(self) -> None:
        """Let all that is under way arrive, then part; ``check`` beside that nothing is missing."""
        self.budget = {"server_sends": 0, "client_sends": 0, "client_pings": 0, "tick": 0, "pause": 0}
        self.budget |= {"lose_probe": 0, "intrude": 0}
        if self.channel is None:
            self.budget["open_channel"] = 0
        for _ in range(100):
            # a GET when there is nothing else: else they could go on for ever
            steps = sorted(self.steps(), key="get".__eq__)
            if not steps or (steps[0] == "get" and self._is_quiet()):
                break
            self.take(steps[0])
        assert self.got == self.sent, (self.got, self.sent)
        assert len(self.ear.heard) == len(self.said), (self.ear.heard, self.said)
        assert self.pongs == self.pings
        self._part()

    def _is_quiet(self) -> bool:
        """Whether a GET would wait."""
        return self.connection.engine.unsent == 0 and self.phase == "polling"

    def _part(self) -> None:
        if self.phase == "upgraded":
            assert self.channel is not None
            self.channel.send("1")
            assert self.channel.dropped == 1
        else:
            self.stage.post(self.connection, "1")
            assert self.poll is None or self.poll.packets(self.eio) == ["6"]
        assert self.ear.reason == "the client closed it"
        assert len(self.stage.server) == 0
        assert self.stage.clock.getDelayedCalls() == []
