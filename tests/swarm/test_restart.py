"""What is there again after the daemon ended, in order or by kill -9, and what is not."""

import os
from pathlib import Path
from typing import Any

from .case import NESTED, Payload, SwarmCase
from .network import free_ports

SLOW = 60_000
LARGE = 4_000_000


def spoil(file: Path) -> None:
    """Change one byte, but neither size nor time of the file: only a recheck finds it."""
    status = file.stat()
    with file.open("r+b") as opened:
        byte = opened.read(1)[0]
        opened.seek(0)
        opened.write(bytes([byte ^ 255]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


class Restarts:
    """The contract of a restart, for both ways in which the daemon can end."""

    kill: bool

    def test_states(self: Any) -> None:
        self.start_daemon()
        port = free_ports(1)
        session = self.client.session(port_range=[port], memory_only=0)
        added = {name: self.payload(LARGE, name=name) for name in ("half", "busy")}
        infohashes = {}
        for name, payload in added.items():
            magnet = self.seed(payload, upload_limit=SLOW).magnet
            infohashes[name] = self.add_magnet(session, magnet, name)
        for name in added:
            self.until_begun(session, infohashes[name])
        self.assertEqual(self.pause(session, infohashes["half"], 1).json["torrent"]["state"], "stopped")
        added["new"] = self.payload(name="new")
        infohashes["new"] = self.add(session, added["new"], "new", autostart="0", storage_mode="allocate")
        infohashes["bare"] = self.add_magnet(session, "magnet:?xt=urn:btih:" + "2" * 40)
        before = {row["infohash"]: row for row in self.rows(session)}

        self.restart(kill=self.kill)

        states = {"half": "stopped", "busy": "downloading", "new": "stopped", "bare": "downloading_metadata"}
        for name, state in states.items():
            row = self.until_state(session, infohashes[name], state)
            for field in (
                "infohash_v1", "name", "save_path", "storage_mode", "added_time", "auto_managed", "total",
            ):  # fmt: skip
                self.assertEqual(row[field], before[row["infohash"]][field], field)
            self.assertLess(row["progress"], 1)
        # what is loaded was loaded after the port was bound
        shown = self.client.ok("GET", f"/v1/sessions/{session}")
        expected = {"id": session, "port": port, "ports": [port, port], "memory_only": False, "torrents": 4}
        self.assertEqual({name: shown[name] for name in expected}, expected)
        for name in ("half", "busy", "new"):
            self.assertEqual(self.pause(session, infohashes[name], 0).status, 200)
            self.connect(session, infohashes[name], self.seed(added[name]).address)
        for name in ("half", "busy", "new"):
            self.until_state(session, infohashes[name], "seeding")
            self.assert_same(added[name], name)

    def test_complete_torrents_are_not_rechecked(self: Any) -> None:
        self.start_daemon()
        session = self.client.session(memory_only=0)
        payloads: dict[str, tuple[str, Payload]] = {}
        for kind in ("v1", "v2", "hybrid"):
            for state in ("seeding", "stopped"):
                payload, folder = self.payload(NESTED, kind=kind), f"{kind} {state}"
                infohash = self.add_magnet(session, self.seed(payload).magnet, folder)
                payloads[folder] = infohash, payload
        for folder, (infohash, payload) in payloads.items():
            self.until_state(session, infohash, "seeding")
            self.assert_same(payload, folder)
            self.until_completion_is_stored(session, infohash)
            if folder.endswith("stopped"):
                self.pause(session, infohash, 1)
        self.end(kill=self.kill)
        for folder in payloads:
            spoil(self.daemon.root / folder / "payload" / "large.bin")
        self._start()
        for folder, (infohash, _) in payloads.items():
            row = self.until_state(session, infohash, folder.split()[1])
            self.assertEqual((row["progress"], row["complete"], row["error"]), (1.0, True, None), folder)
        # what was spoilt would have been found
        folder = "v1 seeding"
        infohash, payload = payloads[folder]
        self.remove(session, infohash)
        self.add(session, payload, folder)
        self.assertLess(self.until_state(session, infohash, "downloading")["progress"], 1)

    def test_memory_only(self: Any) -> None:
        """Session or torrent: gone, but for its payload."""
        self.start_daemon()
        passing, lasting = self.client.session(), self.client.session(memory_only=0)
        payload, other = self.payload(), self.payload(name="other")
        in_passing = self.add_magnet(passing, self.seed(payload).magnet, "passing")
        in_lasting = self.add_magnet(lasting, self.seed(other).magnet, "lasting", memory_only=1)
        kept = self.add(lasting, payload, "kept", autostart="0")
        for session, infohash in ((passing, in_passing), (lasting, in_lasting)):
            self.assertIs(self.until_state(session, infohash, "seeding")["memory_only"], True)
        self.assertIs(self.row(lasting, kept)["memory_only"], False)
        self.restart(kill=self.kill)
        self.assertEqual(self.session_ids(), [lasting])
        self.assertEqual([row["infohash"] for row in self.rows(lasting)], [kept])
        self.assert_same(payload, "passing")
        self.assert_same(other, "lasting")

    def test_what_was_removed_stays_away(self: Any) -> None:
        self.start_daemon()
        session, deleted = self.client.session(memory_only=0), self.client.session(memory_only=0)
        removed = self.add(session, self.payload(), autostart="0")
        self.add(deleted, self.payload(), autostart="0")
        self.assertEqual(self.remove(session, removed).status, 200)
        self.client.ok("DELETE", f"/v1/sessions/{deleted}")
        self.restart(kill=self.kill)
        self.assertEqual((self.session_ids(), self.rows(session)), ([session], []))


class OrderlyTests(Restarts, SwarmCase):
    """SIGTERM."""

    kill = False


class KilledTests(Restarts, SwarmCase):
    """kill -9."""

    kill = True


class MemoryOnlyTests(SwarmCase):
    def test_torrent_that_would_outlive_its_session(self) -> None:
        self.start_daemon()
        session = self.client.session()
        refused = self.client.upload(
            f"/v1/sessions/{session}/torrents", self.payload().torrent, save_path="dl", memory_only="0"
        )
        self.assert_fails(refused, 409, "session_is_memory_only", "memory_only")
        self.assertEqual(self.rows(session), [])
        self.assertFalse((self.daemon.root / "dl").exists())

    def test_key_of_a_hybrid_by_its_v2_magnet(self) -> None:
        """The key is what it was when the torrent was added, also after a restart."""
        self.start_daemon()
        session = self.client.session(memory_only=0)
        payload = self.payload(kind="hybrid")
        magnet = self.seed(payload).magnet
        v1 = next(part for part in magnet.removeprefix("magnet:?").split("&") if "btih" in part)
        infohash = self.add_magnet(session, magnet.replace(f"{v1}&", ""))
        self.until_state(session, infohash, "seeding")
        self.until_completion_is_stored(session, infohash)
        for kill in (True, False):
            self.restart(kill=kill)
            row = self.until_state(session, infohash, "seeding")
            self.assertEqual((row["infohash"], row["infohash_v2"][:40]), (infohash, infohash))
            self.assertEqual(self.row(session, row["infohash_v1"])["infohash"], infohash)
