"""
One Engine.IO session, without I/O: heartbeat, buffer, upgrade and end.

A session has one *transport*: polling (its GETs and POSTs), or a WebSocket. WebSockets are *channels* here,
any objects that tell one from another. A polling session may be *probed* by a channel, which becomes its
transport when both sides agree::

    client, channel   2probe      the socket answers 3probe, and lets waiting GETs go
    client, channel   5           from here on all goes by the channel, what was buffered first

What comes in is told by the ``receive_…`` methods and their kin, with the time in seconds; what has to be
done then is taken from ``outputs``. ``deadline`` says when ``tick`` is due. The buffer is here, not in the
transports: so nothing is lost or doubled on the way from one to the other.

Source: the Engine.IO protocol, versions 3 and 4.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from . import eio_payload
from .eio_packet import (
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    UPGRADE,
    EioVersion,
    MalformedPacket,
    Packet,
    decode_binary,
    decode_text,
)
from .heartbeat import Heartbeat
from .limits import Tally
from .outgoing import Outgoing
from .timing import Timing

Channel = object
_PROBE = b"probe"
PROBE_TIMEOUT = 10.0
"""Seconds that a channel may take to become the transport."""
MOST_UNSENT = 64 * 1024 * 1024
"""Bytes that may wait for a client; one that asks for more than it reads is dropped."""
PACKET_COST = 256
"""Bytes of memory that a waiting packet takes beside its data, roughly; counted for guests."""
UNREAD = "the client reads too slowly"
MOST_AHEAD = 1024 * 1024
"""Bytes that may wait for a channel that is not full, before it counts as full."""
SLICE = 64 * 1024
"""Bytes after which a channel is given the time to say that it is full."""


class Received(msgspec.Struct, frozen=True):
    """A message came."""

    packet: Packet


class Respond(msgspec.Struct, frozen=True):
    """Answer the waiting GET."""

    content_type: bytes
    body: bytes


class Write(msgspec.Struct, frozen=True):
    """Send a packet by a channel."""

    channel: Channel
    outgoing: Outgoing


class Drop(msgspec.Struct, frozen=True):
    """Close a channel."""

    channel: Channel


class Writable(msgspec.Struct, frozen=True):
    """The client can take more; said after it could not."""


class Closed(msgspec.Struct, frozen=True):
    """It is over; nothing comes after this one."""

    reason: str


Output = Received | Respond | Write | Drop | Writable | Closed


class Overlap(Exception):
    """Two GETs at once, or two POSTs; the session is closed."""


class NotPolling(Exception):
    """The session has gone on to a WebSocket; nothing has changed."""


class EngineSocket:
    """
    One session.

    :param channel: the WebSocket that it began with; ``None`` for one that polls.
    :ivar base64: an EIO3 client that takes no binary in polls.
    :param greeting: JSON that the client gets first, in the open packet.
    :param guest_limit: bytes that may wait for the client while it has not joined.
    :param held: is kept up to date with what waits.
    :ivar joined: somebody knows who it is, and has let it in; said by what speaks above.
    """

    def __init__(
        self,
        sid: str,
        eio: EioVersion,
        timing: Timing,
        now: float,
        *,
        greeting: bytes,
        channel: Channel | None = None,
        base64: bool = False,
        max_payload: int = 1_000_000,
        guest_limit: int = MOST_UNSENT,
        held: Tally | None = None,
    ) -> None:
        self.sid = sid
        self.eio: EioVersion = eio
        self.closed = False
        self.joined = False
        self.unsent = 0
        self._guest_limit = guest_limit
        self._held = held or Tally()
        self._channel = channel
        self.base64 = base64
        self._max_payload = max_payload
        self._heartbeat = Heartbeat(eio, timing, now)
        self._timing = timing
        self._buffer: deque[Outgoing] = deque()
        self._outputs: list[Output] = []
        self._polled = False
        self._posting = False
        self._paused = False
        self._probe: Channel | None = None
        self._probed = False
        self._probe_ends = 0.0
        self._closing_until: float | None = None
        self._farewell = True
        self._starved = False
        self._put(Outgoing(Packet(OPEN, greeting)))

    # -- looking ---------------------------------------------------------

    @property
    def transport(self) -> str:
        """``polling`` or ``websocket``."""
        return "polling" if self._channel is None else "websocket"

    @property
    def channel(self) -> Channel | None:
        """The WebSocket that it speaks by."""
        return self._channel

    @property
    def upgrading(self) -> bool:
        """Whether a channel is about to become the transport."""
        return self._probed

    @property
    def writable(self) -> bool:
        """
        Whether the client takes what is sent now: its channel is not full, or it waits with a GET.

        To ask makes the socket say ``Writable`` when it has become so.
        """
        if self.closed or self._closing_until is not None:
            return False
        if self._channel is None:
            writable = self._polled and not self._probed and self.unsent < self._max_payload
        else:
            writable = not self._paused and self.unsent < MOST_AHEAD
        self._starved = not writable
        return writable

    @property
    def deadline(self) -> float:
        """When ``tick`` is due."""
        if self._closing_until is not None:
            return self._closing_until
        if self._probe is not None:
            return min(self._heartbeat.deadline, self._probe_ends)
        return self._heartbeat.deadline

    def outputs(self) -> list[Output]:
        """Take what has to be done, in this order."""
        if self._starved and self.writable:
            # first: what comes of it joins what waits in the answer to a poll
            self._outputs.append(Writable())
        elif not self.closed:
            self._pump()
        taken, self._outputs = self._outputs, []
        return taken

    # -- sending ---------------------------------------------------------

    def send(self, packets: Iterable[Outgoing]) -> None:
        """Send messages, in this order, with nothing between them."""
        if self.closed or self._closing_until is not None:
            return
        for outgoing in packets:
            self._put(outgoing)
        self._mind_unsent()

    def _mind_unsent(self) -> None:
        """End it, if too much waits: of what a client that reads nothing asks for, there is no end."""
        if self.joined:
            too_much = self.unsent > MOST_UNSENT
        else:
            too_much = self.unsent + PACKET_COST * len(self._buffer) > self._guest_limit
        if too_much and not self.closed:
            self._end(UNREAD)

    def _put(self, outgoing: Outgoing) -> None:
        self._buffer.append(outgoing)
        self._count(outgoing.size)

    def _take(self) -> Outgoing:
        outgoing = self._buffer.popleft()
        self._count(-outgoing.size)
        return outgoing

    def _count(self, size: int) -> None:
        self.unsent += size
        self._held.total += size

    def _pump(self) -> None:
        if self._channel is not None:
            # a slice: the channel may be full after it
            end = self.unsent - SLICE
            while self._buffer and not self._paused and self.unsent > end:
                self._outputs.append(Write(self._channel, self._take()))
        elif self._polled and (self._buffer or self._probed or self._closing_until is not None):
            self._respond()
        elif self._farewell:
            return
        if self._closing_until is not None and not self._buffer:
            self._end("the server closed it")

    def _respond(self) -> None:
        """Answer the GET with all that waits and fits; one packet goes whatever its size."""
        packets: list[Packet] = []
        room = self._max_payload
        while self._buffer:
            packet = self._buffer[0].packet
            room -= len(packet.data) + eio_payload.overhead(packet)
            # one less than it may be, for the packet that closes
            if packets and (room < 0 or len(packets) == eio_payload.MOST_ANSWERED - 1):
                break
            packets.append(self._take().packet)
        if self._closing_until is not None and not self._buffer and self._farewell:
            packets.append(Packet(CLOSE))
        self._answer(packets or [Packet(NOOP)])

    def _answer(self, packets: list[Packet]) -> None:
        self._polled = False
        self._outputs.append(Respond(*eio_payload.encode(packets, self.eio, base64=self.base64)))

    # -- polling ---------------------------------------------------------

    def receive_poll(self) -> None:
        """
        A GET came, and waits for ``Respond``.

        :raises NotPolling: it polls no more; :raises Overlap: one waits already: 400, and the end.
        """
        self._must_poll()
        if self._polled:
            self._end("two polls at once")
            raise Overlap
        self._polled = True

    def poll_gone(self) -> None:
        """The client hung up while its GET waited."""
        if self._polled:
            self._polled = False
            self._end("a poll was broken off")

    def begin_post(self) -> None:
        """
        A POST's head came; ``receive_post`` or ``break_post`` follows.

        :raises NotPolling: it polls no more; :raises Overlap: as ``receive_poll``.
        """
        self._must_poll()
        if self._posting:
            self._end("two posts at once")
            raise Overlap
        self._posting = True

    def receive_post(self, body: bytes, now: float, *, binary: bool = False) -> None:
        """
        A POST's body came.

        :raises MalformedPacket: 400, and the end.
        """
        self._posting = False
        if self.closed:
            return
        try:
            packets = eio_payload.decode(body, self.eio, binary=binary, base64=self.base64)
            for packet in packets:
                self._receive(packet, now)
        except MalformedPacket as error:
            self._end(f"a malformed packet: {error}")
            raise

    def break_post(self) -> None:
        """The POST was not read to its end: its body was too long, or its client left."""
        if self._posting:
            self._posting = False
            self._end("a post was broken off")

    def _must_poll(self) -> None:
        if self._channel is not None or self.closed:
            raise NotPolling

    # -- channels --------------------------------------------------------

    def open_channel(self, channel: Channel, now: float) -> None:
        """A WebSocket came with this session's id."""
        busy = self._channel is not None or self._probe is not None
        if busy or self.closed or self._closing_until is not None:
            self._outputs.append(Drop(channel))
            return
        self._probe, self._probe_ends = channel, now + PROBE_TIMEOUT

    def receive_text(self, channel: Channel, raw: bytes, now: float) -> None:
        """A text frame came; it is UTF-8."""
        self._receive_frame(channel, raw, now, binary=False)

    def receive_binary(self, channel: Channel, raw: bytes, now: float) -> None:
        """A binary frame came."""
        self._receive_frame(channel, raw, now, binary=True)

    def _receive_frame(self, channel: Channel, raw: bytes, now: float, *, binary: bool) -> None:
        if self.closed or (channel is not self._channel and channel is not self._probe):
            return
        try:
            packet = decode_binary(raw, self.eio) if binary else decode_text(raw)
            if channel is self._probe:
                self._receive_probe(packet)
            else:
                self._receive(packet, now)
        except MalformedPacket as error:
            if channel is self._probe:
                self._drop_probe()
            else:
                self._end(f"a malformed packet: {error}")

    def lose_channel(self, channel: Channel) -> None:
        """A WebSocket is gone."""
        if channel is self._probe:
            self._forget_probe()
        elif channel is self._channel and not self.closed:
            self._end("the connection was lost", drop=False)

    def pause(self, channel: Channel) -> None:
        """The channel is full."""
        if channel is self._channel:
            self._paused = True

    def resume(self, channel: Channel) -> None:
        """The channel takes more."""
        if channel is self._channel:
            self._paused = False

    def _receive_probe(self, packet: Packet) -> None:
        if packet.type == PING and packet.data == _PROBE and not self._probed:
            assert self._probe is not None
            self._outputs.append(Write(self._probe, Outgoing(Packet(PONG, _PROBE))))
            # the client waits for its GET to end before it says 5; _pump sees to it
            self._probed = True
        elif packet.type == UPGRADE and self._probed:
            self._upgrade()
        else:
            self._drop_probe()

    def _upgrade(self) -> None:
        if self._polled:
            self._answer([Packet(NOOP)])
        channel = self._probe
        self._forget_probe()
        self._channel = channel

    def _drop_probe(self) -> None:
        self._outputs.append(Drop(self._probe))
        self._forget_probe()

    def _forget_probe(self) -> None:
        self._probe, self._probed = None, False

    # -- packets ---------------------------------------------------------

    def _receive(self, packet: Packet, now: float) -> None:
        """:raises MalformedPacket: for one that a client does not send."""
        if self.closed:
            return
        self._heartbeat.heard(now)
        if packet.type == MESSAGE:
            self._outputs.append(Received(packet))
        elif packet.type == PING and self.eio == 3:
            self._put(Outgoing(Packet(PONG, packet.data)))
            self._mind_unsent()
        elif packet.type == PONG and self.eio == 4:
            self._heartbeat.pong(now)
        elif packet.type == CLOSE:
            if self._polled:
                self._answer([Packet(NOOP)])
            self._end("the client closed it")
        elif packet.type != NOOP:
            raise MalformedPacket(f"a client sends no packet of type {packet.type} here")

    # -- time and end ----------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.closed:
            return
        if self._closing_until is not None:
            if now >= self._closing_until:
                self._end("the server closed it")
            return
        if self._probe is not None and now >= self._probe_ends:
            self._drop_probe()
        due = self._heartbeat.tick(now)
        if due == "ping":
            self._put(Outgoing(Packet(PING)))
        elif due == "lost":
            self._end("ping timeout")

    def close(self, now: float, *, farewell: bool = True) -> None:
        """
        End it when the client has got what waits for it, within pingTimeout.

        :param farewell: say so to a client that polls. Some that are told do not come back by themselves;
            one that is not told finds its session gone, and opens another.
        """
        if not self.closed and self._closing_until is None:
            self._closing_until = now + self._timing.timeout
            self._farewell = farewell

    def abort(self, reason: str) -> None:
        """End it at once."""
        if not self.closed:
            self._end(reason)

    def _end(self, reason: str, *, drop: bool = True) -> None:
        if self._polled:
            self._answer([Packet(CLOSE if self._farewell else NOOP)])
        self.closed = True
        channels = [self._channel] if drop else []
        for channel in (*channels, self._probe):
            if channel is not None:
                self._outputs.append(Drop(channel))
        self._probe, self._probed = None, False
        self._buffer.clear()
        self._count(-self.unsent)
        self._outputs.append(Closed(reason))
