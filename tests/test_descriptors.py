"""The limit of open files: raised where that is allowed, never lowered."""

import resource

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.descriptors import WANTED, raise_limit

NONE = resource.RLIM_INFINITY


class RaiseLimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.limits = (1024, 4096)
        self.error: Exception | None = None
        self.patch(resource, "getrlimit", lambda kind: self.limits)
        self.patch(resource, "setrlimit", self.set)

    def set(self, kind: int, limits: tuple[int, int]) -> None:
        self.assertEqual(kind, resource.RLIMIT_NOFILE)
        if self.error is not None:
            raise self.error
        self.limits = limits

    def assertRaised(self, before: tuple[int, int], soft: int) -> None:
        self.limits = before
        self.assertEqual(raise_limit(), soft)
        self.assertEqual(self.limits, (soft, before[1]))

    def test_to_the_hard_one(self) -> None:
        self.assertRaised((1024, 4096), 4096)

    def test_but_not_beyond_what_is_of_use(self) -> None:
        self.assertRaised((1024, 1 << 20), WANTED)
        self.assertRaised((1024, NONE), WANTED)

    def test_never_lowered(self) -> None:
        self.assertRaised((1 << 20, 1 << 20), 1 << 20)
        self.assertRaised((NONE, NONE), NONE)
        self.assertRaised((WANTED + 1, NONE), WANTED + 1)

    def test_refused(self) -> None:
        self.error = PermissionError(1, "Operation not permitted")
        self.assertEqual(raise_limit(), 1024)
        self.assertEqual(self.limits, (1024, 4096))
