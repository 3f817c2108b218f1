"""The state directory is private and has one holder."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.store.refusals import StateDirInUse, StateDirUnusable
from resttorrent.store.statelock import (
    LOCK_NAME,
    StateLock,
    create_private_file,
    make_private_directory,
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


class PrivateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def umask(self, mask: int) -> None:
        self.addCleanup(os.umask, os.umask(mask))

    def test_open_umask(self) -> None:
        """Missing parents must not be open to the world either."""
        self.umask(0)
        make_private_directory(self.folder / "a" / "b")
        create_private_file(self.folder / "a" / "b" / "file")
        self.assertEqual(mode(self.folder / "a"), 0o700)
        self.assertEqual(mode(self.folder / "a" / "b"), 0o700)
        self.assertEqual(mode(self.folder / "a" / "b" / "file"), 0o600)

    def test_narrow_umask(self) -> None:
        self.umask(0o277)
        make_private_directory(self.folder / "a")
        create_private_file(self.folder / "a" / "file")
        self.assertEqual(mode(self.folder / "a"), 0o700)
        self.assertEqual(mode(self.folder / "a" / "file"), 0o600)

    def test_existing_is_tightened(self) -> None:
        self.folder.chmod(0o755)
        file = self.folder / "file"
        file.write_bytes(b"content")
        file.chmod(0o644)
        make_private_directory(self.folder)
        create_private_file(file)
        self.assertEqual((mode(self.folder), mode(file)), (0o700, 0o600))
        self.assertEqual(file.read_bytes(), b"content")

    def test_shared_folder(self) -> None:
        """A folder like /tmp is not ours to close to the others."""
        self.folder.chmod(0o1777)
        self.assertRaises(StateDirUnusable, make_private_directory, self.folder)
        self.assertEqual(mode(self.folder), 0o1777)

    def test_not_a_folder(self) -> None:
        (self.folder / "file").write_bytes(b"")
        error = self.assertRaises(StateDirUnusable, make_private_directory, self.folder / "file" / "below")
        self.assertIn(str(self.folder / "file" / "below"), str(error))


class StateLockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_second_holder(self) -> None:
        lock = StateLock(self.folder)
        error = self.assertRaises(StateDirInUse, StateLock, self.folder)
        self.assertEqual(error.pid, os.getpid())
        self.assertEqual(str(error), f"The state directory {self.folder} is in use by process {os.getpid()}.")
        lock.release()
        StateLock(self.folder).release()

    def test_stale_file(self) -> None:
        """What a dead process left behind is no lock."""
        (self.folder / LOCK_NAME).write_text("123456789\n")
        lock = StateLock(self.folder)
        self.addCleanup(lock.release)
        self.assertEqual((self.folder / LOCK_NAME).read_text(), f"{os.getpid()}\n")
        self.assertEqual(mode(self.folder / LOCK_NAME), 0o600)

    def test_holder_unknown(self) -> None:
        lock = StateLock(self.folder)
        self.addCleanup(lock.release)
        (self.folder / LOCK_NAME).write_text("?")
        error = self.assertRaises(StateDirInUse, StateLock, self.folder)
        self.assertIn("another process", str(error))

    def test_no_lock_file_possible(self) -> None:
        (self.folder / LOCK_NAME).mkdir()
        self.assertRaises(StateDirUnusable, StateLock, self.folder)
