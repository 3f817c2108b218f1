"""Passwords: who may try how many, and what a hash is."""

from threading import Event, get_ident
from typing import Any

from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from resttorrent.access import attempts, guesses, passwords
from resttorrent.access.attempts import MOST, PERIOD, Attempts
from resttorrent.access.guesses import MOST_FOR_NAME, MOST_GUARDED, SLOTS, Guess, Guesses
from resttorrent.access.passwords import AT_ONCE, MOST_WAITING, Argon2, Hashing, canonical, chosen
from resttorrent.errors import TokenNeeded, TooMany, WrongPassword

from .support import PASSWORD, World, facts, run

NETWORK = "192.0.2.7"
CHEAPEST = Argon2(memory_kib=8, passes=1, lanes=1)


class GuessingTests(SynchronousTestCase):
    """The policy against those who guess."""

    def setUp(self) -> None:
        self.world = World()
        self.policy, self.hashes = self.world.policy, self.world.hashes
        self.world.user()
        self.hashes.work.clear()

    def guess(self, address: str = NETWORK, name: str = "ann", password: str = "wrong") -> type[object]:
        """What becomes of it."""
        try:
            run(self.policy.log_in_as(name, password, address))
        except (WrongPassword, TooMany) as error:
            return type(error)
        return type(None)

    def test_ten_a_minute(self) -> None:
        for _ in range(MOST):
            self.assertIs(self.guess(), WrongPassword)
        hashed = len(self.hashes.work)
        error = self.assertRaises(TooMany, run, self.policy.log_in_as("ann", "wrong", NETWORK))
        self.assertEqual((error.http_status, error.retry_after), (429, 60))
        # nothing is hashed then, be it for the right one
        self.assertIs(self.guess(password=PASSWORD), TooMany)
        self.assertEqual((hashed, len(self.hashes.work)), (MOST, MOST))
        # but a right token is let in, and so is the password from elsewhere
        token = self.world.token()
        self.assertEqual(self.policy.judge(facts(NETWORK, bearer=token)).name, "a token")
        self.policy.log_in(token, NETWORK)
        self.assertIs(self.guess("192.0.2.8", password=PASSWORD), type(None))
        self.world.clock.advance(PERIOD)
        self.assertIs(self.guess(password=PASSWORD), type(None))

    def test_counted_with_tokens(self) -> None:
        for _ in range(MOST - 1):
            self.assertRaises(TokenNeeded, self.policy.judge, facts(NETWORK, bearer="wrong"))
        self.assertIs(self.guess(), WrongPassword)
        self.assertIs(self.guess(), TooMany)
        self.assertRaises(TooMany, self.policy.judge, facts(NETWORK, bearer="wrong"))

    def test_right_ones_are_not_counted(self) -> None:
        for _ in range(3 * MOST):
            self.assertIs(self.guess(password=PASSWORD), type(None))
        for _ in range(MOST):
            self.assertIs(self.guess(), WrongPassword)

    def test_many_at_a_time(self) -> None:
        """They are counted before they are looked at."""
        self.hashes.slow = True
        all_of_them = [
            Deferred.fromCoroutine(self.policy.log_in_as("ann", "wrong", NETWORK)) for _ in range(3 * MOST)
        ]
        self.assertEqual(len(self.hashes.work), MOST)
        self.hashes.go_on()
        kinds = [self.failureResultOf(one).type for one in all_of_them]
        self.assertEqual((kinds.count(WrongPassword), kinds.count(TooMany)), (MOST, 2 * MOST))

    def test_what_was_not_looked_at_is_not_counted(self) -> None:
        self.hashes.error = TooMany("too many passwords are being checked", retry_after=2)
        for _ in range(3 * MOST):
            self.assertIs(self.guess(), TooMany)
        self.hashes.error = None
        self.assertIs(self.guess(), WrongPassword)

    def test_botnet(self) -> None:
        """Thousands of addresses get a few tries each, and the user gets in from anywhere."""
        home = "198.51.100.1"
        self.assertIs(self.guess(home, password=PASSWORD), type(None))
        for number in range(MOST_FOR_NAME):
            self.assertIs(self.guess(f"203.0.113.{number}"), WrongPassword)
        tries = [[self.guess(f"10.0.0.{number}") for _ in range(MOST)] for number in range(20)]
        expected = [WrongPassword] * MOST_GUARDED + [TooMany] * (MOST - MOST_GUARDED)
        self.assertEqual(tries, [expected] * 20)
        error = self.assertRaises(TooMany, run, self.policy.log_in_as("ann", "wrong", "10.0.0.1"))
        self.assertEqual(error.retry_after, 3600)
        # from a new place; and at home with a slip or two
        self.assertIs(self.guess("198.51.100.9", password=PASSWORD), type(None))
        for _ in range(MOST - 1):
            self.assertIs(self.guess(home), WrongPassword)
        self.assertIs(self.guess(home, password=PASSWORD), type(None))
        # it passes
        self.world.clock.advance(2 * guesses.PERIOD)
        self.assertEqual([self.guess("10.0.0.1") for _ in range(MOST)], [WrongPassword] * MOST)

    def test_nobody_can_lock_a_user_out(self) -> None:
        """However many are at it, an address that did nothing has its try."""
        for number in range(2000):
            self.guess(f"10.{number // 250}.{number % 250}.1")
        for number in range(50):
            self.assertIs(self.guess(f"198.51.100.{number}", password=PASSWORD), type(None))

    def test_unknown_names_are_guarded_alike(self) -> None:
        """Else it would show which names there are."""
        for number in range(MOST_FOR_NAME):
            self.guess(f"203.0.113.{number}", "ann")
            self.guess(f"203.0.113.{number}", "nobody")
        outcomes = [
            [self.guess(f"10.0.{number}.1", name) for _ in range(MOST)]
            for number, name in enumerate(("ann", "nobody"))
        ]
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertEqual(outcomes[0].count(WrongPassword), MOST_GUARDED)


class GuessesTests(SynchronousTestCase):
    """The counting by itself."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.attempts = Attempts(self.clock.seconds)
        self.guesses = Guesses(self.attempts, self.clock.seconds)

    def begin(self, name: str, address: str) -> Guess:
        guess = self.guesses.begin(name, address)
        assert isinstance(guess, Guess), guess
        return guess

    def wrong(self, name: str, address: str) -> None:
        self.guesses.wrong(self.begin(name, address))

    def test_guarded_until_they_have_aged(self) -> None:
        for number in range(MOST_FOR_NAME - 1):
            self.wrong("ann", str(number))
        self.assertFalse(self.guesses.is_guarded("ann"))
        self.wrong("ann", "x")
        self.assertTrue(self.guesses.is_guarded("ann"))
        self.assertFalse(self.guesses.is_guarded("bob"))
        # one that goes on stays guarded
        for number in range(60):
            self.clock.advance(36)
            self.wrong("ann", f"y{number}")
            self.assertTrue(self.guesses.is_guarded("ann"))
        self.clock.advance(37)
        self.assertFalse(self.guesses.is_guarded("ann"))

    def test_tables_are_bounded(self) -> None:
        self.patch(guesses, "MOST_KNOWN", 50)
        self.patch(attempts, "MOST_ADDRESSES", 50)
        for number in range(3 * SLOTS):
            self.wrong(f"name {number}", f"10.{number // 250}.{number % 250}.1")
            self.guesses.right(self.begin(f"name {number}", "home"))
        self.assertLessEqual(len(self.guesses._levels), SLOTS)
        self.assertEqual(len(self.guesses._known), 50)
        self.assertLessEqual(len(self.attempts), 50)

    def test_no_names_push_another_out(self) -> None:
        for number in range(MOST_FOR_NAME):
            self.wrong("ann", str(number))
        for number in range(2 * SLOTS):
            self.wrong(f"name {number}", f"10.{number // 250}.{number % 250}.1")
        self.assertTrue(self.guesses.is_guarded("ann"))

    def test_taken_back(self) -> None:
        for _ in range(MOST - 1):
            self.attempts.wrong("a")
        for _ in range(50):
            self.assertEqual(self.attempts.wrong("a"), 0)
            self.attempts.take_back("a")
        self.attempts.take_back("never seen")
        self.assertEqual(self.attempts.wrong("a"), 0)
        self.assertEqual(self.attempts.wrong("a"), PERIOD)


class CanonicalTests(SynchronousTestCase):
    @given(st.text(max_size=300))
    def test_once_is_enough(self, text: str) -> None:
        try:
            password = canonical(text)
        except ValueError:
            return
        self.assertEqual(canonical(password), password)
        self.assertLessEqual(len(password.encode()), passwords.LONGEST)

    def test_bounds(self) -> None:
        self.assertEqual(chosen("x" * 1024), "x" * 1024)
        self.assertEqual(chosen("é" * 10), "é" * 10)
        for wrong in ("x" * 9, "x" * 1025, "\U0001f4a9" * 257):
            self.assertRaises(ValueError, chosen, wrong)


class Slow:
    """A hasher whose work ends when it is told."""

    def __init__(self) -> None:
        self.go = Event()
        self.threads: set[int] = set()
        self.decoys: list[str] = []

    def hash(self, password: str) -> str:
        self.threads.add(get_ident())
        assert self.go.wait(20)
        return "hash"

    def verify(self, hash: str, password: str) -> bool:
        self.threads.add(get_ident())
        self.decoys.append(hash)
        return False

    def is_outdated(self, hash: str) -> bool:
        return False

    def decoy(self) -> str:
        return "decoy"


class HashingTests(TestCase):
    def make(self, hasher: Any) -> Hashing:
        hashing = Hashing(reactor, hasher)
        hashing.start()
        self.addCleanup(hashing.stop)
        return hashing

    async def test_argon2(self) -> None:
        hashing = self.make(CHEAPEST)
        made = await hashing.hash(PASSWORD)
        self.assertTrue(made.startswith("$argon2id$v=19$m=8,t=1,p=1$"))
        self.assertNotIn(PASSWORD, made)
        self.assertNotEqual(await hashing.hash(PASSWORD), made)
        self.assertTrue(await hashing.verify(made, PASSWORD))
        self.assertFalse(await hashing.verify(made, PASSWORD + "x"))
        self.assertFalse(await hashing.verify(None, PASSWORD))
        with capturedLogs() as logged:
            self.assertFalse(await hashing.verify("damaged", PASSWORD))
        (line,) = map(formatEvent, logged)
        self.assertIn("damaged: set the password anew", line)
        self.assertFalse(hashing.is_outdated(made))
        self.assertTrue(Argon2(memory_kib=16, passes=1).is_outdated(made))

    def test_parameters(self) -> None:
        """Not below the least that is advised: 46 MiB and one pass."""
        argon2: PasswordHasher = Argon2()._argon2
        self.assertGreaterEqual(argon2.memory_cost, 47104)
        self.assertEqual((argon2.time_cost, argon2.parallelism, argon2.salt_len), (1, 1, 16))
        self.assertEqual(argon2.type.name, "ID")
        # what an unknown user's password is compared with costs as much
        decoy = Argon2().decoy()
        self.assertFalse(Argon2().is_outdated(decoy))
        self.assertNotEqual(Argon2().decoy(), decoy)

    async def test_two_at_once_and_some_wait(self) -> None:
        slow = Slow()
        hashing = self.make(slow)
        # before the threads are waited for, even if something here fails
        self.addCleanup(slow.go.set)
        asked = [Deferred.fromCoroutine(hashing.hash("x")) for _ in range(AT_ONCE + MOST_WAITING)]
        error = self.failureResultOf(Deferred.fromCoroutine(hashing.hash("x")), TooMany).value
        self.assertEqual((error.http_status, error.retry_after), (429, passwords.RETRY_AFTER))
        refused = Deferred.fromCoroutine(hashing.verify(None, "x"))
        self.failureResultOf(refused, TooMany)
        slow.go.set()
        self.assertEqual(await gatherResults(asked), ["hash"] * len(asked))
        self.assertEqual(await hashing.hash("x"), "hash")
        self.assertLessEqual(len(slow.threads), AT_ONCE)

    async def test_never_on_the_reactor(self) -> None:
        slow = Slow()
        hashing = self.make(slow)
        slow.go.set()
        await hashing.hash("x")
        await hashing.verify("hash", "x")
        self.assertTrue(slow.threads)
        self.assertNotIn(get_ident(), slow.threads)

    async def test_unknown_users_are_compared_with_something(self) -> None:
        slow = Slow()
        self.assertFalse(await self.make(slow).verify(None, "x"))
        self.assertEqual(slow.decoys, ["decoy"])

    def test_never_started(self) -> None:
        Hashing(reactor, CHEAPEST).stop()
