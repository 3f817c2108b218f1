"""docs/realtime.rst: its examples work, its figures are the code's."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from resttorrent.access import quotas
from resttorrent.engine import eventlog, log_entries, table
from resttorrent.live import caller, door
from resttorrent.rest import deadlines, events
from resttorrent.socketio import Limits, Timing, eio_payload, eio_socket, sio_packet, sio_server
from resttorrent.web.examples import packaged_examples
from tests.harness import Daemon, tiny_torrent, until
from tests.reference import DOCS, blocks_of, section_of
from tests.web.browser import Browser, find_chromium

TEXT = (DOCS / "realtime.rst").read_text()
CLIENTS = Path(__file__).resolve().parent / "clients" / "node_modules"
CALL, KEEP, FOLLOW, EVENTS = blocks_of(TEXT, "javascript")
SHOW = "JSON.stringify([...table.values()].map((row) => [row.name, row.state]).sort())"


class FigureTests(SynchronousTestCase):
    def test_limits(self) -> None:
        limits, timing = Limits(), Timing()
        expected = {
            "bytes of a body that a polling client posts": limits.max_payload,
            "packets in such a body": eio_payload.MOST_PACKETS,
            "bytes of a message by WebSocket": limits.max_frame,
            "attachments of an event": sio_packet.MOST_ATTACHMENTS,
            "bytes of all attachments of an event": sio_server.MOST_ATTACHED,
            "values in an event's JSON": sio_packet.MOST_VALUES,
            "levels of an event's JSON": sio_packet.MOST_DEPTH,
            "commands of a connection that run": door.MOST_RUNNING,
            "subscriptions of a connection": caller.MOST_SUBSCRIPTIONS,
            "Socket.IO connections from one address": limits.per_address,
            "Socket.IO connections": limits.sockets,
            "event streams": events.MOST_STREAMS,
            "seconds until a Socket.IO client has joined": round(timing.connect),
            "subscriptions of one token, by all its connections": quotas.MOST_SUBSCRIPTIONS,
        }
        rows = re.findall(r"^(\S+(?: \S+)*)  +([\d,]+)  +\S", section_of(TEXT, "Limits"), re.MULTILINE)
        self.assertEqual({name: int(figure.replace(",", "")) for name, figure in rows}, expected)

    def test_sentences(self) -> None:
        text = " ".join(TEXT.split())
        timing = Timing()
        for sentence in (
            f"after more than {table.TOMBSTONES:,} removals",
            f"The answer has the last {eventlog.OPENING} entries",
            f"A push has {eventlog.PUSH:,} at most",
            f"or more than {eventlog.HISTORY:,} came",
            f"while about {eio_socket.MOST_AHEAD >> 20} MiB waits",
            f"dropped at {eio_socket.MOST_UNSENT >> 20} MiB",
            f"After {events.KEEP_ALIVE:g} s of silence",
            f"takes nothing for {deadlines.STALL:g} s",
            f"pings every {timing.interval:g} s and waits {timing.timeout:g} s",
        ):
            self.assertIn(sentence, text)

    def test_log_events(self) -> None:
        listed = TEXT.partition(".. log events\n")[2].partition(".. end of log events")[0]
        self.assertEqual(tuple(re.findall(r"``(\w+)``", listed)), log_entries.EVENTS)

    def test_script_is_the_one_that_is_served(self) -> None:
        served = (packaged_examples() / "live.py").read_text()
        self.assertEqual(blocks_of(TEXT, "python"), [served.split('"""\n', 2)[2].strip()])


class ExampleTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="realtime-"))
        self.addCleanup(shutil.rmtree, home)
        self.home = home
        self.daemon = Daemon(home / "daemon").start()
        self.addCleanup(self.daemon.stop)
        self.rest = self.daemon.client()
        self.addCleanup(self.rest.close)
        self.path = f"/v1/sessions/{self.rest.session()}/torrents"

    def at_home(self, block: str) -> str:
        return block.replace("localhost:8080", f"127.0.0.1:{self.daemon.port}")

    def check_follows(self, shown: Callable[[], Any]) -> None:
        """What ``shown`` gives becomes what is there: rows of name and state."""

        def wait(*rows: list[str]) -> None:
            until(lambda: shown() == list(rows), f"{rows} to be shown")

        first, second = (
            self.rest.upload(self.path, tiny_torrent(number), save_path=".", autostart="0").json["infohash"]
            for number in (1, 2)
        )
        wait(["tiny 1", "stopped"], ["tiny 2", "stopped"])
        self.rest.ok("PUT", f"{self.path}/{second}", pause=0)
        wait(["tiny 1", "stopped"], ["tiny 2", "downloading"])
        self.rest.ok("DELETE", f"{self.path}/{first}")
        wait(["tiny 2", "downloading"])


class NodeTests(ExampleTestCase):
    """The examples for node and the browser, with socket.io-client 4 under node."""

    def run_node(self, script: str) -> "subprocess.Popen[str]":
        node = shutil.which("node")
        if node is None or not (CLIENTS / "client-4").is_dir():
            raise AssertionError("needs node, and `npm ci` in tests/clients: `make test` sees to that")
        process = subprocess.Popen(
            [node, "-e", self.at_home(script).replace("require('socket.io-client')", "require('client-4')")],
            env={**os.environ, "NODE_PATH": str(CLIENTS)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_a_call(self) -> None:
        process = self.run_node(CALL)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), "1 sessions\n")

    def test_a_table(self) -> None:
        shows = f"setInterval(() => console.log({SHOW}), 20);"
        process = self.run_node("\n".join([CALL, KEEP, FOLLOW, shows]))
        lines: list[str] = []
        assert process.stdout is not None
        reader = threading.Thread(target=lines.extend, args=(process.stdout,))
        reader.start()
        self.addCleanup(reader.join)
        self.addCleanup(process.kill)

        def shown() -> Any:
            return json.loads(next((line for line in reversed(lines) if line.startswith("[")), "[]"))

        self.check_follows(shown)

    def test_fifteen_lines(self) -> None:
        lines = [line for block in (KEEP, FOLLOW) for line in block.splitlines() if line.strip()]
        self.assertLessEqual(len(lines), 15)


class EventSourceTests(ExampleTestCase):
    """The example for EventSource, in a real Chromium."""

    def test_a_table(self) -> None:
        program = find_chromium()
        if program is None:
            message = "needs Chromium: apt-get install chromium"
            raise AssertionError(message) if os.environ.get("CI") else SkipTest(message)
        browser = Browser(program)
        self.addCleanup(browser.close)
        browser.open(f"http://127.0.0.1:{self.daemon.port}/examples/live.py")
        # in the page's global scope, as in a script of its own
        browser.evaluate(KEEP + "\n" + EVENTS)
        self.check_follows(lambda: json.loads(browser.evaluate(SHOW)))


class CurlTests(ExampleTestCase):
    def test_commands(self) -> None:
        """Each command of the document is answered."""
        for line in "\n".join(blocks_of(TEXT, "sh")).splitlines():
            command, _, address = self.at_home(line).rpartition(" ")
            self.assertTrue(command.startswith("curl"), line)
            where = self.home / "answer"
            quiet = ["curl", "-s", "-N", "-m", "2", "-o", str(where), "-w", "%{http_code}"]
            ended = subprocess.run([*quiet, address.strip('"')], capture_output=True, text=True)
            self.assertEqual(ended.stdout, "200", line)
            self.assertIn('"status":"success"', where.read_text(), line)
