"""
One session on its way between the machines without I/O and the reactor.

Whatever comes in, the outputs of the Engine.IO socket are carried out until there are none; what the
application sends in between joins them.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from .eio_packet import Packet
from .eio_socket import Closed, Drop, EngineSocket, Received, Respond, Writable, Write
from .handshake import Handshake
from .limits import Tally

PATIENCE = 1024 * 1024
"""Bytes that may wait for a client before what it asks for next is left unread."""


class Channel(Protocol):
    """
    A WebSocket connection.

    :ivar settled: its client is no guest any more.
    """

    settled: bool

    def write_frame(self, frame: bytes) -> None:
        """Send a whole frame."""

    def drop(self) -> None:
        """Close it, once what was written is out."""

    def settle(self) -> None:
        """Its client has been let in."""

    def stop_reading(self) -> None:
        """Read nothing more for now."""

    def go_on_reading(self) -> None:
        """Read again."""


class Session(Protocol):
    """
    What speaks above Engine.IO: Socket.IO's ``Client``, or something else that takes messages.

    Whether its client has been let in, it says to the engine (``joined``).

    :ivar deadline: when ``tick`` is due, in seconds; ``None`` for never.
    :ivar holds: bytes that it keeps until more comes.
    """

    deadline: float | None
    holds: int

    def receive(self, message: Packet) -> None:
        """A message came."""

    def writable(self) -> None:
        """The engine can take more."""

    def tick(self, now: float) -> None:
        """Do what is due."""

    def close(self) -> None:
        """End it when the client has got what waits for it."""

    def ended(self, reason: str) -> None:
        """It is over."""


MakeSession = Callable[[EngineSocket, Handshake, Callable[[], None]], Session]
"""Makes one, given its engine, the request that began it, and what to call when it has sent something."""
Respondent = Callable[[bytes, bytes], None]
"""Answers a GET, given content type and body."""


class Connection:
    """
    A session with its transports.

    :param ended: called when it is over, with the reason.
    :param settled: called when its client has been let in, or is a guest again.
    :param full: called when it holds more than before; may close it, or others.
    :ivar incoming: bytes of a message that has not come whole.
    """

    def __init__(
        self,
        engine: EngineSocket,
        handshake: Handshake,
        make_session: MakeSession,
        clock: IReactorTime,
        ended: Callable[["Connection", str], None],
        settled: Callable[["Connection"], None],
        held: Tally,
        full: Callable[[], None],
    ) -> None:
        self.engine = engine
        self.incoming = 0
        self._settled, self._held, self._full = settled, held, full
        self._joined = False
        self._holds = 0
        self._clock = clock
        self._ended = ended
        self._respond: Respondent | None = None
        self._flushing = True
        self._reading = True
        self._timer: IDelayedCall | None = None
        # what it sends at once waits until it stands
        self.session = make_session(engine, handshake, self.flush)
        self._flushing = False

    @property
    def holds(self) -> int:
        """Bytes that it keeps for its client."""
        return self.engine.unsent + self._holds

    # -- what comes in ---------------------------------------------------

    def poll(self, respond: Respondent) -> None:
        """
        A GET waits.

        :raises NotPolling, Overlap: as ``EngineSocket.receive_poll``.
        """
        try:
            self.engine.receive_poll()
            self._respond = respond
        finally:
            self.flush()

    def poll_gone(self) -> None:
        """The waiting GET's client has left."""
        self._respond = None
        self.engine.poll_gone()
        self.flush()

    def begin_post(self) -> None:
        """
        A POST begins.

        :raises NotPolling, Overlap: as ``EngineSocket.begin_post``.
        """
        try:
            self.engine.begin_post()
        finally:
            self.flush()

    def post(self, body: bytes, *, binary: bool) -> None:
        """
        A POST's body came.

        :raises MalformedPacket: as ``EngineSocket.receive_post``.
        """
        try:
            self.engine.receive_post(body, self._clock.seconds(), binary=binary)
        finally:
            self.flush()

    def break_post(self) -> None:
        """A POST was not read to its end."""
        self.engine.break_post()
        self.flush()

    def open_channel(self, channel: Channel) -> None:
        """A WebSocket comes beside the polls."""
        self.engine.open_channel(channel, self._clock.seconds())
        self.flush()

    def receive(self, channel: Channel, payload: bytes, *, binary: bool) -> None:
        """A frame came."""
        now = self._clock.seconds()
        if binary:
            self.engine.receive_binary(channel, payload, now)
        else:
            self.engine.receive_text(channel, payload, now)
        self.flush()

    def receive_part(self, size: int) -> None:
        """
        A part of a message came, which is kept until the rest has come.

        :param size: bytes of all the parts, 0 if they are kept no longer.
        """
        self.incoming = size
        self._mind_held()

    def pause(self, channel: Channel) -> None:
        """The channel is full."""
        self.engine.pause(channel)

    def resume(self, channel: Channel) -> None:
        """The channel takes more."""
        self.engine.resume(channel)
        self.flush()

    def lose_channel(self, channel: Channel) -> None:
        """The channel is gone."""
        self.engine.lose_channel(channel)
        self.flush()

    def close(self, *, farewell: bool) -> None:
        """End it when the client has got what waits for it; see ``EngineSocket.close``."""
        self.engine.close(self._clock.seconds(), farewell=farewell)
        self.flush()

    def abort(self, reason: str) -> None:
        """End it now."""
        self.engine.abort(reason)
        self.flush()

    # -- what goes out ---------------------------------------------------

    def flush(self) -> None:
        """Carry out all that is to be done."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while outputs := self.engine.outputs():
                for output in outputs:
                    self._carry_out(output)
        finally:
            self._flushing = False
        self._mind_joining()
        self._mind_held()
        self._mind_reading()
        self._set_timer()

    def _carry_out(self, output: object) -> None:
        # the commonest first
        if isinstance(output, Write):
            output.channel.write_frame(output.outgoing.frame(self.engine.eio))  # type: ignore[attr-defined]
        elif isinstance(output, Received):
            self.session.receive(output.packet)
        elif isinstance(output, Respond):
            respond, self._respond = self._respond, None
            if respond is not None:
                respond(output.content_type, output.body)
        elif isinstance(output, Writable):
            self.session.writable()
        elif isinstance(output, Drop):
            output.channel.drop()  # type: ignore[attr-defined]
        elif isinstance(output, Closed):
            self._end(output.reason)

    def _mind_joining(self) -> None:
        engine = self.engine
        if engine.joined != self._joined:
            self._joined = engine.joined
            self._settled(self)
        channel: Any = engine.channel
        if engine.joined and channel is not None and not channel.settled:
            channel.settle()

    def _mind_held(self) -> None:
        holds = 0 if self.engine.closed else self.incoming + self.session.holds
        self._held.total += holds - self._holds
        self._holds = holds
        self._full()

    def _mind_reading(self) -> None:
        channel = self.engine.channel
        if channel is None or self.engine.closed:
            return
        wanted = self.engine.unsent <= PATIENCE
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                channel.go_on_reading()  # type: ignore[attr-defined]
            else:
                channel.stop_reading()  # type: ignore[attr-defined]

    def _end(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.session.ended(reason)
        self._ended(self, reason)

    # -- time ------------------------------------------------------------

    def _set_timer(self) -> None:
        if self.engine.closed:
            return
        deadline = self.engine.deadline
        if self.session.deadline is not None:
            deadline = min(deadline, self.session.deadline)
        if self._timer is None:
            self._timer = self._clock.callLater(self._until(deadline), self._tick)
        elif self._timer.getTime() > deadline:
            self._timer.reset(self._until(deadline))
        # one that comes too early looks again; most deadlines only move away

    def _until(self, deadline: float) -> float:
        return max(deadline - self._clock.seconds(), 0.0)

    def catch_up(self) -> None:
        """Do what is due already, though the timer has not called yet."""
        if self._timer is not None and self._timer.getTime() <= self._clock.seconds():
            self._timer.cancel()
            self._tick()

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        self.session.tick(now)
        self.engine.tick(now)
        self.flush()
