"""Wrong tokens by address: counted, aged, bounded."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access import attempts
from resttorrent.access.attempts import MOST, PERIOD, Attempts, network_of


class AttemptsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.attempts = Attempts(self.clock.seconds)

    def test_steady_guesser(self) -> None:
        """Whoever never stops gets ten tries a minute, not one more."""
        let_through = 0
        for _ in range(10 * int(PERIOD)):
            let_through += not self.attempts.wrong("192.0.2.1")
            self.clock.advance(1)
        self.assertEqual(let_through, 10 * MOST)

    def test_each_ages_by_itself(self) -> None:
        for _ in range(MOST):
            self.assertEqual(self.attempts.wrong("a"), 0)
            self.clock.advance(1)
        self.assertEqual(self.attempts.wrong("a"), PERIOD - MOST)
        self.clock.advance(PERIOD - MOST)
        self.assertEqual(self.attempts.wrong("a"), 0)
        self.assertEqual(self.attempts.wrong("a"), 1)

    def test_table_is_bounded(self) -> None:
        self.patch(attempts, "MOST_ADDRESSES", 100)
        for number in range(1000):
            for _ in range(MOST):
                self.attempts.wrong("192.0.2.1") if number % 50 == 0 else None
            self.attempts.wrong(f"10.0.{number // 256}.{number % 256}")
            self.assertLessEqual(len(self.attempts), 100)
        # who was busy is remembered
        self.assertGreater(self.attempts.wrong("192.0.2.1"), 0)

    def test_networks(self) -> None:
        for address, counted in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("", ""),
            ("x" * 100, "x" * 64),
        ):
            self.assertEqual(network_of(address), counted)
