"""
Wrong passwords, counted before anything is hashed. Sans I/O.

By address, together with wrong tokens (``attempts``): ten a minute. Beyond that nothing is hashed, so the
right password waits as well; a stranger could else have the machine hash all day.

By name: one that got ``MOST_FOR_NAME`` wrong ones, from wherever, within ``PERIOD`` is guarded until they
have aged. Each address then has ``MOST_GUARDED`` tries for guarded names in ``PERIOD``, but for those from
which this name has logged in. There is no bound over all addresses, on purpose: that would be a lock, and
strangers would hold it. So who knows the password gets in at the first try from anywhere, and who guesses
from thousands of addresses gets a few tries from each.

A name counts as what a keyed hash makes of it, whether it is a user's or not: the table can't grow, nobody
can push an entry out, and nothing shows which names there are.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from .attempts import Attempts, network_of

MOST_FOR_NAME = 100
MOST_GUARDED = 3
PERIOD = 3600.0
SLOTS = 4096
MOST_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Guess:
    """
    A password that somebody tries.

    :ivar address: what it is counted by; :ivar guarded: whether it counts as a try for a guarded name, too.
    """

    name: str
    address: str
    guarded: bool


class Guesses:
    """
    :param attempts: wrong tokens by address.
    :param seconds: a steady clock.
    """

    def __init__(self, attempts: Attempts, seconds: Callable[[], float]) -> None:
        self._attempts = attempts
        self._guarded = Attempts(seconds, most=MOST_GUARDED, period=PERIOD)
        self._seconds = seconds
        self._key = secrets.token_bytes(32)
        # by slot: how many, less those that have aged, and as of when
        self._levels: dict[int, tuple[float, float]] = {}
        # where a name has logged in, the longest ago first
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, name: str, address: str) -> Guess | int:
        """
        Count a guess, until it turns out to be right; many may be under way at a time.

        :return: the guess, or seconds to wait if it may not be tried; it isn't counted then.
        """
        wait = self._attempts.wrong(address)
        if wait:
            return wait
        guess = Guess(name, address, self.is_guarded(name) and not self._is_known(name, address))
        if guess.guarded:
            wait = self._guarded.wrong(address)
            if wait:
                self._attempts.take_back(address)
                return wait
        return guess

    def drop(self, guess: Guess) -> None:
        """It was not tried after all."""
        self._attempts.take_back(guess.address)
        if guess.guarded:
            self._guarded.take_back(guess.address)

    def right(self, guess: Guess) -> None:
        """It was right: it doesn't count, and its address is known from now on."""
        self.drop(guess)
        place = guess.name, network_of(guess.address)
        self._known[place] = None
        self._known.move_to_end(place)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def wrong(self, guess: Guess) -> None:
        """It was wrong."""
        self._levels[self._slot(guess.name)] = self._level(guess.name) + 1, self._seconds()

    def is_guarded(self, name: str) -> bool:
        """Whether a name gets so many wrong passwords that each address has few tries."""
        # with some room: the first of them ages at once
        return self._level(name) > MOST_FOR_NAME - 1

    def _is_known(self, name: str, address: str) -> bool:
        return (name, network_of(address)) in self._known

    def _level(self, name: str) -> float:
        level, since = self._levels.get(self._slot(name), (0.0, 0.0))
        return max(0.0, level - (self._seconds() - since) * MOST_FOR_NAME / PERIOD)

    def _slot(self, name: str) -> int:
        digest = hashlib.blake2b(name.encode(), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest) % SLOTS
