"""
``python -m tests.socketio.echo_server --mode eio|sio --port 3000``: for the upstream conformance suites.

``eio``: below ``/engine.io/``, every message comes back. ``sio``: below ``/socket.io/``, in the namespaces
``/`` and ``/custom``, a client is told the payload that it joined with (``auth``), ``message`` comes back as
``message-back``, and ``message-with-ack`` is acknowledged with its own arguments.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import Site

from resttorrent.socketio import (
    Application,
    Handshake,
    Limits,
    Outgoing,
    Socket,
    SocketResource,
    SocketServer,
    Timing,
)
from resttorrent.socketio.eio_packet import Packet
from resttorrent.socketio.eio_socket import EngineSocket

PATHS = {"eio": b"engine.io", "sio": b"socket.io"}


class EventEcho(Application):
    """The Socket.IO suites' application."""

    namespaces = ("/", "/custom")

    def connect(self, socket: Socket, auth: Any) -> None:
        socket.emit("auth", auth or {})

    def event(self, socket: Socket, name: str | int, arguments: list[Any], ack_id: int | None) -> None:
        if name == "message":
            socket.emit("message-back", *arguments)
        elif name == "message-with-ack" and ack_id is not None:
            socket.acknowledge(ack_id, *arguments)


class MessageEcho:
    """In place of Socket.IO: whatever message comes goes back."""

    deadline: float | None = None
    holds = 0

    def __init__(self, engine: EngineSocket, seconds: Callable[[], float], flush: Callable[[], None]) -> None:
        self._engine = engine
        self._seconds = seconds
        self._flush = flush
        # it has no namespaces to be let into
        engine.joined = True

    def receive(self, message: Packet) -> None:
        self._engine.send([Outgoing(message)])

    def writable(self) -> None:
        """Everything is sent at once."""

    def tick(self, now: float) -> None:
        """Nothing is ever due."""

    def close(self) -> None:
        self._engine.close(self._seconds())
        self._flush()

    def ended(self, reason: str) -> None:
        """Nothing is kept."""


class EngineServerOnly(SocketServer):
    """A server of bare Engine.IO."""

    def make_session(
        self, engine: EngineSocket, handshake: Handshake, flush: Callable[[], None]
    ) -> MessageEcho:
        return MessageEcho(engine, self.clock.seconds, flush)


def echo_resource(mode: str, reactor: Any, timing: Timing, limits: Limits | None = None) -> Resource:
    """The root of a site on which the echo application lives, at the mode's path."""
    make = EngineServerOnly if mode == "eio" else SocketServer
    server = make(EventEcho(), clock=reactor, timing=timing, limits=limits)
    root = Resource()
    root.putChild(PATHS[mode], SocketResource(server, reactor=reactor, allow_origin="*"))
    return root


def main() -> None:
    """Serve until killed; say where on the first line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=sorted(PATHS), required=True)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--ping-interval", type=float, default=0.3, help="seconds")
    parser.add_argument("--ping-timeout", type=float, default=0.2, help="seconds")
    parser.add_argument("--connect-timeout", type=float, default=1.0, help="seconds")
    options = parser.parse_args()
    reactor: Any = installed
    timing = Timing(options.ping_interval, options.ping_timeout, options.connect_timeout)
    site = Site(echo_resource(options.mode, reactor, timing), reactor=reactor)
    listening = TCP4ServerEndpoint(reactor, options.port, interface="127.0.0.1").listen(site)
    listening.addCallback(lambda port: _say(f"listening on {port.getHost().port}"))
    listening.addErrback(lambda failure: _say(failure.getErrorMessage()))
    reactor.run()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
