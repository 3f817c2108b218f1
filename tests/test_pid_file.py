"""Which pid files are stale."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.pid_file import remove_if_stale


class PidFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.proc = Path(self.mktemp())
        (self.proc / "self").mkdir(parents=True)
        self.pid_file = Path(self.mktemp())

    def removed(self, content: bytes, command: bytes | None = None) -> bool:
        if command is not None:
            (self.proc / "77").mkdir(exist_ok=True)
            (self.proc / "77/cmdline").write_bytes(command)
        self.pid_file.write_bytes(content)
        removed = remove_if_stale(self.pid_file, self.proc)
        self.assertEqual(self.pid_file.exists(), not removed)
        return removed

    def test_running_daemon_keeps_its_file(self) -> None:
        self.assertFalse(self.removed(b"77", b"/usr/bin/python3\0/usr/bin/twistd\0resttorrent\0--root\0/x\0"))

    def test_other_programs(self) -> None:
        for command in (b"/sbin/init\0", b"python\0twistd\0web\0", b"vim\0resttorrent\0", b""):
            self.assertTrue(self.removed(b"77\n", command), command)

    def test_no_such_process(self) -> None:
        self.assertTrue(self.removed(b"78"))

    def test_ourselves_in_a_container(self) -> None:
        own = self.proc / str(os.getpid())
        own.mkdir()
        (own / "cmdline").write_bytes(b"twistd\0resttorrent\0")
        self.assertTrue(self.removed(str(os.getpid()).encode()))

    def test_left_by_a_power_cut(self) -> None:
        self.assertTrue(self.removed(b""))
        self.assertTrue(self.removed(b"\0\0\0"))

    def test_other_files_are_left(self) -> None:
        for content in (b"[Unit]", b"-1", b"12 13"):
            self.assertFalse(self.removed(content))

    def test_without_procfs(self) -> None:
        (self.proc / "self").rmdir()
        self.assertFalse(self.removed(b"78"))

    def test_no_file(self) -> None:
        self.assertFalse(remove_if_stale(self.pid_file, self.proc))
