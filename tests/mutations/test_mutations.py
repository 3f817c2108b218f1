"""The list is of this code. ``make mutations`` tries what is on it."""

import re

from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from tests.mutations.defences import MUTATIONS
from tests.mutations.mutation import PROJECT, Mutation, doubled


class ListTests(SynchronousTestCase):
    def test_none_is_stale(self) -> None:
        self.assertEqual([one.name for one in MUTATIONS if one.is_stale()], [])

    def test_names(self) -> None:
        self.assertEqual(doubled(MUTATIONS), [])
        self.assertGreaterEqual(len(MUTATIONS), 60)

    def test_tests_are_there(self) -> None:
        for one in MUTATIONS:
            self.assertTrue(one.tests, one.name)
            for test in one.tests:
                namedAny(test)

    def test_something_is_taken_out(self) -> None:
        self.assertEqual([one.name for one in MUTATIONS if one.old == one.new], [])

    def test_every_threat_is_among_them(self) -> None:
        """Each row of SECURITY.md's table names a test that some mutation must fail."""
        table = (PROJECT / "SECURITY.md").read_text().partition("| Threat | Test |")[2].partition("\n\n")[0]
        wanted = {test for one in MUTATIONS for test in one.tests}
        for row in table.splitlines()[2:]:
            named = re.findall(r"`(tests\.[\w.]+)`", row)
            covered = [
                name
                for name in named
                for test in wanted
                if name == test or name.startswith(test + ".") or test.startswith(name + ".")
            ]
            self.assertTrue(covered, row)


class StaleTests(SynchronousTestCase):
    def test_seen(self) -> None:
        def of(file: str, old: str) -> Mutation:
            return Mutation("x", file, old, "", ())

        self.assertFalse(of("service.py", "class DaemonService:").is_stale())
        for stale in (of("service.py", "self"), of("service.py", "no such text"), of("no_such.py", "x")):
            self.assertTrue(stale.is_stale())
