"""Lists and deltas: snapshot + deltas = fresh list, at every revision; order, paging, sorting, filters."""

import functools
import json
import random
from collections.abc import Sequence
from typing import Any
from weakref import ref

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.fields import NAMES
from resttorrent.engine.table import StatusTable
from resttorrent.engine.views import Selection, View, Views
from tests.engine.follower import Rows, follow, table_of
from tests.engine.synthetic import Revisions, make_row

RING = 4
KEYS = ("a", "b", "c", "d", "e", "f")
SELECTIONS = (
    Selection(),
    Selection(("infohash", "state", "progress")),
    Selection(("name",)),
    Selection(("infohash", "state", "name"), frozenset({"seeding"})),
    Selection(("progress", "name"), frozenset({"seeding", "stopped"})),
)


class World:
    """
    A table with its views, beside a plain list of what they should show.

    :ivar rows: (key, values) in the order in which they came.
    """

    def __init__(self) -> None:
        self.table = StatusTable(Revisions(), tombstones=RING)
        self.views = Views(self.table)
        self.rows: dict[str, dict[str, Any]] = {}
        self._removals: list[int] = []
        self._history: list[tuple[int, dict[Selection, Rows]]] = []
        self._start = self.table.rev

    def put(self, key: str, **values: Any) -> None:
        self.rows[key] = {"state": "stopped", **values}
        self.table.put(key, make_row(key, **values))

    def remove(self, key: str) -> None:
        if self.rows.pop(key, None) is not None:
            self.table.remove(key)
            self._removals.append(self.table.rev)

    def wanted(self, selection: Selection) -> list[dict[str, Any]]:
        """The list that a client should get."""
        states = selection.states
        return [
            {name: {"infohash": key, **values}.get(name) for name in selection.fields}
            for key, values in self.rows.items()
            if states is None or values["state"] in states
        ]

    def as_client(self, selection: Selection) -> Rows:
        """The same as a client keeps it: the key is told with every row, asked for or not."""
        keys = [
            key
            for key, values in self.rows.items()
            if selection.states is None or values["state"] in selection.states
        ]
        rows = self.wanted(selection)
        return table_of([{"infohash": k, **row} for k, row in zip(keys, rows, strict=True)])

    def remember(self) -> None:
        """Take note of what is to be seen at this revision."""
        self._history.append((self.table.rev, {s: self.as_client(s) for s in SELECTIONS}))

    def check_list(self, selection: Selection) -> None:
        rows, total = self.views.of(selection).rows()
        assert json.loads(rows) == self.wanted(selection)
        assert total == len(self.wanted(selection))

    def check_deltas(self) -> None:
        """From every revision that was seen."""
        for rev, tables in self._history:
            # a revision is known as long as the ring holds all that was removed since
            known = sum(removed > rev for removed in self._removals) <= RING
            assert self.table.knows(rev) == known, (rev, self._removals)
            if known:
                for selection, before in tables.items():
                    self.check_delta(rev, selection, before)

    def check_delta(self, rev: int, selection: Selection, before: Rows) -> None:
        changed, removed = map(json.loads, self.views.of(selection).delta(rev))
        filtered = selection.states is not None
        after = follow(before, changed, removed, selection.fields, filtered=filtered)
        assert after == self.as_client(selection), (rev, selection)


VALUES = {
    "state": st.sampled_from(["stopped", "seeding", "downloading"]),
    "progress": st.sampled_from([None, 0.5, 1.0]),
    "name": st.sampled_from([None, "ä", 'q"']),
    "total": st.integers(0, 1),
}
PUT = st.tuples(st.just("put"), st.sampled_from(KEYS), st.fixed_dictionaries(VALUES))
REMOVE = st.tuples(st.just("remove"), st.sampled_from(KEYS), st.none())
LOOK = st.tuples(st.just("look"), st.sampled_from(SELECTIONS), st.none())


class DeltaTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.one_of(PUT, PUT, REMOVE, LOOK), max_size=30))
    def test_snapshot_and_deltas(self, steps: list[tuple[str, Any, Any]]) -> None:
        world = World()
        for word, subject, values in steps:
            world.remember()
            if word == "put":
                world.put(subject, **values)
            elif word == "remove":
                world.remove(subject)
            else:
                # only some views are looked at: each catches up from where it was left
                world.check_list(subject)
            world.check_deltas()
        for selection in SELECTIONS:
            world.check_list(selection)

    def test_a_long_life(self) -> None:
        """Thousands of changes on a hundred rows, with clients that come back after any time."""
        rng = random.Random(3)
        world = World()
        left = [(world.table.rev, selection, world.as_client(selection)) for selection in SELECTIONS]
        answered = 0
        for _ in range(5000):
            key = f"{rng.randrange(100):040x}"
            if rng.random() < 0.02:
                world.remove(key)
            else:
                state = rng.choice(["stopped", "seeding", "downloading"])
                world.put(key, state=state, total=rng.randrange(3), name=rng.choice([None, "n"]))
            if rng.random() < 0.1:
                rev, selection, before = left.pop(rng.randrange(len(left)))
                if world.table.knows(rev):
                    world.check_delta(rev, selection, before)
                    answered += 1
                world.check_list(selection)
                left.append((world.table.rev, selection, world.as_client(selection)))
        self.assertGreater(answered, 100)

    def test_nothing_new(self) -> None:
        world = World()
        world.put("a")
        self.assertEqual(world.views.of(Selection()).delta(world.table.rev), (b"[]", b"[]"))

    def test_what_was_not_asked_for(self) -> None:
        """A row that changed only in other fields has nothing to tell."""
        world = World()
        world.put("a", name="A")
        since = world.table.rev
        world.put("a", name="A", total=5)
        self.assertEqual(world.views.of(Selection(("name",))).delta(since), (b"[]", b"[]"))

    def test_only_what_changed(self) -> None:
        world = World()
        world.put("a", name="A", total=1)
        since = world.table.rev
        world.put("a", name="A", total=2)
        self.assertEqual(world.views.of(Selection()).delta(since), (b'[{"infohash":"a","total":2}]', b"[]"))

    def test_order_of_changes(self) -> None:
        world = World()
        since = world.table.rev
        for key in ("b", "a", "c", "b"):
            world.put(key, total=world.table.rev)
        changed, _ = world.views.of(Selection(("name",))).delta(since)
        self.assertEqual([row["infohash"] for row in json.loads(changed)], ["a", "c", "b"])


class FilterTests(SynchronousTestCase):
    SEEDS = Selection(("name", "total"), frozenset({"seeding"}))

    def setUp(self) -> None:
        self.world = World()
        self.world.put("a", state="seeding", name="A")
        self.world.put("b", state="stopped", name="B")
        self.world.put("c", state="seeding", name="C")
        self.since = self.world.table.rev

    def delta(self) -> tuple[Any, Any]:
        changed, removed = self.world.views.of(self.SEEDS).delta(self.since)
        return json.loads(changed), json.loads(removed)

    def test_entering(self) -> None:
        self.world.check_list(self.SEEDS)
        self.world.put("b", state="seeding", name="B")
        self.assertEqual(self.delta(), ([{"infohash": "b", "name": "B", "total": None}], []))
        # its place is that of its coming, between the others
        self.world.check_list(self.SEEDS)

    def test_leaving(self) -> None:
        self.world.check_list(self.SEEDS)
        self.world.put("a", state="stopped", name="A")
        self.assertEqual(self.delta(), ([], ["a"]))
        self.world.check_list(self.SEEDS)

    def test_leaving_and_entering(self) -> None:
        self.world.put("a", state="stopped", name="A")
        self.world.put("a", state="seeding", name="A")
        self.assertEqual(self.delta(), ([{"infohash": "a", "name": "A", "total": None}], []))

    def test_born_again(self) -> None:
        self.world.check_list(self.SEEDS)
        self.world.remove("a")
        self.world.put("a", state="seeding", name="A")
        self.assertEqual(self.delta(), ([{"infohash": "a", "name": "A", "total": None}], []))
        self.world.check_list(self.SEEDS)

    def test_never_there(self) -> None:
        """A row that did not match and does not is nobody's business."""
        self.world.put("b", state="stopped", name="other")
        self.assertEqual(self.delta(), ([], []))

    def test_born_again_elsewhere(self) -> None:
        self.world.remove("a")
        self.world.put("a", state="stopped", name="A")
        self.assertEqual(self.delta(), ([], ["a"]))


def by_sort_keys(keys: Sequence[tuple[str, bool]]) -> Any:
    """Two rows compared field by field, absent values last whatever the direction."""

    def compare(left: dict[str, Any], right: dict[str, Any]) -> int:
        for name, descending in keys:
            a, b = left[name], right[name]
            if a == b:
                continue
            if a is None or b is None:
                return 1 if a is None else -1
            return (-1 if a < b else 1) * (-1 if descending else 1)
        return 0

    return functools.cmp_to_key(compare)


ROWS = st.lists(st.tuples(st.sampled_from(KEYS), st.fixed_dictionaries(VALUES)), max_size=12)
SORT = st.lists(st.tuples(st.sampled_from(["progress", "name", "total", "state"]), st.booleans()), max_size=3)


class PageTests(SynchronousTestCase):
    SELECTION = Selection(("infohash", "progress", "name", "total", "state"))

    @settings(max_examples=150, deadline=None)
    @given(ROWS, SORT, st.integers(0, 8), st.none() | st.integers(0, 8), st.sampled_from([None, "seeding"]))
    def test_sorted_pages(
        self,
        rows: list[tuple[str, dict[str, Any]]],
        sort: list[tuple[str, bool]],
        offset: int,
        limit: int | None,
        state: str | None,
    ) -> None:
        selection = Selection(self.SELECTION.fields, None if state is None else frozenset({state}))
        world = World()
        for key, values in rows:
            world.put(key, **values)
        page, total = world.views.of(selection).page(sort, offset, limit)
        wanted = sorted(world.wanted(selection), key=by_sort_keys(sort))
        self.assertEqual(json.loads(page), wanted[offset:][:limit])
        self.assertEqual(total, len(wanted))

    def test_absent_last(self) -> None:
        world = World()
        for key, progress in (("a", None), ("b", 0.5), ("c", 1.0), ("d", None)):
            world.put(key, progress=progress)
        view = world.views.of(Selection(("infohash",)))
        for descending, wanted in ((False, "bcad"), (True, "cbad")):
            page, total = view.page([("progress", descending)], 0, None)
            self.assertEqual(("".join(r["infohash"] for r in json.loads(page)), total), (wanted, 4))

    def test_sorted_by_what_is_not_shown(self) -> None:
        world = World()
        world.put("a", total=2)
        world.put("b", total=1)
        page, _ = world.views.of(Selection(("name", "infohash"))).page([("total", False)], 0, 1)
        self.assertEqual(json.loads(page), [{"name": None, "infohash": "b"}])


class ViewsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = StatusTable(Revisions())
        self.views = Views(self.table, limit=2)

    def test_kept_while_used(self) -> None:
        first, second, third = (Selection((name,)) for name in ("name", "state", "total"))
        kept = ref(self.views.of(first))
        dropped = ref(self.views.of(second))
        self.views.of(first)
        self.views.of(third)
        self.assertIs(self.views.of(first), kept())
        self.assertIsNone(dropped())

    def test_held_by_somebody(self) -> None:
        """It is the same for all, though many others were asked for since."""
        held = self.views.of(Selection(("name",)))
        for name in ("state", "total", "ratio"):
            self.views.of(Selection((name,)))
        self.assertIs(self.views.of(Selection(("name",))), held)

    def test_unchanged_list_is_the_same_bytes(self) -> None:
        self.table.put("a", make_row("a"))
        view = self.views.of(Selection())
        self.assertIs(view.rows()[0], view.rows()[0])

    def test_other_sessions_revisions(self) -> None:
        """A table that did not change is up to date, whatever the daemon's counter says."""
        revisions = Revisions()
        table = StatusTable(revisions)
        view = View(table, Selection(("infohash",)))
        table.put("a", make_row("a"))
        self.assertEqual(view.rows(), (b'[{"infohash":"a"}]', 1))
        revisions.next()
        self.assertEqual(view.rows(), (b'[{"infohash":"a"}]', 1))
        self.assertEqual(view.delta(revisions.current), (b"[]", b"[]"))

    def test_encoder(self) -> None:
        self.assertEqual(self.views.encoder(("name",))(make_row("a", name="ä")), '{"name":"ä"}'.encode())
        self.assertIs(self.views.encoder(("name",)), self.views.encoder(("name",)))
        whole = json.loads(self.views.encoder(NAMES)(make_row("a")))
        self.assertEqual(list(whole), list(NAMES))
        self.assertEqual(whole["infohash"], "a")

    def test_names_tell_selections_apart(self) -> None:
        selections = [*SELECTIONS, Selection(("name", "state")), Selection(("state", "name"))]
        self.assertEqual(len({s.name for s in selections}), len(selections))
        self.assertEqual(Selection().name, Selection(NAMES, None).name)
