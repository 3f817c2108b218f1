"""remove_torrent: what is deleted, what stays."""

import shutil

from ..harness import contents
from .case import NESTED, Payload, SwarmCase


class RemovalTests(SwarmCase):
    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()
        self.session = self.client.session()
        self.folder = self.daemon.root / "dl"

    def downloaded(self, *parts: dict[str, int], name: str = "payload") -> list[str]:
        """Torrents that are complete in one folder; the files in ``parts`` are theirs."""
        infohashes = []
        for files in parts:
            payload = self.payload(files, name=name)
            infohash = self.add_magnet(self.session, self.seed(payload).magnet)
            self.until_state(self.session, infohash, "seeding")
            infohashes.append(infohash)
        return infohashes

    def assert_gone(self, infohash: str) -> None:
        path = f"/v1/sessions/{self.session}/torrents/{infohash}"
        for method, parameters in (("GET", {}), ("PUT", {"pause": 1}), ("DELETE", {})):
            self.assert_fails(self.client.call(method, path, **parameters), 404, "torrent_not_found")
        self.assertNotIn(infohash, [row["infohash"] for row in self.rows(self.session)])

    def test_files_stay(self) -> None:
        """By default: byte for byte, and found complete when the torrent comes again, without a peer."""
        payload = self.payload(NESTED, kind="hybrid")
        seed = self.seed(payload)
        infohash = self.add_magnet(self.session, seed.magnet)
        self.until_state(self.session, infohash, "seeding")
        self.assert_same(payload)
        for parameters in ({}, {"delete_files": 0}):
            self.assertEqual(self.remove(self.session, infohash, **parameters).status, 200)
            self.assert_gone(infohash)
            self.assertEqual(contents(self.folder), payload.files)
            self.assertEqual(self.add(self.session, payload), infohash)
            row = self.until_state(self.session, infohash, "seeding")
            self.assertEqual((row["total_payload_download"], row["progress"]), (0, 1.0))

    def test_files_and_empty_folders_go(self) -> None:
        (infohash,) = self.downloaded(dict(NESTED))
        self.assertTrue(contents(self.folder))
        self.assertEqual(self.remove(self.session, infohash, delete_files=1).status, 200)
        self.assert_gone(infohash)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_foreign_files_stay(self) -> None:
        (infohash,) = self.downloaded({"a.bin": 1000, "keep/b.bin": 1000, "go/c.bin": 1000})
        foreign = self.folder / "payload" / "keep" / "mine.txt"
        foreign.write_text("mine")
        self.assertEqual(self.remove(self.session, infohash, delete_files=1).status, 200)
        self.assertEqual([path for path in self.folder.rglob("*") if path.is_file()], [foreign])
        self.assertEqual(foreign.read_text(), "mine")
        self.assertFalse((self.folder / "payload" / "go").exists())

    def test_files_of_another_torrent_stay(self) -> None:
        """Two torrents have a folder and a file in common; one is removed without harm to the other."""
        payload = self.payload({"own.bin": 70_000, "common.bin": 50_000, "deep/own.bin": 1000})
        other_folder = self.home / "other"
        shutil.copytree(payload.content, other_folder / "payload")
        for name in ("own.bin", "deep/own.bin"):
            (other_folder / "payload" / name).unlink()
        (other_folder / "payload" / "deep" / "other.bin").write_bytes(bytes(3000))
        other = Payload(other_folder / "payload")
        first = self.add_magnet(self.session, self.seed(payload).magnet)
        self.until_state(self.session, first, "seeding")
        second_session = self.client.session()
        second = self.add(second_session, other)
        self.connect(second_session, second, self.seed(other).address)
        self.until_state(second_session, second, "seeding")

        self.assertEqual(self.remove(self.session, first, delete_files=1).status, 200)
        self.assert_contents(self.folder, other.files)
        self.assertEqual(self.row(second_session, second)["state"], "seeding")
        self.assertEqual(self.remove(second_session, second, delete_files=1).status, 200)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_while_it_downloads(self) -> None:
        payload = self.payload(4_000_000)
        infohash = self.add_magnet(self.session, self.seed(payload, upload_limit=60_000).magnet)
        self.until_begun(self.session, infohash)
        self.assertEqual(self.remove(self.session, infohash, delete_files=1).status, 200)
        self.assert_gone(infohash)
        self.assertEqual(list(self.folder.iterdir()), [])
        # nothing is left in its way: it can come again, and start from nothing
        row = self.row(self.session, self.add(self.session, payload, autostart="0"))
        self.assertEqual((row["state"], row["total_done"]), ("stopped", 0))

    def test_without_metadata(self) -> None:
        magnet = "magnet:?xt=urn:btih:" + "1" * 40
        for delete_files in (0, 1):
            infohash = self.add_magnet(self.session, magnet)
            self.until_state(self.session, infohash, "downloading_metadata")
            self.assertEqual(self.remove(self.session, infohash, delete_files=delete_files).status, 200)
            self.assert_gone(infohash)
