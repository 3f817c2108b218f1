"""What the store's tests share: records, and children that can be killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from resttorrent.store.records import SessionRecord, TorrentRecord

SESSION = "5e" * 16
PROJECT = Path(__file__).parents[2]


def session_record(session_id: str = SESSION) -> SessionRecord:
    return SessionRecord(session_id, (6881, 6891), 6881, ("127.0.0.1", "::1"), False)


def infohash(number: int) -> str:
    return f"{number:040x}"


def torrent_record(number: int = 1, session_id: str = SESSION, **changes: Any) -> TorrentRecord:
    fields: dict[str, Any] = {
        "session_id": session_id,
        "infohash": infohash(number),
        "infohash_v1": infohash(number),
        "infohash_v2": None,
        "magnet": None,
        "save_path": "/data/ü",
        "storage_mode": "sparse",
        "stopped": True,
        "done": False,
        "added_time": 1_790_000_000 + number,
        "row": b'{"name":"a"}',
    }
    return TorrentRecord(**(fields | changes))


class Child:
    """``tests.store.child`` in a process of its own; each line it prints is an acknowledgement."""

    def __init__(self, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        command = [*prefix, sys.executable, "-m", "tests.store.child", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin: IO[str] = self.process.stdin
        self.stdout: IO[str] = self.process.stdout

    def line(self) -> str:
        return self.stdout.readline().rstrip("\n")

    def kill(self) -> list[str]:
        """
        End it by SIGKILL.

        :return: the lines that it had printed and nobody had read.
        """
        self.process.send_signal(signal.SIGKILL)
        return self.finish()

    def finish(self) -> list[str]:
        """Close its input, wait for its end, return the lines left."""
        rest = self.stdout.read().splitlines()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()
        return rest
