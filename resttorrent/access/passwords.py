"""
Passwords: what counts as the same one, and their argon2 hashes, made in threads of their own.

A hash takes 46 MiB and one pass over them, which OWASP names first of its equally strong minima. A small
machine must afford ``AT_ONCE`` of them. Blocks of that size come from the system and go back to it; those of
19 MiB (with two passes, in half the time) would stay with the process for good.

Sources: RFC 9106 (argon2), RFC 8265 §4.2 (comparing passwords), OWASP Password Storage Cheat Sheet.
"""

import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from ..errors import TooMany

SHORTEST = 10
"""Characters."""
LONGEST = 1024
"""Bytes of UTF-8."""
AT_ONCE = 2
MOST_WAITING = 16
RETRY_AFTER = 2
"""Seconds in which as many as may wait are done, on any machine that is fast enough for torrents."""

MEMORY_KIB = 46 * 1024
PASSES = 1
LANES = 1


def canonical(text: str) -> str:
    """
    A password as it is hashed: however a keyboard composed its letters, and whichever space it typed.

    Letter case and width stay: they are part of what is hard to guess.

    :raises ValueError: it has more than ``LONGEST`` bytes.
    """
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in text)
    password = unicodedata.normalize("NFC", spaced)
    if len(password.encode()) > LONGEST:
        raise ValueError(f"at most {LONGEST} bytes")
    return password


def chosen(text: str) -> str:
    """
    A new password, as ``canonical``.

    :raises ValueError: it is too short, too long, or has characters that not every keyboard or every Unicode
        version agrees about.
    """
    password = canonical(text)
    if len(password) < SHORTEST:
        raise ValueError(f"at least {SHORTEST} characters")
    if any(unicodedata.category(character) in ("Cc", "Cn") for character in password):
        raise ValueError("characters that can be typed")
    return password


class Hasher(Protocol):
    """What turns passwords into hashes; it takes long."""

    def hash(self, password: str) -> str: ...
    def verify(self, hash: str, password: str) -> bool: ...
    def is_outdated(self, hash: str) -> bool: ...
    def decoy(self) -> str: ...


class Argon2:
    """argon2id."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES, lanes: int = LANES) -> None:
        self._argon2 = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)

    def hash(self, password: str) -> str:
        """With a new salt, in the form that names its parameters: ``$argon2id$v=19$m=…,t=…,p=…$…$…``."""
        return self._argon2.hash(password)

    def verify(self, hash: str, password: str) -> bool:
        """
        Whether this is the password.

        :raises InvalidHashError: that is no hash, :raises VerificationError: there is no memory for it.
        """
        try:
            return self._argon2.verify(hash, password)
        except VerifyMismatchError:
            return False

    def is_outdated(self, hash: str) -> bool:
        """Whether it was made with other parameters than new ones are."""
        return self._argon2.check_needs_rehash(hash)

    def decoy(self) -> str:
        """A hash that no password has, as costly to compare with as any: random bits in its place."""
        argon2 = self._argon2
        head = f"$argon2id$v=19$m={argon2.memory_cost},t={argon2.time_cost},p={argon2.parallelism}"
        return "$".join((head, _random(argon2.salt_len), _random(argon2.hash_len)))


class Hashing:
    """
    Hashes in threads, ``AT_ONCE`` at a time; ``MOST_WAITING`` more may wait.

    :param reactor: which gets the answers.
    """

    _log = Logger()

    def __init__(self, reactor: Any, hasher: Hasher) -> None:
        self._reactor = reactor
        self._hasher = hasher
        self._decoy = hasher.decoy()
        self._pool = ThreadPool(0, AT_ONCE, "passwords")
        self._asked = 0

    def start(self) -> None:
        """Take work up; what was asked before waits."""
        self._pool.start()

    def stop(self) -> None:
        """End the threads; what they are at is finished first."""
        if self._pool.started:
            self._pool.stop()

    async def hash(self, password: str) -> str:
        """
        A new password's hash.

        :raises TooMany: too many wait already.
        """
        made: str = await self._in_thread(self._hasher.hash, password)
        return made

    async def verify(self, hash: str | None, password: str) -> bool:
        """
        Whether a password has this hash.

        :param hash: ``None`` for one that no password has; it takes as long.
        :raises TooMany: too many wait already.
        """
        try:
            right: bool = await self._in_thread(self._hasher.verify, hash or self._decoy, password)
        except InvalidHashError:
            self._log.error("a password's hash in the state database is damaged: set the password anew")
            return False
        return right

    def is_outdated(self, hash: str) -> bool:
        """Whether it should be made anew, when its password is at hand."""
        return self._hasher.is_outdated(hash)

    def _in_thread(self, work: Callable[..., Any], *arguments: str) -> Deferred[Any]:
        if self._asked >= AT_ONCE + MOST_WAITING:
            raise TooMany("too many passwords are being checked", retry_after=RETRY_AFTER)
        self._asked += 1
        answer: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, work, *arguments)
        return answer.addBoth(self._answered)

    def _answered(self, result: object) -> object:
        self._asked -= 1
        return result


def _random(size: int) -> str:
    """Random bytes in the base64 of argon2's hashes, which is without padding."""
    return b64encode(secrets.token_bytes(size)).decode().rstrip("=")
