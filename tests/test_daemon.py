"""``twistd resttorrent`` as a process: how it starts, how it fails to, how it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.options import OPTIONS

HERE = Path(__file__).resolve().parent.parent
REAL = [str(Path(sys.executable).with_name("twistd"))]
STANDIN = [sys.executable, "-m", "tests.standin_twistd"]
# Seconds; far more than any of this takes, so that only what hangs runs into it.
PATIENCE = 60


class ProcessCase(SynchronousTestCase):
    """A folder to run in, and an environment in which nothing of the developer's is left."""

    program = STANDIN

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        (self.folder / "home").mkdir(parents=True)
        self.state = self.folder / "state"
        self.pid_file = self.folder / "twistd.pid"
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
        self.environ = {**kept, "HOME": str(self.folder / "home"), "PYTHONPATH": str(HERE)}

    def command(self, twistd: list[str], *arguments: str) -> list[str]:
        return [*self.program, *twistd, "resttorrent", "--state-dir", str(self.state), *arguments]

    def run_to_end(self, command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def start(self, *arguments: str, twistd: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start in the foreground; return at readiness."""
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                self.command(["--nodaemon", *twistd], "--port=0", *arguments),
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.addCleanup(self.end, process)
        self.wait_for(lambda: self.listening().exists() or process.poll() is not None)
        self.assertIsNone(process.poll(), (self.folder / "log").read_text())
        return process

    def start_daemon(self, *arguments: str) -> int:
        """Start daemonised; return the process's id. Waits for the end of stderr, which it must let go."""
        started = self.run_to_end(self.command([], "--port=0", *arguments))
        self.assertEqual((started.returncode, started.stderr), (0, ""), self.log())
        pid = int(self.pid_file.read_text())
        self.addCleanup(self.end_daemon, pid)
        return pid

    def end(self, process: subprocess.Popen[bytes]) -> int:
        if process.poll() is None:
            process.terminate()
        return process.wait(PATIENCE)

    def end_daemon(self, pid: int) -> None:
        if self.alive(pid):
            os.kill(pid, signal.SIGTERM)
            self.wait_for(lambda: not self.alive(pid))

    def alive(self, pid: int) -> bool:
        """Tell whether a process runs and is ours: in a container nobody may have reaped it."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return str(self.state).encode() in words

    def left_running(self) -> list[int]:
        return [
            int(path.name)
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and self.alive(int(path.name))
        ]

    def wait_for(self, condition: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited in vain")
            time.sleep(0.01)

    def listening(self) -> Path:
        return self.state / "listening.json"

    def log(self) -> str:
        path = self.folder / "twistd.log"
        return path.read_text() if path.exists() else ""

    def umask(self, pid: int) -> str:
        status = Path(f"/proc/{pid}/status").read_text()
        return next(line.split()[1] for line in status.splitlines() if line.startswith("Umask:"))

    def assert_failed(self, ended: subprocess.CompletedProcess[str], line: str) -> None:
        self.assertEqual(ended.stderr, f"resttorrent: {line}\n")
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(self.left_running(), [])
        self.assertFalse(self.pid_file.exists())
        self.assertFalse(self.listening().exists())


class DaemonContract:
    """What holds for the service and for its stand-in."""

    def test_foreground(self: Any) -> None:
        process = self.start()
        document = json.loads(self.listening().read_text())
        self.assertEqual(document["pid"], process.pid)
        self.assertEqual(self.listening().stat().st_mode & 0o777, 0o600)
        (address,) = document["addresses"]
        socket.create_connection((address["host"], address["port"]), PATIENCE).close()
        self.assertEqual(address["host"], "127.0.0.1")
        self.assertEqual(self.umask(process.pid), "0022")
        self.assertEqual(self.end(process), 0)
        self.assertFalse(self.listening().exists())
        self.assertFalse(self.pid_file.exists())

    def test_daemonised(self: Any) -> None:
        pid = self.start_daemon()
        self.assertEqual(json.loads(self.listening().read_text())["pid"], pid)
        self.assertEqual(self.umask(pid), "0022")
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)
        self.end_daemon(pid)
        self.assertFalse(self.pid_file.exists())
        self.assertFalse(self.listening().exists())

    def test_umask_when_daemonised(self: Any) -> None:
        self.assertEqual(self.umask(self.start_daemon("--umask=0002")), "0002")

    def test_port_in_use(self: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            line = f"cannot listen on tcp:{port}:interface=127.0.0.1: address already in use"
            for twistd in (["--nodaemon"], []):
                self.assert_failed(self.run_to_end(self.command(twistd, f"--port={port}")), line)

    def test_stale_pid_file(self: Any) -> None:
        # A running program that is no twistd, and what a power cut leaves.
        for content in (str(os.getppid()), ""):
            self.pid_file.write_text(content)
            self.end_daemon(self.start_daemon())

    def test_pid_file_of_a_running_daemon(self: Any) -> None:
        self.start_daemon()
        again = self.run_to_end(self.command([], "--port=0"))
        self.assertEqual(again.returncode, 1)
        self.assertIn("Another twistd server is running", again.stderr)

    def test_wrong_value(self: Any) -> None:
        for twistd in (["--nodaemon"], []):
            ended = self.run_to_end(self.command(twistd, "--durability=none"))
            self.assert_failed(ended, "--durability: expected normal or full; not 'none'")
            self.assertEqual(ended.stdout, "")

    def test_json_log(self: Any) -> None:
        self.end(self.start("--log-format=json"))
        for line in (self.folder / "log").read_text().splitlines():
            self.assertEqual(
                set(json.loads(line)) & {"time", "level", "message"}, {"time", "level", "message"}
            )


class StandInTests(DaemonContract, ProcessCase):
    """The contract, and every way in which a start can fail."""

    def fails(self, ending: str, line: str) -> None:
        for twistd in (["--nodaemon"], []):
            self.assert_failed(self.run_to_end(self.command(twistd, "--port=0"), STANDIN=ending), line)
        self.assertIn(line, self.log())

    def test_fails_in_start_service(self) -> None:
        self.fails("fails", "it failed in startService")

    def test_fails_late(self) -> None:
        self.fails("fails late", "it failed late " + "and at length " * 20)

    def test_breaks(self) -> None:
        self.fails("breaks", r"cannot start: ZeroDivisionError('a mistake\nof ours')")
        self.assertIn("\tTraceback (most recent call last):\n", self.log())

    def test_is_killed(self) -> None:
        ended = self.run_to_end(self.command([], "--port=0"), STANDIN="is killed")
        self.assertEqual(ended.stderr, "resttorrent: the daemon died while it started; its log may say why\n")
        self.assertEqual((ended.returncode, self.left_running()), (1, []))

    def test_stopped_while_it_starts(self) -> None:
        with subprocess.Popen(
            self.command([], "--port=0"),
            cwd=self.folder,
            env={**self.environ, "STANDIN": "hangs"},
            stderr=subprocess.PIPE,
            text=True,
        ) as first:
            self.wait_for((self.state / "hangs").exists)
            os.kill(int(self.pid_file.read_text()), signal.SIGTERM)
            _, said = first.communicate(timeout=PATIENCE)
        self.assertEqual((said, first.returncode), ("resttorrent: stopped before it was ready\n", 1))
        self.assertEqual(self.left_running(), [])

    def test_under_twist(self) -> None:
        self.program = [sys.executable, "-m", "twisted"]
        ended = self.run_to_end(self.command([], "--port=x"))
        self.assert_failed(ended, "--port: expected a whole number from 0 to 65535; not 'x'")


class RealTests(DaemonContract, ProcessCase):
    """The contract, and what only the real one has."""

    program = REAL

    def test_second_daemon_on_one_state(self) -> None:
        first = self.start()
        again = self.run_to_end(self.command(["--nodaemon", "--pidfile="], "--port=0"))
        self.assertEqual(again.returncode, 1)
        self.assertEqual(len(again.stderr.splitlines()), 1)
        self.assertTrue(again.stderr.startswith("resttorrent: "))
        self.assertEqual(json.loads(self.listening().read_text())["pid"], first.pid)

    def test_debug(self) -> None:
        self.program = [sys.executable, str(HERE / "debug.py")]
        with subprocess.Popen(
            [*self.program, "--port=0", f"--state-dir={self.state}"],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.DEVNULL,
        ) as process:
            self.wait_for(lambda: self.listening().exists() or process.poll() is not None)
            self.assertIsNone(process.poll())
            process.terminate()
        self.assertEqual(process.returncode, 0)


class HelpTests(ProcessCase):
    """The help needs no working daemon."""

    program = REAL

    def test_help(self) -> None:
        ended = self.run_to_end([*self.program, "resttorrent", "--help"])
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        for option in OPTIONS:
            self.assertIn(f"--{option.name}" + ("" if option.flag else "="), ended.stdout)

    def test_listed(self) -> None:
        self.assertIn("resttorrent", self.run_to_end([*self.program, "--help"]).stdout)
