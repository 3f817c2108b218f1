"""
The Socket.IO door above made-up rows, in a process that answers each line of JSON with one, until its end.

The engine's table, its views and feeds and the door are the daemon's; no libtorrent stands below them.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver
from twisted.web.server import Site

from resttorrent.engine.fields import restate
from resttorrent.listening import listen_all
from resttorrent.socketio import Timing
from tests.engine.feed_world import FakeSession
from tests.engine.synthetic import Revisions, make_row
from tests.live.synthetic import live_root, live_server

_TIMING = Timing(interval=200.0, timeout=200.0)
"""Who reads nothing for a minute answers no ping either, and is to stay."""


class ChangingSession(FakeSession):
    """A session of which some rows have changed whenever it is looked at."""

    def __init__(self, reactor: Any, rows: int) -> None:
        super().__init__("s1", reactor, Revisions(), 10_000)
        self._keys = [f"{number:040x}" for number in range(rows)]
        self._place = 0
        self.changing = 0
        for number, key in enumerate(self._keys):
            row = make_row(key, name=f"made up {number}", state="downloading", total_done=0, added_time=0)
            self.table.put(key, row)

    async def fresh(self) -> None:
        """Bring the table up to date: what is made up changes now."""
        stamp = int(time.monotonic() * 1e6)
        for _ in range(self.changing):
            self._change(
                total_done=stamp % 1_000_000_007, upload_payload_rate=stamp % 10_007, added_time=stamp
            )

    def change_state(self) -> None:
        """One row's state changes, which is told at once."""
        key = self._keys[self._place]
        paused = self.table.value(key, "state") == "stopped"
        self._change(state="downloading" if paused else "stopped")

    def _change(self, **values: Any) -> None:
        key = self._keys[self._place]
        self._place = (self._place + 1) % len(self._keys)
        self.table.put(key, restate(self.table[key].row, **values))


class Control(LineReceiver):
    """Standard input and output."""

    delimiter = b"\n"

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def lineReceived(self, line: bytes) -> None:
        Deferred.fromCoroutine(self._serve(json.loads(line))).addErrback(self._failed)

    async def _serve(self, arguments: dict[str, Any]) -> None:
        method: Callable[..., Any] = getattr(self, "do_" + arguments.pop("do"))
        answer = json.dumps(await method(**arguments))
        self.sendLine(answer.encode())  # type: ignore[no-untyped-call]

    def _failed(self, failure: Any) -> None:
        sys.stderr.write(failure.getTraceback())
        self._reactor.stop()

    def connectionLost(self, reason: object = None) -> None:
        if self._reactor.running:
            self._reactor.stop()

    async def do_serve(self, rows: int) -> dict[str, Any]:
        """Begin, with so many rows."""
        reactor = self._reactor
        self._session = ChangingSession(reactor, rows)
        self._server = live_server(self._session, reactor, _TIMING)
        site = Site(live_root(self._server, reactor), reactor=reactor)
        [port] = listen_all(reactor, ["tcp:0:interface=127.0.0.1:backlog=1000"], site)
        address: Any = port.getHost()
        return {"port": address.port}

    async def do_fan(self, rounds: int) -> dict[str, Any]:
        """Change one row's state so many times, each in a turn of its own; when that began."""
        began = time.monotonic()
        for _ in range(rounds):
            self._session.change_state()
            # it is told in the next turn
            await deferLater(self._reactor, 0)
            await deferLater(self._reactor, 0)
        return {"began": began}

    async def do_change(self, rows: int) -> dict[str, Any]:
        """From now on, so many rows change whenever somebody looks."""
        self._session.changing = rows
        return {}

    async def do_unsent(self) -> dict[str, Any]:
        """Bytes that wait in the sessions, beside the transports' buffers."""
        return {"bytes": sum(engine.unsent for engine in self._server.engines)}


def main() -> None:
    """Serve until standard input ends."""
    reactor: Any = installed
    StandardIO(Control(reactor), reactor=reactor)
    reactor.run()


if __name__ == "__main__":
    main()
