"""Two sessions of one daemon: apart, and yet peers of each other."""

from ..harness import RawPeer, until
from .case import SwarmCase
from .network import free_ports, is_free


class TwoSessionTests(SwarmCase):
    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()
        self.first, self.second = self.client.session(), self.client.session()

    def port(self, session: str) -> int:
        return int(self.client.ok("GET", f"/v1/sessions/{session}")["port"])

    def test_seed_to_each_other(self) -> None:
        """The first has the data in place, the second gets it there, and serves it when the first is gone."""
        payload = self.payload({"a.bin": 200_000, "b/c.bin": 90_000}, kind="hybrid")
        (self.daemon.root / "first").mkdir()
        payload.content.rename(self.daemon.root / "first" / payload.content.name)
        infohash = self.add(self.first, payload, "first")
        self.until_state(self.first, infohash, "seeding")
        self.assertEqual(self.add(self.second, payload, "second"), infohash)
        self.connect(self.second, infohash, f"127.0.0.1:{self.port(self.first)}")
        row = self.until_state(self.second, infohash, "seeding")
        self.assertGreaterEqual(row["total_payload_download"], 290_000)
        self.assert_same(payload, "second")
        self.assertEqual(self.row(self.first, infohash)["total_payload_download"], 0)

        freed, port = self.port(self.first), self.port(self.second)
        self.client.ok("DELETE", f"/v1/sessions/{self.first}")
        self.assertTrue(is_free(freed))
        self.assertEqual(self.session_ids(), [self.second])
        gone = self.client.call("GET", f"/v1/sessions/{self.first}/torrents/{infohash}")
        self.assert_fails(gone, 404, "session_not_found")
        self.assertEqual(self.row(self.second, infohash)["state"], "seeding")
        third = RawPeer(payload.torrent, self.home / "third")
        self.addCleanup(third.close)
        third.connect(("127.0.0.1", port))
        until(lambda: third.is_seeding, "the third to download")
        self.assert_contents(self.home / "third", payload.files)
        self.assert_same(payload, "first")

    def test_one_is_stopped_the_other_runs(self) -> None:
        payload = self.payload()
        infohash = self.add(self.first, payload, "first")
        self.add(self.second, payload, "second")
        self.assertEqual(self.pause(self.first, infohash, 1).json["torrent"]["state"], "stopped")
        self.connect(self.second, infohash, self.seed(payload).address)
        self.until_state(self.second, infohash, "seeding")
        row = self.row(self.first, infohash)
        self.assertEqual((row["state"], row["total_done"]), ("stopped", 0))
        self.assertEqual(self.remove(self.second, infohash).status, 200)
        self.assertEqual(self.row(self.first, infohash)["state"], "stopped")

    def test_files_in_use(self) -> None:
        """One folder for both only once its data is complete, however the folder is written."""
        payload = self.payload()
        infohash = self.add(self.first, payload)
        for folder in ("dl", "dl/", "./dl", "x/../dl", str(self.daemon.root / "dl")):
            refused = self.client.upload(
                f"/v1/sessions/{self.second}/torrents", payload.torrent, save_path=folder
            )
            self.assert_fails(refused, 409, "files_in_use", "save_path")
        self.assertEqual(self.rows(self.second), [])
        twice = self.client.upload(f"/v1/sessions/{self.first}/torrents", payload.torrent, save_path="dl")
        self.assert_fails(twice, 409, "torrent_exists")

        self.connect(self.first, infohash, self.seed(payload).address)
        self.until_state(self.first, infohash, "seeding")
        self.add(self.second, payload)
        row = self.until_state(self.second, infohash, "seeding")
        self.assertEqual(row["total_payload_download"], 0)
        # what the other one still serves is not deleted
        self.assertEqual(self.remove(self.first, infohash, delete_files=1).status, 200)
        self.assert_same(payload)
        self.assertEqual(self.remove(self.second, infohash, delete_files=1).status, 200)
        self.assertFalse((self.daemon.root / "dl" / "payload").exists())

    def test_torrents_of_one_session_are_not_the_others(self) -> None:
        infohash = self.add(self.first, self.payload(), autostart="0")
        self.assertEqual([row["infohash"] for row in self.rows(self.first)], [infohash])
        self.assertEqual(self.rows(self.second), [])
        for response in (
            self.client.call("GET", f"/v1/sessions/{self.second}/torrents/{infohash}"),
            self.pause(self.second, infohash, 1),
            self.remove(self.second, infohash),
        ):
            self.assert_fails(response, 404, "torrent_not_found")

    def test_interface_of_each(self) -> None:
        """Two sessions listen on one port number, each on its own address."""
        port = free_ports(1)
        for host in ("127.0.0.1", "127.0.0.2"):
            answer = self.client.ok("POST", "/v1/sessions", port_range=[port], interface=host)["session"]
            self.assertEqual((answer["port"], answer["interface"]), (port, host))
