"""The ports that sessions listen on: chosen, refused, freed."""

import socket
import threading
import time
from typing import Any

from ..harness import until
from .case import SwarmCase
from .network import Tracker, free_ports, hold, is_free, release

IN_USE = {
    "status": "fail",
    "message": "bind failed address already in use",
    "code": "port_in_use",
    "field": "port_range",
}
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


class PortTests(SwarmCase):
    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()

    def create(self, **parameters: Any) -> Any:
        return self.client.ok("POST", "/v1/sessions", **parameters)["session"]

    def hold(self, port: int, *kinds: socket.SocketKind) -> None:
        self.addCleanup(release, hold(port, *kinds))

    def test_range_and_its_spellings(self) -> None:
        for spelling in ("text", "list", "ports", "form"):
            first = free_ports(2)
            created = self.created(spelling, first, first + 1)
            self.assertEqual((created["port"], created["ports"]), (first, [first, first + 1]), spelling)
            self.assert_listens(first)
            second = self.create(port_range=[first, first + 1])
            self.assertEqual((second["port"], second["ports"]), (first + 1, [first, first + 1]))
            full = self.client.call("POST", "/v1/sessions", port_range=[first, first + 1])
            self.assertEqual((full.status, full.json), (409, IN_USE))

    def created(self, spelling: str, first: int, last: int) -> Any:
        if spelling == "text":
            return self.create(port_range=f"{first},{last}")
        if spelling == "form":
            body, form = f"port_range={first},{last}", {"Content-Type": "application/x-www-form-urlencoded"}
            return self.client.request("POST", "/v1/sessions", body.encode(), form).json["session"]
        return self.create(**{"ports" if spelling == "ports" else "port_range": [first, last]})

    def assert_listens(self, port: int) -> None:
        """On TCP, which takes connections, and UDP."""
        socket.create_connection(("127.0.0.1", port), 30).close()
        for kind in (TCP, UDP):
            self.assertRaises(OSError, hold, port, kind)

    def test_single_port(self) -> None:
        for name, write in (("ports", lambda p: [p]), ("port_range", str), ("port_range", int)):
            port = free_ports(1)
            created = self.create(**{name: write(port)})
            self.assertEqual((created["port"], created["ports"]), (port, [port, port]))
            shown = self.client.ok("GET", f"/v1/sessions/{created['id']}")
            self.assertEqual((shown["port"], shown["ports"]), (port, [port, port]))

    def test_default_range(self) -> None:
        created = self.create()
        self.assertEqual(created["ports"], [6881, 6891])
        self.assertTrue(6881 <= created["port"] <= 6891)
        self.assertIs(created["memory_only"], True)

    def test_all_taken(self) -> None:
        """For TCP alone, for UDP alone or for both: the seed's answer, and nothing was created."""
        kept = self.client.session()
        before = self.client.ok("GET", "/v1/sessions")["sessions"]
        for kinds in ((TCP,), (UDP,), (TCP, UDP)):
            port = free_ports(2)
            self.hold(port, *kinds)
            self.hold(port + 1, *kinds)
            for parameters in ({"ports": [port]}, {"port_range": f"{port},{port + 1}", "memory_only": 0}):
                refused = self.client.call("POST", "/v1/sessions", **parameters)
                self.assertEqual((refused.status, refused.json), (409, IN_USE))
        self.assertEqual(self.client.ok("GET", "/v1/sessions")["sessions"], before)
        self.restart(kill=False)
        self.assertEqual(self.session_ids(), [])
        self.assertNotIn(kept, self.session_ids())

    def test_the_next_port_is_taken_instead(self) -> None:
        for kinds in ((TCP,), (UDP,), (TCP, UDP)):
            port = free_ports(2)
            self.hold(port, *kinds)
            self.assertEqual(self.create(port_range=[port, port + 1])["port"], port + 1)
            self.assert_listens(port + 1)

    def test_a_deleted_session_frees_its_port(self) -> None:
        port = free_ports(1)
        for _ in range(3):
            session = self.create(ports=[port])["id"]
            payload = self.payload()
            infohash = self.add(session, payload)
            self.connect(session, infohash, self.seed(payload).address)
            self.until_state(session, infohash, "seeding")
            self.client.ok("DELETE", f"/v1/sessions/{session}")
            self.assertTrue(is_free(port))


class DeadTrackerTests(SwarmCase):
    """A session whose trackers take announces and never answer them is deleted like any other."""

    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()
        self.mute = Tracker(mute=True)
        self.late = Tracker()
        for tracker in (self.mute, self.late):
            self.addCleanup(tracker.close)

    def test_deleting(self) -> None:
        port = free_ports(1)
        session = self.client.ok("POST", "/v1/sessions", ports=[port])["session"]["id"]
        self.add(session, self.payload(name="mute", tracker=self.mute.url), "a")
        self.add(session, self.payload(name="late", tracker=self.late.url), "b")
        until(lambda: self.mute.open and self.late.swarms_of(port), "both to be announced")
        self.late.mute = True

        answers = Asker(self.daemon.client())
        self.addCleanup(answers.stop)
        began = time.monotonic()
        self.client.ok("DELETE", f"/v1/sessions/{session}")
        self.assertLess(time.monotonic() - began, 10)
        self.assertTrue(is_free(port))
        again = self.client.ok("POST", "/v1/sessions", ports=[port])["session"]
        self.assertEqual(again["port"], port)

        # the last announce waits in vain, and while it does the daemon answers others
        until(lambda: "stopped" in self.late.open + self.late.hung_up, "the last announce")
        before = answers.count
        until(lambda: not self.late.open, "the daemon to hang up")
        self.assertIn("stopped", self.late.hung_up)
        self.assertGreater(answers.count, before + 5)
        until(lambda: not self.mute.open, "the daemon to hang up everywhere")
        self.assertEqual(self.session_ids(), [again["id"]])


class Asker:
    """Asks ``GET /v1`` again and again in a thread; ``count`` answers came."""

    def __init__(self, client: Any) -> None:
        self.count = 0
        self._client = client
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.01):
            if self._client.call("GET", "/v1").status == 200:
                self.count += 1

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()
