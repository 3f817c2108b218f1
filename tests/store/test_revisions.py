"""Revisions: never twice, also across restarts and clocks that run backwards."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.store.revisions import LIMIT, RESERVE, Revisions

NOW = 1_790_000_000_000_000


class RevisionsTests(SynchronousTestCase):
    def test_start(self) -> None:
        self.assertEqual(Revisions(NOW, 0).current, NOW)
        self.assertEqual(Revisions(NOW, NOW).current, NOW + 1)
        self.assertEqual(Revisions(NOW, NOW + 5).first, NOW + 6)

    def test_next(self) -> None:
        revisions = Revisions(NOW, 0)
        self.assertEqual([revisions.next(), revisions.next()], [NOW + 1, NOW + 2])
        self.assertEqual((revisions.current, revisions.first), (NOW + 2, NOW))

    def test_reserve(self) -> None:
        revisions = Revisions(NOW, 7, reserve=10)
        self.assertTrue(revisions.needs_reserve)
        self.assertEqual(revisions.high_water, 7)
        end = revisions.reserve()
        self.assertEqual(end, NOW + 10)
        self.assertFalse(revisions.needs_reserve)  # under way
        self.assertEqual(revisions.high_water, 7)
        revisions.reserved(end)
        self.assertEqual(revisions.high_water, NOW + 10)
        for _ in range(4):
            revisions.next()
        self.assertFalse(revisions.needs_reserve)
        revisions.next()
        self.assertTrue(revisions.needs_reserve)

    def test_failed_reserve(self) -> None:
        revisions = Revisions(NOW, 0)
        revisions.reserve()
        revisions.reserve_failed()
        self.assertTrue(revisions.needs_reserve)
        self.assertEqual(revisions.next(), NOW + 1)

    def test_limits(self) -> None:
        self.assertRaises(ValueError, Revisions, LIMIT, 0)
        self.assertRaises(ValueError, Revisions, NOW, LIMIT)
        self.assertRaises(ValueError, Revisions, -1, -1)
        self.assertLess(NOW + 1_000_000 * RESERVE, LIMIT)

    @given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 60)), min_size=1, max_size=20))
    def test_restarts(self, lives: list[tuple[int, int]]) -> None:
        """Each life reserves when told to and dies at once: no number is handed out in two of them."""
        stored, seen = 0, 0
        for shift, steps in lives:
            revisions = Revisions(NOW + shift, stored, reserve=16)
            self.assertGreater(revisions.first, seen)
            for _ in range(steps):
                if revisions.needs_reserve:
                    stored = revisions.reserve()
                    revisions.reserved(stored)
                self.assertLess(revisions.next(), stored)
            seen = revisions.current if steps else seen
