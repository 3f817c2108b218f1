"""What the fault tests share: a mount namespace, and a daemon that lives in it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from ..harness import Daemon, until
from ..swarm.case import SwarmCase


class Namespace:
    """
    A mount namespace of its own: what is mounted in it is seen by nobody else, and gone with it.

    :raises SkipTest: if this machine lets us make none.
    """

    def __init__(self) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
            raise SkipTest("needs root, unshare and nsenter")
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise SkipTest("no mount namespace can be made here")

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command line begins with that is to run inside."""
        return ("nsenter", f"--target={self._holder.pid}", "--mount", "--")

    def run(self, *command: str) -> None:
        """Run a command inside; it must succeed."""
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)

    def mount(self, where: Path, options: str = "") -> None:
        """Mount an empty tmpfs."""
        where.mkdir(parents=True, exist_ok=True)
        self.run("mount", "-t", "tmpfs", *(["-o", options] if options else []), "tmpfs", str(where))

    def path(self, inside: Path) -> Path:
        """A path from outside to what is at this path inside."""
        return Path(f"/proc/{self._holder.pid}/root{inside}")

    def close(self) -> None:
        if self._holder.poll() is None:
            self._holder.kill()
        self._holder.wait()
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()


class WrappedDaemon(Daemon):
    """
    A daemon whose command line begins with another's: ``nsenter``, ``prlimit``, ``strace``.

    :param outer: what it begins with; :param namespace: where its files are looked for.
    :param before: Python that runs before the daemon.
    """

    def __init__(
        self,
        home: Path,
        *options: str,
        outer: tuple[str, ...] = (),
        namespace: Namespace | None = None,
        before: str = "",
    ) -> None:
        super().__init__(home, *options)
        self._program = f"{before}\nfrom twisted.scripts.twistd import run; run()"
        self._outer = outer if namespace is None else (*namespace.prefix, *outer)
        self.seen_state = self.state if namespace is None else namespace.path(self.state)

    def launch(self, port: int = 0) -> None:
        (self.seen_state / "listening.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._outer,
                    sys.executable, "-c", self._program,
                    "-n", "--pidfile=", "resttorrent",
                    "--port", str(port), "--state-dir", str(self.state), "--root", str(self.root),
                    "--peer-interface", "127.0.0.1", "--discovery", "off", *self._options,
                ],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def _announced_port(self) -> int:
        assert self.process.poll() is None, self.log_text()
        try:
            announced = json.loads((self.seen_state / "listening.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return 0
        return int(announced["addresses"][0]["port"])


class FaultCase(SwarmCase):
    """A test with a daemon that something befalls."""

    def start_wrapped(self, *options: str, **wrapping: Any) -> None:
        """Start a daemon as ``WrappedDaemon`` describes, instead of ``start_daemon``."""
        self.daemon = WrappedDaemon(self.home / "daemon", *options, **wrapping)
        self.addCleanup(self._end_daemon)
        self._start()

    def namespace(self) -> Namespace:
        namespace = Namespace()
        self.addCleanup(namespace.close)
        return namespace

    def reasons(self) -> list[str]:
        """The codes of what ``/health`` finds wrong; the daemon must serve."""
        answer = self.client.ok("GET", "/health")
        codes = [reason["code"] for reason in answer["reasons"]]
        self.assertEqual(answer["health"], "degraded" if codes else "ok")
        return codes

    def until_reasons(self, *codes: str) -> None:
        until(lambda: self.reasons() == list(codes), f"/health to say {codes}")

    def complete(self, session: str, folder: str = "dl", **options: Any) -> tuple[str, Any]:
        """A torrent that the daemon has, stored as complete: its key and its payload."""
        payload = self.payload(**options)
        infohash = self.add_magnet(session, self.seed(payload).magnet, folder)
        self.until_state(session, infohash, "seeding")
        self.assert_same(payload, folder)
        self.until_completion_is_stored(session, infohash)
        return infohash, payload
