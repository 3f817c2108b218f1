"""What befalls the process: no descriptors, a clock that jumps, two signals, a tracker that is silent."""

import resource
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

from resttorrent.signals import ECHO

from ..harness import Client, tiny_torrent, until
from .support import FaultCase


class DescriptorTests(FaultCase):
    def test_none_left(self) -> None:
        """Accepting pauses, what is connected is served on, and it recovers."""
        self.start_daemon()
        session = self.client.session()
        pid = self.daemon.process.pid
        open_files = Path(f"/proc/{pid}/fd")
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        limit = max(int(file.name) for file in open_files.iterdir()) + 3
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        idle = [socket.create_connection(("127.0.0.1", self.daemon.port)) for _ in range(2 * limit)]
        until(lambda: "EMFILE" in self.daemon.log_text(), "descriptors to be used up")
        for number in range(20):
            self.assertEqual(self.session_ids(), [session])
            answer = self.client.upload(
                f"/v1/sessions/{session}/torrents", tiny_torrent(number), save_path=".", autostart="0"
            )
            self.assertIn(answer.status, (201, 500, 503, 507), answer.body)
        # that there are none says nothing of the save root
        until(lambda: f"{self.daemon.root} can't be looked at" in self.daemon.log_text(), "a look in vain")
        # the store, which opens files as well, may be degraded
        self.assertNotIn("root_missing", self.reasons())
        for one in idle:
            one.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

        def answers() -> bool:
            with closing(Client(self.daemon.port)) as client:
                return client.call("GET", "/health").status == 200

        until(answers, "a new connection to be served")
        self.assertTrue(self.daemon.is_running)
        self.until_reasons()

    def _end_daemon(self) -> None:
        self.daemon.kill()
        # Twisted's own, when the descriptor that it keeps in reserve can't be had again at once
        said = self.daemon.log_text().split("Traceback")[1:]
        self.assertEqual([one for one in said if " in reserve\n" not in one], [])


class ClockTests(FaultCase):
    def test_jumps(self) -> None:
        """A day forth and two back: what waits for a time neither ends at once nor waits for days."""
        shift = self.home / "shift"
        self.home.mkdir(parents=True)
        shift.write_text("0")
        self.start_wrapped(before=SHIFTED.format(path=str(shift)))
        session = self.client.session(memory_only=0)
        infohash, _ = self.complete(session)
        quiet = self.client.session(memory_only=1)
        rev = self.client.ok("GET", f"/v1/sessions/{quiet}/torrents")["rev"]
        for seconds in (86_400, -86_400):
            # one waits while the clock jumps, and is answered when its time is over
            with closing(Client(self.daemon.port)) as waiting:
                begun = time.monotonic()
                waiting.send("GET", f"/v1/sessions/{quiet}/torrents?since={rev}&wait=2")
                # which it does by now: connections are served in turn
                self.assertEqual(self.reasons(), [])
                shift.write_text(str(seconds))
                self.assertEqual(waiting.receive().json["changed"], [])
                elapsed = time.monotonic() - begun
            self.assertGreater(elapsed, 1.5)
            self.assertLess(elapsed, 60)
            # and nobody was taken for idle: this connection is served on
            number = abs(seconds) + (seconds < 0)
            answer = self.client.upload(
                f"/v1/sessions/{session}/torrents", tiny_torrent(number), save_path=".", autostart="0"
            )
            self.assertEqual(answer.status, 201)
            # the jump is felt where people see the time
            self.assertLess(abs(answer.json["torrent"]["added_time"] - (time.time() + seconds)), 3600)
            self.assertEqual(self.row(session, infohash)["state"], "seeding")
            self.assertEqual(self.reasons(), [])
        self.restart(kill=False)
        self.until_state(session, infohash, "seeding")
        self.assertEqual(len(self.rows(session)), 3)


SHIFTED = """\
import time, pathlib
real = time.time
time.time = lambda: real() + float(pathlib.Path({path!r}).read_text() or 0)
"""
"""Python that gives the daemon a wall clock which can be moved."""


class SignalTests(FaultCase):
    def silent_tracker(self) -> str:
        """The URL of a tracker that takes connections and never answers."""
        listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addCleanup(listening.close)
        return f"http://127.0.0.1:{listening.getsockname()[1]}/announce"

    def test_tracker_that_is_silent_at_the_stop(self) -> None:
        """The stop is orderly, and does not wait out the tracker."""
        self.start_daemon()
        session = self.client.session(memory_only=0)
        self.add(session, self.payload(tracker=self.silent_tracker()))
        begun = time.monotonic()
        self.assertEqual(self.daemon.stop(), 0)
        # libtorrent's own patience with such a tracker is a minute and more
        self.assertLess(time.monotonic() - begun, 30)

    def test_second_signal_ends_at_once(self) -> None:
        self.start_daemon()
        session = self.client.session(memory_only=0)
        infohash = self.add(session, self.payload(tracker=self.silent_tracker()))
        # while the tracker is waited for, some seconds
        process = self.daemon.process
        process.send_signal(signal.SIGTERM)
        until(lambda: not (self.daemon.state / "listening.json").exists(), "the stop to begin")
        # what comes within a second is taken for an echo of the first
        time.sleep(ECHO + 0.1)
        process.send_signal(signal.SIGTERM)
        self.assertNotEqual(process.wait(timeout=30), 0)
        self._start()
        self.assertEqual([row["infohash"] for row in self.rows(session)], [infohash])
