"""The two examples that the daemon serves, against a daemon: the page in a browser, the script in Python."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from resttorrent.web.examples import packaged_examples
from tests.clients.relay import Relay
from tests.harness import Client, Daemon, Seed, make_torrent, tiny_torrent, until, write_files
from tests.web.browser import Browser, find_chromium

PAGE = "/examples/live.html"
EXAMPLES = Path(str(packaged_examples()))
# What the page shows of each torrent, by info-hash.
ROWS = """Object.fromEntries(
  [...document.querySelectorAll('#torrents tr')].map((row) => [row.dataset.infohash, {
    name: row.querySelector('.name').textContent, state: row.querySelector('.state').textContent,
    progress: row.querySelector('.progress').textContent, bar: row.querySelector('progress').value,
  }]))"""


def text(id: str) -> str:
    return f"document.getElementById('{id}').textContent"


class ExampleTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).resolve()
        self.daemon = Daemon(self.home).start()
        self.addCleanup(self.end)
        self.rest = self.connect()

    def end(self) -> None:
        if self.daemon.is_running:
            self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(self.daemon.tracebacks(), [])

    def connect(self) -> Client:
        client = self.daemon.client()
        self.addCleanup(client.close)
        return client

    def restart(self) -> None:
        """End the daemon and start it again, at the same port."""
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.launch(self.daemon.port)
        until(lambda: (self.daemon.state / "listening.json").exists(), "the daemon to listen", 30)
        self.rest = self.connect()

    def prepare(self) -> None:
        self.session = self.rest.session(memory_only=0)
        self.path = f"/v1/sessions/{self.session}/torrents"

    def add(self, number: int) -> str:
        answer = self.rest.upload(self.path, tiny_torrent(number), save_path=".", autostart="0")
        return str(answer.json["infohash"])


class PageCase(ExampleTestCase):
    """The page in a real Chromium."""

    def setUp(self) -> None:
        program = find_chromium()
        if program is None:
            message = "needs Chromium: apt-get install chromium"
            # there it is installed before
            raise AssertionError(message) if os.environ.get("CI") else SkipTest(message)
        super().setUp()
        self.browser = Browser(program)
        self.addCleanup(self.browser.close)

    def open(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.browser.open(self.origin + PAGE)
        self.status("connected")

    def status(self, wanted: str) -> None:
        self.browser.until(text("status"), lambda shown: shown == wanted, f"the page to say {wanted!r}")

    def rows(self, **states: str) -> dict[str, Any]:
        """The rows, once they are of these torrents (``t`` and an info-hash) in these states."""
        wanted = {key.removeprefix("t"): state for key, state in states.items()}

        def fit(rows: dict[str, Any]) -> dict[str, Any] | None:
            return rows if {key: row["state"] for key, row in rows.items()} == wanted else None

        rows = self.browser.until(ROWS, lambda rows: fit(rows) is not None and [rows], f"rows {wanted}")
        assert rows
        return dict(rows[0])

    def check_quiet(self) -> None:
        """Nothing failed in the page, and it asked nobody but the daemon."""
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(
            [
                url
                for url in self.browser.urls()
                if not url.startswith((self.origin, self.origin.replace("http", "ws")))
            ],
            [],
        )


class PageTests(PageCase):
    def test_shows_what_happens(self) -> None:
        self.open(self.daemon.port)
        self.browser.until(
            "document.getElementById('empty').hidden", lambda hidden: hidden is False, "no rows"
        )
        self.prepare()
        first, second = self.add(1), self.add(2)
        rows = self.rows(**{f"t{first}": "stopped", f"t{second}": "stopped"})
        self.assertEqual([row["name"] for row in rows.values()], ["tiny 1", "tiny 2"])
        self.assertEqual(rows[first]["progress"], "0.0 %")
        self.rest.ok("PUT", f"{self.path}/{second}", pause=0)
        self.rows(**{f"t{first}": "stopped", f"t{second}": "downloading"})
        self.rest.ok("DELETE", f"{self.path}/{first}")
        self.rows(**{f"t{second}": "downloading"})
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#torrents tr').length"), 1)
        # the other topics
        self.browser.until(
            text("sessions"), lambda shown: f"{self.session[:8]}, port" in shown, "the session"
        )
        self.browser.until(text("states"), lambda shown: shown == "1 downloading", "the figures")
        self.browser.until(text("log"), lambda shown: "tiny 1: removed" in shown, "the log")
        self.rest.ok("DELETE", f"/v1/sessions/{self.session}")
        self.rows()
        self.browser.until(text("sessions"), lambda shown: shown == "", "no session")
        self.check_quiet()

    def test_a_download_comes_to_its_end(self) -> None:
        self.open(self.daemon.port)
        self.prepare()
        write_files(self.home / "seed", {"film": 300_000})
        torrent = make_torrent(self.home / "seed" / "film", "v1")
        seed = Seed(torrent, self.home / "seed")
        self.addCleanup(seed.close)
        infohash = self.rest.upload(self.path, torrent, save_path=".").json["infohash"]
        self.rest.ok("POST", f"{self.path}/{infohash}/peers", address=seed.address)
        rows = self.rows(**{f"t{infohash}": "seeding"})
        self.assertEqual(rows[infohash]["name"], "film")
        self.browser.until(ROWS, lambda rows: rows[infohash]["progress"] == "100 %", "all of it")
        self.assertEqual(self.browser.evaluate(ROWS)[infohash]["bar"], 1)
        self.check_quiet()

    def test_comes_back(self) -> None:
        """After a cut line the difference, after a restart of the daemon everything."""
        self.prepare()
        relay = Relay(self.daemon.port)
        self.addCleanup(relay.close)
        first, second = self.add(1), self.add(2)
        self.open(relay.port)
        self.rows(**{f"t{first}": "stopped", f"t{second}": "stopped"})
        relay.cut()
        self.status("not connected, trying again")
        self.rest.ok("DELETE", f"{self.path}/{first}")
        third = self.add(3)
        relay.mend()
        self.status("connected")
        self.rows(**{f"t{second}": "stopped", f"t{third}": "stopped"})
        told = [frame for frame in self.browser.frames() if frame.startswith("430[")]
        self.assertEqual(['"torrents":[' in frame for frame in told], [True, False])
        relay.cut()
        self.restart()
        self.rest.ok("DELETE", f"{self.path}/{second}")
        relay.mend()
        self.rows(**{f"t{third}": "stopped"})
        self.status("connected")


class ScriptTests(ExampleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.printed = ""
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "live.py"), f"http://127.0.0.1:{self.daemon.port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.addCleanup(self.close)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def shows(self, *rows: str) -> None:
        """Wait until the last table is these rows."""
        try:
            until(lambda: self.last() == sorted(rows), f"the table {rows}")
        except AssertionError as error:
            raise AssertionError(f"{error}; printed: {self.printed[-2000:]}") from None

    def last(self) -> list[str] | None:
        *_, last, _ = ["", *self.printed.split("\n\n")] if "\n\n" in self.printed else ["", "", ""]
        return sorted(" ".join(line.split()) for line in last.splitlines() if line)

    def test_keeps_the_table(self) -> None:
        self.prepare()
        first, second = self.add(1), self.add(2)
        self.shows("stopped tiny 1", "stopped tiny 2")
        self.rest.ok("PUT", f"{self.path}/{second}", pause=0)
        self.shows("stopped tiny 1", "downloading tiny 2")
        self.rest.ok("DELETE", f"{self.path}/{first}")
        self.shows("downloading tiny 2")
        self.restart()
        self.rest.ok("DELETE", f"{self.path}/{second}")
        self.add(3)
        self.shows("stopped tiny 3")
        self.assertNotIn("Traceback", self.printed)

    def test_is_short(self) -> None:
        code = (EXAMPLES / "live.py").read_text().rpartition('"""')[2]
        lines = [line for line in code.splitlines() if line.strip()]
        self.assertLessEqual(len(lines), 20, "\n".join(lines))
