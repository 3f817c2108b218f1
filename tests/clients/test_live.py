"""
Subscribers of every age keep exact tables: while all is well, after a cut line, after the daemon's restart.

One test has one daemon, and a client for each transport.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.clients.case import NAME, ClientTestCase, magnet
from tests.clients.drivers import Socket
from tests.clients.relay import Relay
from tests.clients.table import Rows, applied
from tests.harness import until

if TYPE_CHECKING:
    Base = ClientTestCase
else:
    Base = object


class Live(Base):
    """Each kind of client inherits these tests."""

    def test_deltas(self) -> None:
        self.prepare()
        relay = Relay(self.daemon.port)
        self.addCleanup(relay.close)
        sockets = self.sockets(relay.port)
        self.subscribe(sockets, "torrents")
        self.change()
        self.check_exact(sockets)

        # the daemon goes on while they are away
        relay.cut()
        for socket in sockets:
            socket.disconnected()
        self.change()
        relay.mend()
        for socket in sockets:
            socket.connected(2)
        self.subscribe(sockets, "changed")
        self.check_exact(sockets)
        self.change()
        self.check_exact(sockets)

    def test_restarts(self) -> None:
        self.prepare()
        sockets = self.sockets()
        self.subscribe(sockets, "torrents")
        for times, end in enumerate((self.daemon.stop, self.daemon.kill), 2):
            self.change()
            self.check_exact(sockets)
            end()
            self.daemon.launch(self.daemon.port)
            for socket in sockets:
                socket.connected(times)
            self.rest = self.connect()
            # a revision of another process means nothing
            self.subscribe(sockets, "torrents")
            self.check_exact(sockets)

    def prepare(self) -> None:
        self.numbers = iter(range(1, 1000))
        session = self.rest.session(memory_only=0)
        self.path = f"/v1/sessions/{session}/torrents"
        self.session = session
        self.rows: dict[str, Rows] = {}
        self.openings: dict[str, dict[str, Any]] = {}
        self.heard: dict[str, int] = {}
        for _ in range(4):
            self.add()

    def add(self) -> None:
        number = next(self.numbers)
        name = f"{number} {NAME}"
        self.rest.ok("POST", self.path, magnet=magnet(number, name), save_path=".", autostart=0)

    def change(self) -> None:
        """Add, remove and change."""
        self.add()
        first, second, *_ = sorted(self.listed())
        self.rest.ok("DELETE", f"{self.path}/{first}")
        paused = self.rest.ok("GET", f"{self.path}/{second}")["torrent"]["state"] == "stopped"
        self.rest.ok("PUT", f"{self.path}/{second}", pause=int(not paused))

    def listed(self) -> Rows:
        return {row["infohash"]: row for row in self.rest.ok("GET", self.path)["torrents"]}

    def subscribe(self, sockets: Sequence[Socket], kind: str) -> None:
        """Subscribe from where each client stands; ``kind`` is what the answer has to hold."""
        for socket in sockets:
            since = {"since": self.revision(socket)} if socket.name in self.openings else {}
            rows = self.table(socket) if since else {}
            self.heard[socket.name] = len(socket.said("v1/torrents"))
            opening = socket.call(
                t_id="live",
                command="subscribe",
                topic="torrents",
                session_id=self.session,
                interval_ms=100,
                **since,
            )
            self.assertEqual((opening["status"], opening["t_id"]), ("success", "live"))
            self.assertIn(kind, opening)
            self.rows[socket.name], self.openings[socket.name] = rows, opening

    def pushes(self, socket: Socket) -> list[dict[str, Any]]:
        """What the present subscription was told."""
        return socket.said("v1/torrents")[self.heard[socket.name] :]

    def revision(self, socket: Socket) -> int:
        return max(int(told["rev"]) for told in (self.openings[socket.name], *self.pushes(socket)))

    def table(self, socket: Socket) -> Rows:
        return applied(self.rows[socket.name], self.openings[socket.name], self.pushes(socket))

    def check_exact(self, sockets: Sequence[Socket]) -> None:
        """Each client's table becomes what a list shows, without a list in between."""
        for socket in sockets:
            self.check_becomes_exact(socket)
            for push in self.pushes(socket):
                self.assertEqual(set(push), {"subscription", "session_id", "rev", "changed", "removed"})
                self.assertEqual(push["session_id"], self.session)

    def check_becomes_exact(self, socket: Socket) -> None:
        until(lambda: self.table(socket) == self.listed(), f"{socket.name} to be exact")


class Node1LiveTests(Live, ClientTestCase):
    kind = "node 1"


class Node2LiveTests(Live, ClientTestCase):
    kind = "node 2"


class Node3LiveTests(Live, ClientTestCase):
    kind = "node 3"


class Node4LiveTests(Live, ClientTestCase):
    kind = "node 4"


class PythonLiveTests(Live, ClientTestCase):
    kind = "python sync"


class PythonAsyncLiveTests(Live, ClientTestCase):
    kind = "python async"
