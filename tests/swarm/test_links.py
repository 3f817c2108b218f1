"""Links that somebody puts where a torrent's files lie, after it was added: nothing goes through them."""

from pathlib import Path

from ..harness import contents
from .case import Payload, SwarmCase

FILES = {"a.bin": 50_000, "deep/b.bin": 40_000}


class LinkTests(SwarmCase):
    """
    :ivar outside: a folder outside all roots, with files named like the torrent's; it must stay as it is.
    """

    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()
        self.outside = self.home / "outside"
        for name in FILES:
            file = self.outside / "payload" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("not yours")
        self.before = contents(self.outside)
        self.addCleanup(lambda: self.assertEqual(contents(self.outside), self.before))
        self.folder = self.daemon.root / "dl"

    def swap(self, path: Path, target: Path) -> Path:
        """Put a link in the place of a file or folder; where that was moved."""
        aside = path.with_name(path.name + " aside")
        path.rename(aside)
        path.symlink_to(target)
        return aside

    def restore(self, path: Path, aside: Path) -> None:
        path.unlink()
        aside.rename(path)

    def places(self) -> dict[str, tuple[Path, Path]]:
        """Where a link can be put, and what outside it would lead to."""
        return {
            "the save path": (self.folder, self.outside),
            "the top folder": (self.folder / "payload", self.outside / "payload"),
            "a folder in it": (self.folder / "payload" / "deep", self.outside / "payload" / "deep"),
            "a file": (self.folder / "payload" / "a.bin", self.outside / "payload" / "a.bin"),
        }

    def stopped(self, session: str, payload: Payload) -> str:
        """A complete torrent that was stopped."""
        infohash = self.add_magnet(session, self.seed(payload).magnet)
        self.until_state(session, infohash, "seeding")
        self.assert_same(payload)
        self.assertEqual(self.pause(session, infohash, 1).json["torrent"]["state"], "stopped")
        return infohash

    def test_resume(self) -> None:
        session, payload = self.client.session(), self.payload(FILES)
        infohash = self.stopped(session, payload)
        for place, (path, target) in self.places().items():
            aside = self.swap(path, target)
            self.assert_fails(self.pause(session, infohash, 0), 403, "path_outside_roots")
            self.assertEqual(self.row(session, infohash)["state"], "stopped", place)
            self.restore(path, aside)
        self.assertEqual(self.pause(session, infohash, 0).status, 200)
        self.until_state(session, infohash, "seeding")
        self.assert_same(payload)

    def test_resume_of_one_that_has_nothing_yet(self) -> None:
        session, payload = self.client.session(), self.payload(FILES)
        infohash = self.add(session, payload, autostart="0")
        self.connect(session, infohash, self.seed(payload).address)
        self.folder.symlink_to(self.outside)
        self.assert_fails(self.pause(session, infohash, 0), 403, "path_outside_roots")
        self.assertEqual(self.row(session, infohash)["state"], "stopped")
        self.folder.unlink()
        self.assertEqual(self.pause(session, infohash, 0).status, 200)
        self.until_state(session, infohash, "seeding")
        self.assert_same(payload)

    def test_delete(self) -> None:
        session, payload = self.client.session(), self.payload(FILES)
        infohash = self.stopped(session, payload)
        for place, (path, target) in self.places().items():
            aside = self.swap(path, target)
            refused = self.remove(session, infohash, delete_files=1)
            self.assert_fails(refused, 403, "path_outside_roots")
            self.assertEqual(contents(self.outside), self.before, place)
            self.restore(path, aside)
            # nothing was changed: neither the torrent nor its files
            self.assertEqual(self.row(session, infohash)["state"], "stopped")
            self.assert_same(payload)
        self.assertEqual(self.remove(session, infohash, delete_files=1).status, 200)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_links_inside_the_roots(self) -> None:
        """These are the owner's own: they are followed, but nothing is deleted through them."""
        session, payload = self.client.session(), self.payload(FILES)
        infohash = self.stopped(session, payload)
        aside = self.swap(self.folder / "payload" / "deep", self.daemon.root / "elsewhere")
        aside.rename(self.daemon.root / "elsewhere")
        self.assertEqual(self.pause(session, infohash, 0).status, 200)
        self.until_state(session, infohash, "seeding")
        self.assert_fails(self.remove(session, infohash, delete_files=1), 403, "path_outside_roots")
        self.assertTrue((self.daemon.root / "elsewhere" / "b.bin").exists())

    def test_load(self) -> None:
        """After each end: listed in error, nothing written outside; when the link is gone it runs again."""
        session = self.client.session(memory_only=0)
        payload = self.payload({name: 40 * size for name, size in FILES.items()})
        slow = self.seed(payload, upload_limit=60_000)
        infohash = self.add_magnet(session, slow.magnet)
        self.until_begun(session, infohash)
        for kill, path in ((False, self.folder / "payload"), (True, self.folder)):
            self.end(kill=kill)
            aside = self.swap(path, self.outside / path.relative_to(self.folder))
            self._start()
            row = self.until_state(session, infohash, "error")
            self.assertIn("outside", row["error"])
            self.assertEqual(row["name"], "payload")
            self.assert_fails(self.pause(session, infohash, 0), 403, "path_outside_roots")
            self.assertEqual(self.row(session, infohash)["state"], "error")
            self.restore(path, aside)
            answer = self.pause(session, infohash, 0)
            self.assertEqual(answer.status, 200, answer.body)
            self.until_state(session, infohash, "downloading")
        slow.limit_upload(0)
        self.connect(session, infohash, slow.address)
        self.until_state(session, infohash, "seeding")
        self.assert_same(payload)

    def test_removing_what_was_not_loaded(self) -> None:
        session = self.client.session(memory_only=0)
        infohash = self.stopped(session, self.payload(FILES))
        self.end(kill=False)
        self.swap(self.folder, self.outside)
        self._start()
        self.until_state(session, infohash, "error")
        self.assert_fails(self.remove(session, infohash, delete_files=1), 403, "path_outside_roots")
        self.assertEqual(self.remove(session, infohash).status, 200)
        self.assertEqual(self.rows(session), [])
