"""How a save root is known again, on real folders."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import PathOutsideRoots
from resttorrent.paths import Roots
from resttorrent.paths.presence import MARKER, RootMissing, look


class PresenceCase(SynchronousTestCase):
    def setUp(self) -> None:
        top = Path(self.mktemp()).resolve()
        top.mkdir(parents=True)
        self.root, self.away = top / "root", top / "away"

    def swap(self) -> None:
        """Another folder in the root's place."""
        self.root.rename(self.away)
        self.root.mkdir()


class LookTests(PresenceCase):
    def test_first_use(self) -> None:
        unused = look(str(self.root), None, None)
        self.assertIn("is not there", str(unused.reason))
        self.assertFalse(self.root.exists())
        made = look(str(self.root), None, None, True)
        self.assertEqual((made.reason, (self.root / MARKER).read_text()), (None, f"{made.id}\n"))
        self.assertEqual((self.root / MARKER).stat().st_mode & 0o777, 0o644)
        # by another daemon, or by this one when it has lost its state
        again = look(str(self.root), None, None, True)
        self.assertEqual(again, made)

    def test_another_process_finds_it(self) -> None:
        id = look(str(self.root), None, None, True).id
        self.assertIsNone(look(str(self.root), id, None).reason)
        self.swap()
        gone = look(str(self.root), id, None)
        self.assertIn("is not mounted", str(gone.reason))
        self.assertEqual((gone.id, gone.holds_something), (id, False))
        (self.root / "x").touch()
        self.assertTrue(look(str(self.root), id, None).holds_something)
        self.assertFalse((self.root / MARKER).exists())

    def test_never_made_once_it_was_used(self) -> None:
        id = look(str(self.root), None, None, True).id
        self.root.rename(self.away)
        self.assertIsNotNone(look(str(self.root), id, None, True).reason)
        self.assertFalse(self.root.exists())

    def test_what_is_no_marker(self) -> None:
        found = look(str(self.root), None, None, True)
        marker = self.root / MARKER
        marker.unlink()
        for make in (
            lambda: marker.mkdir(),
            lambda: os.mkfifo(marker),
            lambda: marker.symlink_to("/dev/zero"),
        ):
            make()
            self.assertIsNotNone(look(str(self.root), found.id, None).reason)
            if marker.is_dir():
                marker.rmdir()
            else:
                marker.unlink()

    def test_root_that_can_not_be_marked(self) -> None:
        """It is the one for as long as device and inode stay."""
        self.root.mkdir()
        # whoever runs the tests may write anywhere: a folder is in the marker's way
        (self.root / MARKER).mkdir()
        found = look(str(self.root), None, None)
        self.assertEqual((found.reason, found.id), (None, ""))
        self.assertEqual(look(str(self.root), "", found.identity), found)
        self.swap()
        self.assertIn("another folder", str(look(str(self.root), "", found.identity).reason))

    def test_link_in_its_place(self) -> None:
        id = look(str(self.root), None, None, True).id
        self.root.rename(self.away)
        self.root.symlink_to(self.away)
        self.assertIn("can't be opened", str(look(str(self.root), id, None).reason))


class RootsTests(PresenceCase):
    def test_absent(self) -> None:
        self.root.mkdir()
        inner = self.root / "inner"
        inner.mkdir()
        roots = Roots([self.root, inner])
        roots.absent = {str(inner): "gone"}
        self.assertEqual(roots.confine("x"), str(self.root / "x"))
        for path in ("inner", "inner/x", str(inner / "x"), "y/../inner/x"):
            self.assertEqual(self.assertRaises(RootMissing, roots.confine, path).message, "gone")

    def test_marker_is_nobodys_file(self) -> None:
        """A torrent that could overwrite it could have all others paused."""
        inner = self.root / "a" / "b"
        inner.mkdir(parents=True)
        roots = Roots([self.root, inner])
        for base, path in (
            (self.root, MARKER),
            (self.root, MARKER.upper()),
            (self.root, f"{MARKER}/x/y"),
            (self.root, f"a/b/{MARKER}"),
            (self.root / "a", f"b/{MARKER}"),
            (inner, MARKER),
        ):
            self.assertRaises(PathOutsideRoots, roots.check_files, str(base), ["fine", path])
            self.assertRaises(PathOutsideRoots, roots.delete_files, str(base), ["fine", path], ())
        roots.check_files(str(self.root), [f"a/{MARKER}", f"x/{MARKER}", "y"])
