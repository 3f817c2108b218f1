"""A save root that is not mounted: its torrents wait, nothing is written there, nothing is checked anew."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from resttorrent.paths.presence import MARKER
from resttorrent.store import statements
from resttorrent.store.database import DATABASE_NAME
from resttorrent.store.records import Deletion

from ..harness import Seed, contents, until
from ..swarm.case import Payload
from ..swarm.test_restart import spoil
from .support import FaultCase


class AwayTests(FaultCase):
    """The root is renamed away, and an empty folder lies in its place, as under a disk that was unmounted."""

    def setUp(self) -> None:
        super().setUp()
        self.away = self.home / "away"

    def unmount(self) -> None:
        self.daemon.root.rename(self.away)
        self.daemon.root.mkdir()

    def mount(self) -> None:
        # what was made in the mount point would be hidden; here it would be in the way, and is a defect
        self.assertEqual(os.listdir(self.daemon.root), [])  # noqa: PTH208
        self.daemon.root.rmdir()
        self.away.rename(self.daemon.root)

    def test_torrents_wait_and_come_back(self) -> None:
        self.start_daemon()
        session = self.client.session(memory_only=0)
        infohash, _ = self.complete(session)
        stopped, _ = self.complete(session, "other", name="other")
        self.pause(session, stopped, 1)
        marker = (self.daemon.root / MARKER).read_text()
        self.unmount()
        row = self.until_state(session, infohash, "missing_files")
        self.assertIn(f"save root {self.daemon.root} is not mounted", row["error"])
        self.assertEqual(self.reasons(), ["root_missing"])
        # held: libtorrent itself has it stopped
        until(lambda: not self.row(session, infohash)["auto_managed"], "the torrent to be held")
        # whatever is asked meanwhile: it is refused, and nothing is made
        refused = self.client.upload(
            f"/v1/sessions/{session}/torrents", self.payload(name="new").torrent, save_path="dl"
        )
        self.assert_fails(refused, 503, "root_missing", "save_path")
        self.assert_fails(self.pause(session, infohash, 0), 503, "root_missing")
        self.assert_fails(self.remove(session, infohash, delete_files=1), 503, "root_missing")
        self.assertEqual(len(self.rows(session)), 2)
        self.assertEqual(self.row(session, stopped)["state"], "stopped")
        # if anything were checked, this would be found
        spoil(self.away / "dl" / "payload")
        self.mount()
        row = self.until_state(session, infohash, "seeding")
        self.assertEqual((row["progress"], row["complete"], row["error"]), (1.0, True, None))
        self.assertEqual(self.row(session, stopped)["state"], "stopped")
        self.until_reasons()
        self.assertEqual((self.daemon.root / MARKER).read_text(), marker)
        # and it serves again, what was asked of it
        self.assertEqual(self.remove(session, infohash, delete_files=1).status, 200)
        self.assertEqual(contents(self.daemon.root / "dl"), {})

    def test_missing_at_the_start(self) -> None:
        for kill in (False, True):
            with self.subTest(kill=kill):
                self.home = Path(self.mktemp()).resolve()
                self.away = self.home / "away"
                self.start_daemon()
                session = self.client.session(memory_only=0)
                infohash, _ = self.complete(session)
                self.end(kill=kill)
                self.unmount()
                self._start()
                self.until_state(session, infohash, "missing_files")
                self.assertEqual(self.reasons(), ["root_missing"])
                # a second start in a row finds the same
                self.restart(kill=kill)
                row = self.until_state(session, infohash, "missing_files")
                self.assertIn("not mounted", row["error"])
                spoil(self.away / "dl" / "payload")
                self.mount()
                row = self.until_state(session, infohash, "seeding")
                self.assertEqual((row["progress"], row["complete"]), (1.0, True))
                self.until_reasons()
                self.client.close()
                self.daemon.stop()

    def interrupted(self) -> tuple[str, str, Payload, Seed]:
        """A download whose root went missing: its session, key and payload, and who has that."""
        self.start_daemon()
        session = self.client.session(memory_only=0)
        payload = self.payload(3_000_000)
        seed = self.seed(payload, upload_limit=300_000)
        infohash = self.add_magnet(session, seed.magnet)
        self.until_begun(session, infohash)
        self.unmount()
        self.until_state(session, infohash, "missing_files")
        return session, infohash, payload, seed

    def complete_from(self, seed: Seed, session: str, infohash: str) -> None:
        """Have the rest downloaded."""
        seed.limit_upload(0)
        self.until_state(session, infohash, "downloading", "seeding")
        self.connect(session, infohash, seed.address)
        self.until_state(session, infohash, "seeding")

    def test_download_goes_on(self) -> None:
        """What had arrived before is not lost, what arrives after is whole."""
        session, infohash, payload, seed = self.interrupted()
        # held: it has left its peers
        until(lambda: seed.num_peers == 0, "the peers to be left")
        self.assertEqual(contents(self.daemon.root), {})
        self.mount()
        self.complete_from(seed, session, infohash)
        self.assert_same(payload)

    def test_written_in_the_wrong_place(self) -> None:
        """What libtorrent wrote there before it was held is no part of the torrent: that is checked."""
        session, infohash, payload, seed = self.interrupted()
        stray = self.daemon.root / "dl" / "payload"
        stray.parent.mkdir()
        stray.write_bytes(b"x")
        until(
            lambda: "is checked when that is back" in self.daemon.log_text(), "the stray file to be noticed"
        )
        stray.unlink()
        stray.parent.rmdir()
        # what had arrived is lost, whichever pieces those were: only the check can tell
        lost = self.away / "dl" / "payload"
        status = lost.stat()
        lost.write_bytes(bytes(status.st_size))
        os.utime(lost, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.mount()
        self.complete_from(seed, session, infohash)
        self.assert_same(payload)

    def test_deletion_waits_for_the_root(self) -> None:
        """A deletion that a killed daemon has left must not take an empty mount point for its end."""
        self.start_daemon()
        session = self.client.session(memory_only=0)
        infohash, _ = self.complete(session)
        self.end(kill=True)
        self._remember_deletion(session, infohash)
        self.unmount()
        self._start()
        self.until_reasons("root_missing")
        self.restart(kill=False)
        self.until_reasons("root_missing")
        self.end(kill=False)
        self.mount()
        self._start()
        until(lambda: contents(self.daemon.root / "dl") == {}, "the files to be deleted")

    def _remember_deletion(self, session: str, infohash: str) -> None:
        deletion = Deletion(str(self.daemon.root / "dl"), ["payload"])
        with closing(sqlite3.connect(self.daemon.state / DATABASE_NAME)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            statements.remove_torrent(connection, session, infohash, deletion)

    def test_another_disk(self) -> None:
        """Another root in its place is refused, until a person says that it is the one."""
        self.start_daemon()
        session = self.client.session(memory_only=0)
        infohash, _ = self.complete(session)
        self.unmount()
        (self.daemon.root / MARKER).write_text("0" * 32 + "\n")
        row = self.until_state(session, infohash, "missing_files")
        self.assertIn("another one", row["error"])
        (self.daemon.root / MARKER).write_text("")
        self.until_reasons()
        self.assertEqual((self.daemon.root / MARKER).read_text(), (self.away / MARKER).read_text())

    def test_deleted_marker_is_made_again(self) -> None:
        self.start_daemon()
        session = self.client.session(memory_only=0)
        self.complete(session)
        marker = self.daemon.root / MARKER
        before = marker.read_text()
        marker.unlink()
        until(lambda: marker.exists() and marker.read_text() == before, "the marker to be there again")
        self.assertEqual(self.reasons(), [])


class MountedTests(FaultCase):
    """A real mount, in a mount namespace of the daemon's own."""

    def test_unmounted_and_mounted_again(self) -> None:
        namespace = self.namespace()
        root, shelf = self.home / "daemon" / "root", self.home / "shelf"
        namespace.mount(shelf)
        root.mkdir(parents=True)
        namespace.run("mount", "--bind", str(shelf), str(root))
        self.start_wrapped(namespace=namespace)
        session = self.client.session(memory_only=0)
        payload = self.payload()
        infohash = self.add_magnet(session, self.seed(payload).magnet)
        self.until_state(session, infohash, "seeding")
        self.assertEqual(os.listdir(root), [])  # noqa: PTH208
        inside = namespace.path(shelf)
        until(lambda: contents(inside / "dl") == payload.files, "the payload to be on the disk")
        # libtorrent has its files open: as of a disk that was pulled
        namespace.run("umount", "--lazy", str(root))
        self.until_state(session, infohash, "missing_files")
        self.assertEqual(self.reasons(), ["root_missing"])
        self.assertEqual(os.listdir(root), [])  # noqa: PTH208
        spoil(inside / "dl" / "payload")
        namespace.run("mount", "--bind", str(shelf), str(root))
        row = self.until_state(session, infohash, "seeding")
        self.assertEqual((row["progress"], row["error"]), (1.0, None))
        self.until_reasons()
