"""
The people who log in with a name and a password, of which only an argon2 hash is kept.

All are in memory. A user has one grant at a time, which all logins share; a change of the password or of the
scopes makes a new one, so whatever came by the old one is refused from then on.
"""

import secrets
import unicodedata
from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec.structs import replace
from twisted.logger import Logger

from ..errors import CommandError, Loading, NotFound, TokenNeeded, TooMany, UserExists
from ..store.records import UserRecord
from ..store.store import Store
from .principals import PUBLIC, Principal, including
from .tokens import Watcher

MOST_USERS = 1000
LONGEST_NAME = 64
"""Characters."""


class Hashes(Protocol):
    """What is needed of ``passwords.Hashing``."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, hash: str | None, password: str) -> bool: ...
    def is_outdated(self, hash: str) -> bool: ...


def canonical_name(text: str) -> str:
    """
    A name as it is kept and compared: in small letters, however they were composed, and whichever width they
    have (Unicode 16.0 §3.13, D146: compatibility caseless match).
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


def chosen_name(text: str) -> str:
    """
    A new user's name, canonical: printable, one segment of a path, and none that a client takes for ``..``.

    :raises ValueError: it can't be one.
    """
    name = canonical_name(text)
    if not name[:1].isalnum() or len(name) > LONGEST_NAME or not name.isprintable() or "/" in name:
        raise ValueError
    return name


class User:
    """
    One user.

    :ivar record: as stored; :ivar grant: what holds now; :ivar principal: who it is when logged in.
    """

    __slots__ = ("grant", "principal", "record")

    def __init__(self, record: UserRecord) -> None:
        self.renew(record)

    def renew(self, record: UserRecord) -> None:
        """Be this from now on, by another grant."""
        self.record = record
        self.grant = secrets.token_hex(8)
        scopes = frozenset((PUBLIC, *record.scopes))
        self.principal = Principal(record.name, scopes, self.grant, is_user=True)


class Users:
    """
    :param wall: epoch seconds.
    """

    _log = Logger()

    def __init__(self, store: Store, hashes: Hashes, wall: Callable[[], float]) -> None:
        self._store = store
        self._hashes = hashes
        self._wall = wall
        self._by_name: dict[str, User] = {}
        self._by_grant: dict[str, User] = {}
        self._watchers: list[Watcher] = []
        self._loaded = False

    def __iter__(self) -> Iterator[User]:
        return iter(tuple(self._by_name.values()))

    async def load(self) -> None:
        """Read them from the store."""
        for record in await self._store.users():
            self._keep(User(record))
        self._loaded = True

    def named(self, name: str) -> User:
        """
        The user of this name, however it is written.

        :raises NotFound: there is none.
        """
        user = self._by_name.get(canonical_name(name))
        if user is None:
            raise NotFound("there is no such user", field="name")
        return user

    def who_is(self, principal: Principal) -> User | None:
        """The user that somebody is logged in as."""
        return None if principal.grant is None else self._by_grant.get(principal.grant)

    # -- judging ---------------------------------------------------------

    async def find(self, name: str, password: str) -> Principal | None:
        """
        Who has this name and this password, both canonical; ``None`` if nobody, told after the same time.

        :raises TooMany: too many wait already, :raises Loading: they are not read yet.
        """
        if not self._loaded:
            raise Loading("the daemon is reading its state")
        user = self._by_name.get(name)
        if user is None:
            await self._hashes.verify(None, password)
            return None
        grant, hash_ = user.grant, user.record.hash
        if not await self._hashes.verify(hash_, password):
            return None
        await self._logged_in(user, hash_, password)
        # meanwhile the user may have been changed, or deleted
        return user.principal if self._by_grant.get(grant) is user else None

    async def _logged_in(self, user: User, hash_: str, password: str) -> None:
        """Note when; and while the password is at hand, hash it as new ones are. Neither is needed."""
        now = int(self._wall())
        try:
            renewed = await self._hashes.hash(password) if self._hashes.is_outdated(hash_) else hash_
            await self._store.user_logged_in(user.record.id, hash_, renewed, now)
        except CommandError as error:
            # the disk's trouble shows in /health
            self._log.debug("a login was not written: {error}", error=error)
            return
        if user.record.hash == hash_:
            user.record = replace(user.record, hash=renewed, last_login=now)

    def check(self, principal: Principal) -> None:
        """
        See that a user who has logged in still may.

        :raises TokenNeeded: the user was changed since, or deleted.
        """
        if self.who_is(principal) is None:
            raise TokenNeeded("this login has ended: log in again")

    # -- changing --------------------------------------------------------

    async def create(self, name: str, password: str, scopes: tuple[str, ...]) -> User:
        """
        Make a user; it is stored when this returns.

        :param name: as ``chosen_name`` gives it; :param password: as ``passwords.chosen`` does.
        :raises UserExists: the name is taken, :raises TooMany: there are ``MOST_USERS``, or too many
            passwords wait.
        """
        if len(self._by_name) >= MOST_USERS:
            raise TooMany(f"there are {MOST_USERS} users: delete some")
        if name in self._by_name:
            raise UserExists("there is a user of this name", field="name")
        record = UserRecord(
            id=secrets.token_hex(8),
            name=name,
            hash=await self._hashes.hash(password),
            scopes=including(scopes),
            created_time=int(self._wall()),
            last_login=None,
        )
        await self._store.add_user(record)
        return self._keep(User(record))

    async def update(self, user: User, password: str | None, scopes: tuple[str, ...] | None) -> None:
        """
        Change a user, and end all that it is logged in with.

        :param password: ``None`` to keep it; :param scopes: likewise.
        :raises TooMany: too many passwords wait, :raises NotFound: it was deleted meanwhile.
        """
        hash_ = None if password is None else await self._hashes.hash(password)
        all_scopes = None if scopes is None else including(scopes)
        await self._store.update_user(user.record.id, hash_, all_scopes)
        self._drop(user)
        record = user.record
        user.renew(replace(record, hash=hash_ or record.hash, scopes=all_scopes or record.scopes))
        self._keep(user)

    async def delete(self, user: User) -> None:
        """
        Forget a user, and end all that it is logged in with.

        :raises NotFound: it was deleted meanwhile.
        """
        await self._store.delete_user(user.record.id)
        self._drop(user)

    def watch(self, watcher: Watcher) -> None:
        """Hear of each grant that has ended."""
        self._watchers.append(watcher)

    def _keep(self, user: User) -> User:
        self._by_name[user.record.name] = self._by_grant[user.grant] = user
        return user

    def _drop(self, user: User) -> None:
        if self._by_grant.pop(user.grant, None) is None:
            raise NotFound("there is no such user", field="name")
        del self._by_name[user.record.name]
        for watcher in self._watchers:
            watcher(user.grant)
