"""The README: its tour works as pasted, and its table of commands is the registry's."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase

from tests.harness import Daemon, until
from tests.reference import REGISTRY, blocks_of, route_of, section_of

HERE = Path(__file__).resolve().parent.parent
README = (HERE / "README.rst").read_text()
DONE = "-- block done --"
START = "make run ARGS="


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Terminal:
    """One bash that stops at the first command that fails, as nobody would who pastes."""

    def __init__(self, home: Path) -> None:
        self._output = home / "terminal.log"
        self._seen = 0
        with self._output.open("wb") as output:
            self._bash = subprocess.Popen(
                ["bash", "-eo", "pipefail"],
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                cwd=HERE, env={**os.environ, "HOME": str(home)}, start_new_session=True,
            )  # fmt: skip

    def paste(self, block: str) -> str:
        """Run a block; what it printed, once it has come to its end with success."""
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{block}\necho; echo {shlex.quote(DONE)}\n".encode())
        self._bash.stdin.flush()
        until(lambda: DONE in self._news() or self._bash.poll() is not None, "a block to end", 180)
        printed, done, _ = self._news().partition(DONE)
        assert done, f"failed:\n{block}\nprinted:\n{printed}"
        self._seen += len(printed) + len(done)
        return printed

    def _news(self) -> str:
        return self._output.read_text(errors="replace")[self._seen :]

    def close(self) -> None:
        """End it, and whatever it left in the background."""
        assert self._bash.stdin is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        self._bash.stdin.close()


class TourTests(SynchronousTestCase):
    """The tour in one terminal, the daemon in another."""

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="readme-"))
        self.addCleanup(rmtree, self.home)
        self.blocks = blocks_of(section_of(README, "A five-minute tour"), "sh")
        self.daemon: Daemon | None = None
        self.web_port = free_port()

    def first_terminal(self, block: str) -> None:
        """What ``make run`` does, by way of the harness, so that port and folders are the test's own."""
        options = shlex.split(block.removeprefix(START))
        words = shlex.split(options[0])
        self.assertEqual(
            words[:6], ["--port", "8080", "--root", "~/tour/payload", "--state-dir", "~/tour/state"]
        )
        if self.daemon is None:
            self.daemon = Daemon(self.home / "tour", *words[6:])
            self.daemon.root = self.home / "tour" / "payload"
            self.addCleanup(self.daemon.stop)
            self.daemon.start()
        else:
            self.daemon.process.wait()
            self.daemon.launch(self.daemon.port)

    def second_terminal(self, terminal: Terminal, block: str) -> str:
        assert self.daemon is not None
        try:
            return terminal.paste(self.adapted(block))
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe daemon's log:\n{self.daemon.log_text()}") from None

    def adapted(self, block: str) -> str:
        assert self.daemon is not None
        for written, meant in (
            ("localhost:8080", f"127.0.0.1:{self.daemon.port}"),
            ("8081", str(self.web_port)),
            (".venv/bin/python", shlex.quote(sys.executable)),
        ):
            block = block.replace(written, meant)
        return block

    def test_tour(self) -> None:
        terminal = Terminal(self.home)
        self.addCleanup(terminal.close)
        printed = []
        for block in self.blocks:
            if block.startswith(START):
                self.first_terminal(block)
            else:
                printed.append(self.second_terminal(terminal, block))
                self.assertNotIn('"fail"', printed[-1])
        tour = "".join(printed)
        self.assertIn('"state":"seeding"', tour)
        self.assertIn("the same\n", tour)
        # live: one of the two torrents stopped, then the stream and the log
        self.assertIn("stopped  noise.bin\n", tour)
        self.assertRegex(tour, r'event: v1/torrents\nid: \d+\ndata: \{"status":"success"')
        self.assertIn('"event": "torrent_stopped"', tour)
        self.assertEqual(len(re.findall(r'"progress": ', tour)), 3, tour)
        self.assertIn('"state": "stopped"', printed[-2])
        self.assertIn('"health": "ok"', printed[-1])
        self.assertEqual((self.home / "tour/payload/a/noise.bin").stat().st_size, 50_000_000)
        assert self.daemon is not None
        self.assertEqual(self.daemon.tracebacks(), [], self.daemon.log_text())

    def test_it_starts_by_make_run(self) -> None:
        # else the tour would run against no daemon at all
        self.assertEqual(sum(block.startswith(START) for block in self.blocks), 2)


class TableTests(SynchronousTestCase):
    def test_commands(self) -> None:
        """Every command stands in the table with its route, in the registry's order of nouns."""
        row = re.compile(r"^(\w+)  +([A-Z]+ \S+|Socket\.IO only)  +\S", re.MULTILINE)
        table = dict(row.findall(section_of(README, "Commands")))
        torrent = "/v1/sessions/{session_id}/torrents"
        routes = {command.name: route_of(command).strip("`") for command in REGISTRY}
        written = {name: route.replace("…/torrents", torrent) for name, route in table.items()}
        self.assertEqual(written, routes)

    def test_defaults(self) -> None:
        """The defaults that the README names are the registry's."""
        defaults = {p.name: p.default for p in REGISTRY.named("create_session").parameters}
        self.assertEqual((defaults["memory_only"], defaults["port_range"]), (True, (6881, 6891)))
        added = {p.name: p for p in REGISTRY.named("add_torrent").parameters}
        self.assertTrue(added["save_path"].required)
        self.assertIsNone(added["memory_only"].default)
