"""Full disks and disks that become read-only: what fails, what goes on, and that it heals."""

import os
import subprocess
import sys
from contextlib import closing

from resttorrent.store.ballast import BALLAST_NAME, BALLAST_SIZE

from ..harness import Client, tiny_torrent, until
from .support import FaultCase, Namespace, fill


class StateDiskTests(FaultCase):
    """The disk of the state is a tmpfs of its own."""

    def start_on(self, size: str) -> Namespace:
        namespace = self.namespace()
        namespace.mount(self.home / "daemon" / "state", f"size={size},mode=0700")
        self.start_wrapped(namespace=namespace)
        self.state = namespace.path(self.daemon.state)
        return namespace

    def add_until(self, session: str, status: int, first: int) -> list[int]:
        """Add torrents until one is answered so; the numbers of those that were taken before."""
        taken: list[int] = []
        while True:
            number = first + len(taken)
            answer = self.client.upload(
                f"/v1/sessions/{session}/torrents", tiny_torrent(number), save_path=".", autostart="0"
            )
            if answer.status == status:
                return taken
            self.assertEqual(answer.status, 201, answer.body)
            taken.append(number)

    def test_full(self) -> None:
        self.start_on("6m")
        ballast = self.state / BALLAST_NAME
        self.assertEqual(ballast.stat().st_blocks * 512, BALLAST_SIZE)
        session = self.client.session(memory_only=0)
        infohash = self.add(session, self.payload(name="early"), autostart="0")
        unwanted = self.add(session, self.payload(name="unwanted"), autostart="0")
        filler = fill(self.state)
        taken = self.add_until(session, 507, 1)
        refused = self.client.call("POST", "/v1/sessions", port_range="20000,40000", memory_only=0)
        self.assert_fails(refused, 507, "state_disk_full")
        self.until_reasons("state_disk_full")
        # what was refused left nothing behind, and reading goes on
        self.assertEqual(len(self.rows(session)), 2 + len(taken))
        self.assertEqual(self.row(session, infohash)["state"], "stopped")
        self.assertEqual(self.session_ids(), [session])
        # what goes and what stops is written all the same: the ballast made room
        self.assertFalse(ballast.exists())
        self.assertEqual(self.remove(session, unwanted).status, 200)
        self.assertEqual(self.pause(session, infohash, 0).status, 200)
        self.end(kill=False)
        # SQLite's log is gone: with room, but not for the ballast, it starts and says so
        free = os.statvfs(self.state)
        with filler.open("ab") as file:
            file.write(bytes(free.f_bavail * free.f_frsize - BALLAST_SIZE // 2))
        self._start()
        self.assertEqual(self.reasons(), ["state_disk_full"])
        self.assertEqual(self.add_until(session, 507, 900), [])
        filler.unlink()
        self.until_reasons()
        self.assertEqual(ballast.stat().st_blocks * 512, BALLAST_SIZE)
        taken += self.add_until_number(session, 1000)
        self.restart(kill=True)
        self.assertEqual(len(self.rows(session)), 1 + len(taken))

    def test_metadata_that_came_meanwhile(self) -> None:
        """It is stored with what was downloaded: neither is of use without the other."""
        self.start_on("6m")
        session = self.client.session(memory_only=0)
        payload = self.payload()
        seed = self.seed(payload)
        infohash = self.add_magnet(session, seed.magnet.partition("&x.pe=")[0])
        filler = fill(self.state)
        self.add_until(session, 507, 1)
        self.connect(session, infohash, seed.address)
        self.until_state(session, infohash, "seeding")
        self.end(kill=False)
        filler.unlink()
        self._start()
        self.until_state(session, infohash, "seeding")

    def add_until_number(self, session: str, number: int) -> list[int]:
        answer = self.client.upload(
            f"/v1/sessions/{session}/torrents", tiny_torrent(number), save_path=".", autostart="0"
        )
        self.assertEqual(answer.status, 201, answer.body)
        return [number]

    def test_read_only(self) -> None:
        """A start on it is refused in one line; with the disk writable again all is there."""
        namespace = self.start_on("8m")
        session = self.client.session(memory_only=0)
        self.add(session, self.payload(), autostart="0")
        self.end(kill=False)
        namespace.run("mount", "-o", "remount,bind,ro", str(self.daemon.state))
        refused = subprocess.run(
            [
                *namespace.prefix, sys.executable, "-c", "from twisted.scripts.twistd import run; run()",
                "-n", "--pidfile=", "resttorrent", "--port=0", f"--state-dir={self.daemon.state}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, r"\Aresttorrent: .*[Rr]ead-only.*\n\Z")
        namespace.run("mount", "-o", "remount,bind,rw", str(self.daemon.state))
        self._start()
        self.assertEqual(len(self.rows(session)), 1)


class PayloadDiskTests(FaultCase):
    """The disk of one root is a tmpfs of its own; there is another root."""

    def setUp(self) -> None:
        super().setUp()
        self.small = self.home / "small"

    def start_with(self, options: str) -> Namespace:
        namespace = self.namespace()
        namespace.mount(self.small, options)
        self.start_wrapped("--root", str(self.small), namespace=namespace)
        return namespace

    def test_full(self) -> None:
        namespace = self.start_with("size=1m")
        session = self.client.session(memory_only=0)
        large, other = self.payload(3_000_000), self.payload(name="other")
        seed = self.seed(large)
        infohash = self.add_magnet(session, seed.magnet, str(self.small / "dl"))
        row = until(lambda: self.erring(session, infohash), "the torrent to err")
        self.assertIn("No space left on device", row["error"])
        self.assertEqual(self.reasons(), [])
        # nobody else is concerned
        fine = self.add_magnet(session, self.seed(other).magnet)
        self.until_state(session, fine, "seeding")
        self.assert_same(other)
        with closing(Client(self.daemon.port)) as client:
            self.assertEqual(client.ok("GET", "/health")["health"], "ok")
        # room is made, and it is told to run again
        namespace.run("mount", "-o", "remount,size=16m", str(self.small))
        self.assertEqual(self.pause(session, infohash, 0).status, 200)
        self.connect(session, infohash, seed.address)
        row = self.until_state(session, infohash, "seeding")
        self.assertIsNone(row["error"])

    def test_v2_torrent_believes_to_be_written(self) -> None:
        """libtorrent counts pieces of it that it could not write: they are checked when there is room."""
        namespace = self.start_with("size=1m")
        session = self.client.session(memory_only=0)
        payload = self.payload(3_000_000, kind="v2")
        seed = self.seed(payload, upload_limit=1_000_000)
        infohash = self.add_magnet(session, seed.magnet, str(self.small / "dl"))
        until(lambda: self.erring(session, infohash), "the torrent to err")
        # it goes on with what it believes
        until(lambda: self.row(session, infohash)["total_done"] > 1 << 20, "more than there is room for", 20)
        row = self.row(session, infohash)
        self.assertFalse(row["complete"], row)
        namespace.run("mount", "-o", "remount,size=16m", str(self.small))
        self.assertEqual(self.pause(session, infohash, 0).status, 200)
        self.connect(session, infohash, seed.address)
        self.until_state(session, infohash, "seeding")
        self.assert_contents(namespace.path(self.small / "dl"), payload.files)

    def erring(self, session: str, infohash: str) -> object:
        row = self.row(session, infohash)
        return row if row["error"] is not None else None

    def test_read_only(self) -> None:
        namespace = self.start_with("")
        session = self.client.session(memory_only=0)
        seed = self.seed(self.payload(3_000_000), upload_limit=200_000)
        infohash = self.add_magnet(session, seed.magnet, str(self.small / "dl"), autostart=0)
        namespace.run("mount", "-o", "remount,bind,ro", str(self.small))
        self.assertEqual(self.pause(session, infohash, 0).status, 200)
        self.connect(session, infohash, seed.address)
        row = until(lambda: self.erring(session, infohash), "the torrent to err")
        self.assertIn("Read-only file system", row["error"])
        # the root is there, and the one that it was
        self.assertEqual(self.reasons(), [])
        self.assertEqual(os.listdir(namespace.path(self.small)), [".resttorrent-root"])  # noqa: PTH208
        namespace.run("mount", "-o", "remount,bind,rw", str(self.small))
        self.assertEqual(self.pause(session, infohash, 0).status, 200)
        seed.limit_upload(0)
        self.connect(session, infohash, seed.address)
        self.until_state(session, infohash, "seeding")
