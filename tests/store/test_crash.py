"""Real processes: killed while they write, two on one directory, and what they ask of the disk."""

import random
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.store.database import Database
from tests.store.support import SESSION, Child

ROUNDS = 4
FLUSHED = re.compile(r"fdatasync\(\d+<[^>]*state\.db-wal>(\) += 0| <unfinished)")


class KillTests(SynchronousTestCase):
    def test_kill(self) -> None:
        """Whatever was answered is there after SIGKILL at any moment, and the database is sound."""
        for seed in range(ROUNDS):
            folder = Path(self.mktemp()).absolute()
            child = Child("write", str(folder))
            lines = [child.line() for _ in range(random.Random(seed).randint(1, 400))]
            lines += child.kill()
            self.assertEqual(lines[0], "open True")
            self.check(folder, [line.split() for line in lines[1:]])

    def check(self, folder: Path, answered: list[list[str]]) -> None:
        said = {word: {int(line[1]) for line in answered if line[0] == word} for word in ("added", "removed")}
        database = Database(folder, "normal", lambda: 0.0)
        self.assertFalse(database.open().clean)
        database.close(False)
        with closing(sqlite3.connect(folder / "state.db")) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertEqual(connection.execute("PRAGMA foreign_key_check").fetchall(), [])
            query = (
                "SELECT infohash, stopped, resume.data FROM torrents "
                "JOIN metainfo ON metainfo.torrent = torrents.number AND length(metainfo.data) = 3000 "
                "LEFT JOIN resume ON resume.torrent = torrents.number WHERE session_id = ?"
            )
            found = {
                int(key, 16): (stopped, data) for key, stopped, data in connection.execute(query, (SESSION,))
            }
        self.assertEqual(said["added"] - said["removed"] - found.keys(), self.perhaps_removed(said, found))
        self.assertEqual(said["removed"] & found.keys(), set())
        for word, number, *more in answered:
            if word == "stopped":
                self.assertEqual(found[int(number)][0], 1)
            elif word == "saved":
                self.assertEqual(found[int(number)][1], b"r" + more[0].encode())

    @staticmethod
    def perhaps_removed(said: dict[str, set[int]], found: dict[int, tuple[int, bytes]]) -> set[int]:
        """A removal may have been committed whose answer was not heard: the last one asked for."""
        candidates = {number for number in said["added"] - said["removed"] if number % 7 == 4}
        return {number for number in candidates if number == max(candidates) and number not in found}


class TwoProcessesTests(SynchronousTestCase):
    def test_one_lock(self) -> None:
        folder = Path(self.mktemp()).absolute()
        first = Child("once", str(folder))
        self.assertEqual([first.line(), first.line()], ["open True", "written"])
        second = Child("once", str(folder))
        self.assertEqual(
            second.finish(),
            [f"StateDirInUse The state directory {folder} is in use by process {first.process.pid}."],
        )
        self.assertEqual(first.kill(), [])
        third = Child("once", str(folder))
        self.assertEqual(third.line(), "open False")
        third.kill()


class TracedTests(SynchronousTestCase):
    """With strace between the store and the disk."""

    def setUp(self) -> None:
        if shutil.which("strace") is None:
            raise self.skipTest("strace is not installed")
        self.folder = Path(self.mktemp()).absolute()
        self.trace = Path(self.mktemp()).absolute()

    def traced(self, mode: str, *options: str) -> Child:
        prefix = ("strace", "-f", "-y", "-o", str(self.trace), *options)
        return Child(mode, str(self.folder), prefix=prefix)

    def test_fdatasync_follows(self) -> None:
        """After the last commit nothing is asked of the store, and the WAL is flushed all the same."""
        child = self.traced("once", "-e", "trace=fdatasync,pwrite64,write")
        self.assertEqual([child.line(), child.line()], ["open True", "written"])
        flushed = False
        while not flushed:
            time.sleep(0.02)
            self.assertIsNone(child.process.poll())
            _, said, after = self.trace.read_text().partition('"written\\n"')
            flushed = bool(said) and FLUSHED.search(after) is not None
        child.stdin.close()
        child.process.wait()
        child.stdout.close()

    def test_failing_fsync(self) -> None:
        """SQLite's own fsync fails: those writes fail clearly, the database is opened anew and gets well."""
        child = self.traced("errors", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=20..25")
        lines = child.finish()
        self.assertEqual(lines[0], "open True")
        self.assertRegex(lines[1], "failed state_disk_error The disk .* failed .*disk I/O error")
        self.assertEqual(lines[2:], ["well True", "closed"])
