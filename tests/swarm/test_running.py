"""Stopping and running, how files are laid out, peers, and the names a torrent is asked for by."""

import base64
from pathlib import Path
from typing import Any

from ..harness import until
from .case import SwarmCase

SLOW = 60_000
"""Bytes per second: enough to begin at once, too little to end within any test."""
LARGE = 4_000_000

PEER_FIELDS = {
    "ip", "port", "client", "progress", "download_payload_rate", "upload_payload_rate",
    "total_download", "total_upload", "flags", "source",
}  # fmt: skip


class StopTests(SwarmCase):
    """What is stopped gets nothing, though a peer is there; what runs again finishes."""

    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()
        self.session = self.client.session()

    def let_time_pass(self) -> None:
        """As long as it takes another torrent to be added, connected and downloaded whole."""
        payload = self.payload(name="meanwhile")
        infohash = self.add(self.session, payload, "meanwhile")
        self.connect(self.session, infohash, self.seed(payload).address)
        self.until_state(self.session, infohash, "seeding")

    def test_pause_and_resume(self) -> None:
        payload = self.payload(LARGE)
        seed = self.seed(payload, upload_limit=SLOW)
        infohash = self.add_magnet(self.session, seed.magnet)
        self.until_begun(self.session, infohash)

        answer = self.pause(self.session, infohash, 1)
        self.assertEqual((answer.status, answer.json["torrent"]["state"]), (200, "stopped"))
        self.assertFalse(answer.json["torrent"]["auto_managed"])
        until(lambda: not self.peers(self.session, infohash) and not seed.num_peers, "the peers to part")
        stopped = self.row(self.session, infohash)
        seed.limit_upload(0)
        self.connect(self.session, infohash, seed.address)
        self.let_time_pass()
        later = self.row(self.session, infohash)
        # not the rate, which is an average that fades
        for field in ("state", "total_done", "total_payload_download"):
            self.assertEqual(later[field], stopped[field], field)
        self.assertEqual(later["state"], "stopped")
        self.assertEqual((self.peers(self.session, infohash), seed.num_peers), ([], 0))
        self.assertGreater(later["total_left"], 0)

        answer = self.pause(self.session, infohash, 0)
        self.assertIn(answer.json["torrent"]["state"], ("downloading", "seeding"))
        self.until_state(self.session, infohash, "seeding")
        self.assert_same(payload)

    def test_pause_twice_and_while_seeding(self) -> None:
        payload = self.payload()
        infohash = self.add_magnet(self.session, self.seed(payload).magnet)
        self.until_state(self.session, infohash, "seeding")
        for _ in range(2):
            row = self.pause(self.session, infohash, 1).json["torrent"]
            self.assertEqual((row["state"], row["progress"], row["complete"]), ("stopped", 1.0, True))
        for _ in range(2):
            self.assertEqual(self.pause(self.session, infohash, 0).status, 200)
            self.until_state(self.session, infohash, "seeding")

    def test_added_stopped(self) -> None:
        """By file and by magnet, whose metadata doesn't come either."""
        payload, other = self.payload(), self.payload(name="other")
        seed, other_seed = self.seed(payload), self.seed(other)
        by_file = self.add(self.session, payload, autostart="0")
        by_magnet = self.add_magnet(self.session, other_seed.magnet, "other", autostart=0)
        self.connect(self.session, by_file, seed.address)
        self.connect(self.session, by_magnet, other_seed.address)
        self.let_time_pass()
        for infohash in (by_file, by_magnet):
            row = self.row(self.session, infohash)
            self.assertEqual((row["state"], row["total_done"], row["auto_managed"]), ("stopped", 0, False))
        self.assertFalse(self.row(self.session, by_magnet)["has_metadata"])
        self.assertEqual((seed.num_peers, other_seed.num_peers), (0, 0))
        self.assertFalse((self.daemon.root / "dl").exists())

        for infohash in (by_file, by_magnet):
            self.assertEqual(self.pause(self.session, infohash, 0).status, 200)
            self.until_state(self.session, infohash, "seeding")
        self.assert_same(payload)
        self.assert_same(other, "other")


class StorageModeTests(SwarmCase):
    """Blocks on disk, after the first pieces of a slow download."""

    FILES = {"a.bin": 1_000_000, "b.bin": 1_500_000, "deep/c.bin": 2_000_000}

    def begun(self, storage_mode: str) -> tuple[Any, list[Path]]:
        """A download that has begun: how to ask for its row, and where its files go."""
        payload = self.payload(self.FILES)
        self.start_daemon()
        session = self.client.session()
        infohash = self.add(session, payload, storage_mode=storage_mode)
        self.connect(session, infohash, self.seed(payload, upload_limit=SLOW).address)
        self.until_begun(session, infohash)
        folder = self.daemon.root / "dl" / "payload"
        self.assertEqual(self.row(session, infohash)["storage_mode"], storage_mode)
        return (lambda: self.row(session, infohash)), [folder / name for name in self.FILES]

    def test_allocate(self) -> None:
        row, files = self.begun("allocate")
        sizes = dict(zip(files, self.FILES.values(), strict=True))

        def full() -> bool:
            begun = [file for file in files if file.exists()]
            return bool(begun) and all(allocated(file) >= sizes[file] for file in begun)

        until(full, "full blocks")
        now = row()
        self.assertLess(now["total_done"], min(self.FILES.values()))

    def test_sparse(self) -> None:
        row, files = self.begun("sparse")
        until(lambda: any(file.exists() and allocated(file) for file in files), "the first blocks")
        self.assertLess(sum(allocated(file) for file in files if file.exists()), min(self.FILES.values()))
        self.assertGreater(row()["total_left"], 0)


def allocated(file: Path) -> int:
    """Bytes that a file takes on disk."""
    return file.stat().st_blocks * 512


class PeerTests(SwarmCase):
    def test_peers_while_downloading(self) -> None:
        self.start_daemon()
        session = self.client.session()
        payload = self.payload(LARGE)
        seed = self.seed(payload, upload_limit=SLOW)
        infohash = self.add(session, payload)
        self.assertEqual(self.peers(session, infohash), [])
        self.connect(session, infohash, seed.address)
        self.until_begun(session, infohash)
        peer: Any = until(
            lambda: next((p for p in self.peers(session, infohash) if p["download_payload_rate"]), None),
            "a peer that sends",
        )
        self.assertEqual(set(peer), PEER_FIELDS)
        self.assertEqual((peer["ip"], peer["port"]), seed.endpoint)
        self.assertTrue(peer["client"].startswith("libtorrent/"))
        self.assertEqual((peer["progress"], peer["upload_payload_rate"], peer["total_upload"]), (1.0, 0, 0))
        self.assertGreater(peer["total_download"], 0)
        self.assertLessEqual({"seed", "interesting", "outgoing_connection"}, set(peer["flags"]))
        self.assertIsInstance(peer["source"], list)
        self.assertEqual(self.row(session, infohash)["num_seeds"], 1)

    def test_bad_addresses(self) -> None:
        self.start_daemon()
        session = self.client.session()
        infohash = self.add(session, self.payload(), autostart="0")
        path = f"/v1/sessions/{session}/torrents/{infohash}/peers"
        bad = (
            "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1x",
            "127.0.0.256:80", "127.1:80", "localhost:80", "::1:80", "[::1]", "[::1]:", "[127.0.0.1]:80",
            "0.0.0.0:80", "[::]:80", "224.0.0.1:80", " 127.0.0.1:80", "127.0.0.1:80 ", "127.0.0.1:\u0661",
            6881, None, ["127.0.0.1:80"], True,
        )  # fmt: skip
        for address in bad:
            refused = self.client.call("POST", path, address=address)
            self.assert_fails(refused, 400, "bad_parameter", "address")
        self.assert_fails(self.client.call("POST", path), 400, "bad_parameter", "address")


class InfoHashTests(SwarmCase):
    """One key for each torrent, and every form of its hashes leads to it."""

    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()
        self.session = self.client.session()

    def forms(self, row: Any) -> list[str]:
        """All ways to write the hashes of this row."""
        v1, v2 = row["infohash_v1"], row["infohash_v2"]
        short = [h for h in (v1, v2 and v2[:40]) if h]
        base32 = [base64.b32encode(bytes.fromhex(h)).decode() for h in short]
        hexes = [*short, *([v2] if v2 else [])]
        return [*hexes, *map(str.upper, hexes), *base32, *map(str.lower, base32)]

    def assert_reached(self, infohash: str, forms: int) -> Any:
        """The torrent's row, after asking for it in every form."""
        row = self.row(self.session, infohash)
        written = self.forms(row)
        self.assertEqual(len(written), forms)
        for form in written:
            self.assertEqual(self.row(self.session, form)["infohash"], infohash, form)
            self.assertEqual(self.pause(self.session, form, 1).json["torrent"]["infohash"], infohash, form)
            self.assertEqual(self.peers(self.session, form), [])
        return row

    def test_files(self) -> None:
        for kind, forms in (("v1", 4), ("v2", 6), ("hybrid", 10)):
            infohash = self.add(self.session, self.payload(kind=kind), kind, autostart="0")
            row = self.assert_reached(infohash, forms)
            self.assertEqual(infohash, row["infohash_v1"] or row["infohash_v2"][:40])

    def test_hybrid_by_half_a_magnet(self) -> None:
        """The key stays what it was; the other hash is learned with the metadata and leads there too."""
        for half in ("xt=urn:btih:", "xt=urn:btmh:"):
            payload = self.payload(kind="hybrid")
            seed = self.seed(payload)
            parts = seed.magnet.removeprefix("magnet:?").split("&")
            kept = [part for part in parts if not part.startswith("xt=") or part.startswith(half)]
            self.assertEqual(len(kept), len(parts) - 1)
            infohash = self.add_magnet(self.session, "magnet:?" + "&".join(kept), half[-5:-1])
            self.until_state(self.session, infohash, "seeding")
            row = self.assert_reached(infohash, 10)
            self.assertEqual(row["infohash_v1" if half.endswith("btih:") else "infohash_v2"][:40], infohash)
            self.assert_same(payload, half[-5:-1])
            again = self.client.upload(
                f"/v1/sessions/{self.session}/torrents", payload.torrent, save_path="again"
            )
            self.assert_fails(again, 409, "torrent_exists")

    def test_unknown(self) -> None:
        infohash = self.add(self.session, self.payload(), autostart="0")
        others = (
            "0" * 40,
            "0" * 64,
            infohash[:-1],
            infohash + "0",
            "x",
            "A" * 32,
            "%C3%A9",
            "%20" + infohash,
        )
        for other in others:
            path = f"/v1/sessions/{self.session}/torrents/{other}"
            self.assert_fails(self.client.call("GET", path), 404, "torrent_not_found")
