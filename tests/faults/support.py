"""What the fault tests share: a mount namespace, a daemon that lives in it, disks that are full."""

import errno
import os
import shutil
import subprocess
from collections.abc import Sequence
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


def fill(folder: Path) -> Path:
    """Leave no byte free on the disk that a folder lies on; the file to delete afterwards."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return filler


class FaultCase(SwarmCase):
    """A test with a daemon that something befalls."""

    def start_wrapped(
        self,
        *options: str,
        outer: Sequence[str] = (),
        namespace: Namespace | None = None,
        before: str = "",
    ) -> None:
        """Start a daemon in a namespace, behind another command, or after some Python."""
        inside: dict[str, Any] = {"outer": outer}
        if namespace is not None:
            inside = {"outer": (*namespace.prefix, *outer), "seen": namespace.path}
        self.daemon = Daemon(self.home / "daemon", *options, before=before, **inside)
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
