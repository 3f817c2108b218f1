"""
A run's folder and its processes, all gone at its end whatever happens; and the daemon that many themes share.

Only processes that were started here are ended, by their own ids.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from tests.harness import PORTS, Daemon, tiny_torrent

from .figures import Figures, tell
from .machine import settled_kib
from .wire import Wire, encoded_file, get, send_json

BATCH = 500
WARM = 10
"""Torrents that a daemon has before its memory is measured."""


class Child:
    """A process that runs a module, which answers each line of JSON with one."""

    def __init__(self, project: Path, module: str) -> None:
        self._module = module
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=project,
        )  # fmt: skip

    def do(self, what: str, **arguments: Any) -> Any:
        """Have one of its methods called."""
        self.begin(what, **arguments)
        return self.result()

    def begin(self, what: str, **arguments: Any) -> None:
        """Have one of its methods called; ``result`` waits for what it gives."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()

    def result(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended")
        return json.loads(line)


class Loaded:
    """
    A daemon with many tiny stopped torrents in a session that outlives it.

    :ivar torrents: the path of its list; :ivar before, after: resident KiB around the load.
    """

    def __init__(self, daemon: Daemon, count: int) -> None:
        self.daemon = daemon
        self.count = count
        self.wire = Wire(daemon.port)
        self.session_id = new_session(self.wire)
        self.torrents = f"/v1/sessions/{self.session_id}/torrents"
        self._add(0, WARM)
        self.wire.json(get(self.torrents + "?fields=infohash"))
        self.before = settled_kib(daemon.process.pid)
        self.seconds = self._add(WARM, count - WARM)
        self.lag = lag_of(self.wire)
        self.after = settled_kib(daemon.process.pid)

    def _add(self, first: int, count: int) -> float:
        spent = 0.0
        for begin in range(first, first + count, BATCH):
            numbers = range(begin, min(begin + BATCH, first + count))
            request = json_batch(self.torrents, numbers)
            seconds, answer = self.wire.timed(request)
            check_batch(answer.json())
            spent += seconds
        return spent

    def reconnect(self) -> None:
        """The daemon was started again."""
        self.wire.close()
        self.wire = Wire(self.daemon.port)


class Workshop:
    """
    Where a run takes place.

    :param options: the command line's.
    """

    def __init__(self, options: Namespace, figures: Figures) -> None:
        self.options = options
        self.figures = figures
        self.folder = Path(tempfile.mkdtemp(prefix="resttorrent-bench-", dir=options.dir))
        self._project = Path(__file__).resolve().parent.parent
        self._daemons: list[Daemon] = []
        self._children: list[subprocess.Popen[str]] = []
        self._loaded: Loaded | None = None

    def daemon(self, name: str) -> Daemon:
        """A daemon of its own, started."""
        daemon = Daemon(self.folder / name)
        self._daemons.append(daemon)
        return daemon.start()

    def child(self, module: str) -> Child:
        """A process that runs one of the benchmark's modules."""
        child = Child(self._project, module)
        self._children.append(child.process)
        return child

    def raw(self) -> Child:
        """A raw libtorrent session in a process of its own."""
        return self.child("bench.raw_child")

    def echo(self) -> tuple[int, int]:
        """The Socket.IO library's echo application in a process of its own; its id and port."""
        echo = subprocess.Popen(
            [
                sys.executable, "-m", "tests.socketio.echo_server", "--mode", "sio", "--port", "0",
                "--ping-interval", "25", "--ping-timeout", "20",
            ],
            stdout=subprocess.PIPE, text=True, cwd=self._project,
        )  # fmt: skip
        self._children.append(echo)
        assert echo.stdout is not None
        return echo.pid, int(echo.stdout.readline().rpartition(" ")[2])

    def end(self, process: "subprocess.Popen[str]") -> None:
        """End a process that is no longer needed."""
        self._children.remove(process)
        process.kill()
        process.wait()

    def loaded(self) -> Loaded:
        """The daemon with many torrents, made when first asked for."""
        if self._loaded is None:
            tell(f"loading {self.options.torrents:,} torrents …")
            self._loaded = Loaded(self.daemon("loaded"), self.options.torrents)
            self.report_lag(f"load of {self.options.torrents:,}", self._loaded.daemon, self._loaded.lag)
        return self._loaded

    def report_lag(self, during: str, daemon: Daemon, lag: dict[str, float]) -> None:
        """The reactor's turns of a whole daemon's life so far, and its log's lines on the long ones."""
        add = self.figures.add
        note = f"{lag['turns']:,} turns"
        add("lag", f"turns during {during}, p99", lag["p99_ms"], "ms", at_most=50, note=note)
        add(
            "lag", f"longest turn during {during}", lag["longest_ms"], "ms",
            note=f"{lag['long_turns']} longer than 50 ms; probe at most {lag['probe_late_ms']} ms late",
        )  # fmt: skip
        for line in daemon.log_text().splitlines():
            if "a turn of the reactor lasted" in line:
                self.figures.remark(f"{during}: {line.partition('a turn of the reactor ')[2]}")

    def discard(self, daemon: Daemon) -> None:
        """End a daemon that is no longer needed and delete its folder."""
        self._daemons.remove(daemon)
        _end(daemon)
        shutil.rmtree(daemon.home, ignore_errors=True)

    def close(self) -> None:
        """End every process that was started here, and delete the folder."""
        for process in self._children:
            process.kill()
            process.wait()
        for daemon in self._daemons:
            _end(daemon)
        shutil.rmtree(self.folder, ignore_errors=True)


def _end(daemon: Daemon) -> None:
    if daemon.process.poll() is None:
        daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait()


def new_session(wire: Wire) -> str:
    """A session that outlives the daemon; its id."""
    answer = wire.json(send_json("POST", "/v1/sessions", {"port_range": PORTS, "memory_only": 0}))
    return str(answer["session"]["id"])


def json_batch(path: str, numbers: range) -> bytes:
    """An add_torrents request for tiny torrents, stopped."""
    items = [encoded_file(tiny_torrent(number)) for number in numbers]
    return send_json("POST", path + "/batch", {"save_path": "tiny", "autostart": 0, "torrents": items})


def check_batch(answer: Any) -> None:
    """Refuse a batch of which anything failed."""
    failed = [result for result in answer["results"] if result["http_status"] != 201]
    if failed:
        raise RuntimeError(f"{len(failed)} adds of a batch failed: {failed[0]}")


def lag_of(wire: Wire) -> dict[str, float]:
    """The daemon's own account of its turns."""
    lag: dict[str, float] = wire.json(get("/health"))["lag"]
    return lag


def wait_until_quiet(wire: Wire, path: str) -> int:
    """Wait until three looks in a row find nothing new; the revision then."""
    rev = int(wire.json(get(f"{path}?fields=infohash&limit=1"))["rev"])
    quiet = 0
    while quiet < 3:
        time.sleep(0.02)
        now = int(wire.json(get(f"{path}?fields=infohash&since={rev}"))["rev"])
        quiet = quiet + 1 if now == rev else 0
        rev = now
    return rev
