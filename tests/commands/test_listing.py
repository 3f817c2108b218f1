"""Which rows and fields a list is asked for, and the tag that tells such lists apart."""

from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.commands.listing import (
    MAX_REVISION,
    Count,
    Fields,
    Milliseconds,
    Revision,
    Seconds,
    entity_tag,
    selection,
    sort_keys,
)
from resttorrent.commands.parameters import Kind
from resttorrent.engine.fields import NAMES, STATES
from resttorrent.errors import BadParameter


class SelectionTests(SynchronousTestCase):
    def test_everything(self) -> None:
        wanted = selection(None, None)
        self.assertEqual((wanted.fields, wanted.states), (NAMES, None))

    def test_some(self) -> None:
        wanted = selection(("state", "name"), ("seeding", "error"))
        self.assertEqual(wanted.fields, ("state", "name"))
        self.assertEqual(wanted.states, {"seeding", "error"})
        self.assertEqual(selection(NAMES, STATES).states, set(STATES))

    def test_unknown_names(self) -> None:
        for name in ("", "nme", "NAME", " name", "infohash\0", "\u202e", "*", "-name", "x" * 64):
            error = self.assertRaises(BadParameter, selection, ("name", name), None)
            self.assertEqual(error.field, "fields")
        error = self.assertRaises(BadParameter, selection, ("nme",), None)
        self.assertEqual(error.message, "fields: expected names of fields, not 'nme' (did you mean name?)")

    def test_unknown_states(self) -> None:
        for state in ("", "Seeding", "running", "seeding "):
            error = self.assertRaises(BadParameter, selection, None, ("error", state))
            self.assertEqual(error.field, "state")
            self.assertIn("downloading_metadata", error.message)


class SortTests(SynchronousTestCase):
    def test_keys(self) -> None:
        self.assertEqual(sort_keys(None), ())
        self.assertEqual(sort_keys(("-added_time", "name")), (("added_time", True), ("name", False)))

    def test_unknown(self) -> None:
        for word in ("", "-", "--name", "+name", "nam"):
            self.assertEqual(self.assertRaises(BadParameter, sort_keys, (word,)).field, "sort")


class BoundsTests(SynchronousTestCase):
    def test_bounds(self) -> None:
        for annotation, lowest, highest in (
            (Revision, 0, MAX_REVISION),
            (Seconds, 0, 60),
            (Milliseconds, 100, 60_000),
            (Count, 0, 10**9),
        ):
            kind = Kind.of(annotation)
            for good in (lowest, highest):
                self.assertEqual(kind.read("p", str(good)), good)
            for bad in (lowest - 1, highest + 1):
                self.assertRaises(BadParameter, kind.read, "p", bad)

    def test_fields_may_repeat(self) -> None:
        read = Kind.of(Fields).read("fields", [(0, "name,state"), (3, "total"), (4, "name")])
        self.assertEqual(read, ("name", "state", "total"))


class TagTests(SynchronousTestCase):
    def test_begins_with_the_revision(self) -> None:
        self.assertTrue(entity_tag(77, selection(None, None), (), 0, None).startswith("77-"))

    def test_tells_lists_apart(self) -> None:
        views = (
            selection(None, None),
            selection(("name",), None),
            selection(("name", "state"), None),
            selection(("state", "name"), None),
            selection(("name",), ("error",)),
            selection(("name",), ("error", "seeding")),
        )
        pages = (
            ((), 0, None),
            ((), 1, None),
            ((), 0, 1),
            ((), 0, 0),
            ((("name", False),), 0, None),
            ((("name", True),), 0, None),
        )
        tags = [entity_tag(1, view, *page) for view in views for page in pages]
        for one, other in combinations(tags, 2):
            self.assertNotEqual(one, other)
        self.assertEqual(tags, [entity_tag(1, view, *page) for view in views for page in pages])

    def test_fits_between_quotes(self) -> None:
        tag = entity_tag(MAX_REVISION, selection(("name",), ("error",)), (("name", True),), 5, 6)
        self.assertRegex(tag, r"^[!#-~]+$")
