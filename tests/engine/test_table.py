"""The status table: revisions, what changed since, tombstones and watchers."""

import random

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.fields import NAMES, POSITION, URGENT
from resttorrent.engine.table import StatusTable
from tests.engine.synthetic import Revisions, make_row


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.revisions = Revisions()
        self.table = StatusTable(self.revisions, tombstones=3)

    def put(self, key: str, **values: object) -> bool:
        return self.table.put(key, make_row(key, **values))

    def changed(self, since: int) -> list[str]:
        return [key for key, _ in self.table.changed_since(since)]


class RevisionTests(Case):
    def test_each_change_takes_the_next(self) -> None:
        self.assertTrue(self.put("a"))
        self.assertEqual(self.table.rev, 1001)
        self.assertTrue(self.put("a", name="A"))
        self.assertEqual(self.table.rev, 1002)
        self.table.remove("a")
        self.assertEqual((self.table.rev, self.revisions.current), (1003, 1003))

    def test_an_equal_row_is_no_change(self) -> None:
        self.put("a", progress=0.5)
        self.assertFalse(self.put("a", progress=0.5))
        self.assertEqual((self.table.rev, self.revisions.current), (1001, 1001))

    def test_removing_what_is_not_there(self) -> None:
        self.table.remove("a")
        self.assertEqual((self.table.rev, self.table.removed_since(0)), (1000, []))

    def test_tables_share_a_counter(self) -> None:
        other = StatusTable(self.revisions)
        other.put("b", make_row("b"))
        self.put("a")
        self.assertEqual((other.rev, self.table.rev), (1001, 1002))
        self.assertTrue(other.knows(1002))
        self.assertEqual(list(other.changed_since(1001)), [])


class ChangeTests(Case):
    def test_last_change_first(self) -> None:
        for key in ("a", "b", "c", "a"):
            self.put(key, total=self.table.rev)
        self.assertEqual(self.changed(1000), ["a", "c", "b"])
        self.assertEqual(self.changed(1002), ["a", "c"])
        self.assertEqual(self.changed(1004), [])

    def test_fields(self) -> None:
        self.put("a", name="A", total=1)
        self.put("a", name="A", total=2)
        self.put("a", name="B", total=2)
        entry = self.table["a"]
        self.assertEqual(entry.changed_since(1001), {POSITION["name"], POSITION["total"]})
        self.assertEqual(entry.changed_since(1002), {POSITION["name"]})
        self.assertEqual(entry.changed_since(1003), set())
        self.assertEqual((entry.born, entry.rev), (1001, 1003))

    def test_born_again(self) -> None:
        self.put("a", name="A")
        self.put("a", name="B")
        self.table.remove("a")
        self.put("a", name="B")
        entry = self.table["a"]
        self.assertEqual((entry.born, entry.changed_since(0)), (1004, set()))
        self.assertEqual(self.table.removed_since(1002), [])
        self.table.remove("a")
        self.assertEqual(self.table.removed_since(1002), ["a"])

    def test_order_of_coming(self) -> None:
        for key in ("a", "b", "c"):
            self.put(key)
        self.put("a", name="A")
        self.table.remove("b")
        self.put("b")
        self.assertEqual(list(self.table.entries), ["a", "c", "b"])

    def test_looking(self) -> None:
        self.put("a", name="A")
        self.assertEqual(self.table.value("a", "name"), "A")
        self.assertIn("a", self.table)
        self.assertNotIn("b", self.table)
        self.assertEqual(len(self.table), 1)


class TombstoneTests(Case):
    def remove(self, *keys: str) -> None:
        for key in keys:
            self.put(key)
            self.table.remove(key)

    def test_what_is_known(self) -> None:
        self.assertEqual([self.table.knows(r) for r in (-1, 0, 999, 1000, 1001)], [False] * 3 + [True, False])
        self.put("a")
        self.assertEqual(
            [self.table.knows(r) for r in (1000, 1001, 1002, 2**53 - 1)], [True] * 2 + [False] * 2
        )

    def test_ring(self) -> None:
        self.remove("a", "b", "c")
        self.assertTrue(self.table.knows(1000))
        self.assertEqual(self.table.removed_since(1000), ["c", "b", "a"])
        self.remove("d")
        self.assertEqual([self.table.knows(r) for r in (1000, 1001, 1002)], [False, False, True])
        self.assertEqual(self.table.removed_since(1002), ["d", "c", "b"])

    def test_told_once(self) -> None:
        """A removal is news up to its own revision, and no longer."""
        self.remove("a", "b")
        self.assertEqual(self.table.removed_since(1001), ["b", "a"])
        self.assertEqual(self.table.removed_since(1002), ["b"])
        self.assertEqual(self.table.removed_since(1004), [])

    def test_what_a_reader_may_have(self) -> None:
        for key in "abc":
            self.put(key)
        self.remove("a", "b")
        self.put("b")
        self.assertEqual(sorted(self.table.known_keys()), ["a", "b", "c"])
        since = self.table.known_since
        self.assertTrue(self.table.knows(since))
        self.assertFalse(self.table.knows(since - 1))

    def test_removed_twice(self) -> None:
        self.remove("a", "a")
        self.assertEqual(self.table.removed_since(1000), ["a"])


class WatcherTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.rung = 0
        self.unwatch = self.table.watch(self.ring)

    def ring(self) -> None:
        self.rung += 1

    def test_what_cannot_wait(self) -> None:
        self.put("a")
        for position in sorted(URGENT):
            before = self.rung
            self.put("a", **{NAMES[position]: f"another {NAMES[position]}"})
            self.assertEqual(self.rung, before + 1, NAMES[position])
        before = self.rung
        self.table.remove("a")
        self.assertEqual(self.rung, before + 1)

    def test_what_can(self) -> None:
        self.put("a")
        self.put("a", total=1)
        self.put("a", total=1)
        self.table.remove("b")
        self.assertEqual(self.rung, 1)

    def test_unwatch(self) -> None:
        self.unwatch()
        self.unwatch()
        self.put("a")
        self.assertEqual(self.rung, 0)

    def test_watchers_that_leave_when_called(self) -> None:
        unwatch = self.table.watch(lambda: unwatch())
        self.put("a")
        self.put("b")
        self.assertEqual(self.rung, 2)


class CostTests(Case):
    def test_a_question_costs_what_changed(self) -> None:
        """Of 10,000 rows only those that changed are looked at."""
        for number in range(10_000):
            self.put(f"{number:040x}")
        since = self.table.rev
        chosen = random.Random(1).sample(range(10_000), 100)
        for number in chosen:
            self.put(f"{number:040x}", total=1)
        self.assertEqual(self.changed(since), [f"{number:040x}" for number in reversed(chosen)])
