"""
A server without a network: channels that keep what they are sent, polls that keep their answers, a clock that
only the test moves.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock

from resttorrent.socketio import Application, Handshake, Limits, Socket, SocketServer, Timing
from resttorrent.socketio.connection import Connection
from resttorrent.socketio.eio_packet import EioVersion
from resttorrent.socketio.eio_payload import BINARY, decode
from resttorrent.socketio.eio_socket import EngineSocket, Output

INTERVAL, TIMEOUT, CONNECT = 25.0, 20.0, 45.0
TIMING = Timing(INTERVAL, TIMEOUT, CONNECT)


def payload_of(frame: bytes) -> str | bytes:
    """What a whole server's frame carries (RFC 6455 §5.2); text is ``str``."""
    opcode, length, start = frame[0], frame[1], 2
    assert opcode in (0x81, 0x82), "one final frame of text or binary"
    if length >= 126:
        start = 4 if length == 126 else 10
        length = int.from_bytes(frame[2:start], "big")
    payload = frame[start:]
    assert len(payload) == length, "the length in the header is the payload's"
    return payload.decode() if opcode == 0x81 else payload


class FakeChannel:
    """
    A ``connection.Channel``.

    :ivar frames: as written; :ivar dropped: how often ``drop`` was called; :ivar reading: whether it is read.
    :ivar full_after: says so to its connection when it has been given as many bytes.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.dropped = 0
        self.reading = True
        self.settled = False
        self.full_after: int | None = None
        self.connection: Connection | None = None
        self.written = 0

    def write_frame(self, frame: bytes) -> None:
        assert not self.dropped, "a closed channel takes nothing"
        self.frames.append(frame)
        self.written += len(frame)
        if self.full_after is not None and self.written >= self.full_after:
            assert self.connection is not None
            self.connection.pause(self)

    def drop(self) -> None:
        self.dropped += 1

    def settle(self) -> None:
        self.settled = True

    def stop_reading(self) -> None:
        self.reading = False

    def go_on_reading(self) -> None:
        self.reading = True

    def drain(self) -> None:
        """All is out: it takes more."""
        assert self.connection is not None
        self.written = 0
        self.connection.resume(self)

    def taken(self) -> list[str | bytes]:
        """The messages since the last time."""
        frames, self.frames = self.frames, []
        return [payload_of(frame) for frame in frames]

    def send(self, *messages: str | bytes) -> None:
        """Frames from the client."""
        assert self.connection is not None
        for message in messages:
            binary = isinstance(message, bytes)
            raw = message if isinstance(message, bytes) else message.encode()
            self.connection.receive(self, raw, binary=binary)


class FakePoll:
    """:ivar answer: content type and body, once it was answered."""

    def __init__(self) -> None:
        self.answer: tuple[bytes, bytes] | None = None

    def respond(self, content_type: bytes, body: bytes) -> None:
        assert self.answer is None, "answered once"
        self.answer = (content_type, body)

    def packets(self, eio: EioVersion) -> list[str | bytes]:
        """The packets as WebSocket frames of EIO4 would carry them."""
        assert self.answer is not None, "the poll waits"
        content_type, body = self.answer
        packets = decode(body, eio, binary=content_type == BINARY)
        return [p.data if p.binary else f"{p.type}{p.data.decode()}" for p in packets]


class Recorder(Application):
    """:ivar heard: everything that it was told, in order."""

    namespaces: Sequence[str] = ("/", "/custom")

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.sockets: list[Socket] = []

    def connect(self, socket: Socket, auth: Any) -> None:
        self.sockets.append(socket)
        self.heard.append(("connect", socket.namespace, auth))

    def event(self, socket: Socket, name: str | int, arguments: list[Any], ack_id: int | None) -> None:
        self.heard.append(("event", socket.namespace, name, arguments, ack_id))

    def writable(self, socket: Socket) -> None:
        self.heard.append(("writable", socket.namespace))

    def disconnect(self, socket: Socket, reason: str) -> None:
        self.heard.append(("disconnect", socket.namespace, reason))

    def taken(self) -> list[tuple[Any, ...]]:
        """What it was told since the last time."""
        heard, self.heard = self.heard, []
        return heard


class Stage:
    """A server with an application, and ways to come to it."""

    def __init__(
        self,
        application: Application | None = None,
        *,
        eio: EioVersion = 4,
        limits: Limits | None = None,
        clock: Clock | None = None,
        make: type[SocketServer] = SocketServer,
    ) -> None:
        self.eio: EioVersion = eio
        self.clock = clock or Clock()
        self.application = application or Recorder()
        self.server = make(self.application, clock=self.clock, timing=TIMING, limits=limits)

    def handshake(self, transport: str, **query: str) -> Handshake:
        return Handshake({"EIO": str(self.eio), "transport": transport, **query}, {}, "127.0.0.1")

    def by_channel(self, **query: str) -> FakeChannel:
        """A session that begins by WebSocket."""
        channel = FakeChannel()
        connection = self.server.open(self.handshake("websocket", **query), channel)
        channel.connection = connection
        return channel

    def by_polling(self, **query: str) -> Connection:
        """A session that begins by a poll, which has been answered."""
        connection = self.server.open(self.handshake("polling", **query))
        self.poll(connection)
        return connection

    def probe(self, connection: Connection) -> FakeChannel:
        """A WebSocket beside the polls."""
        channel = FakeChannel()
        channel.connection = connection
        connection.open_channel(channel)
        return channel

    @staticmethod
    def poll(connection: Connection) -> FakePoll:
        """A GET."""
        poll = FakePoll()
        connection.poll(poll.respond)
        return poll

    def post(self, connection: Connection, *packets: str) -> None:
        """A POST of text."""
        connection.begin_post()
        connection.post(self.body(*packets), binary=False)

    def body(self, *packets: str) -> bytes:
        if self.eio == 4:
            return "\x1e".join(packets).encode()
        return "".join(f"{len(packet.encode('utf-16-le')) // 2}:{packet}" for packet in packets).encode()


def all_outputs(engine: EngineSocket) -> list[Output]:
    """What has to be done, until there is nothing more."""
    found: list[Output] = []
    while outputs := engine.outputs():
        found += outputs
    return found
