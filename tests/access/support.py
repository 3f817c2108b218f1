"""Facts of made-up requests, and a policy with tokens and users that are in no database."""

from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from resttorrent.access.policy import Auth, Policy
from resttorrent.access.requests import Facts
from resttorrent.access.tokens import Tokens
from resttorrent.access.users import User, Users
from resttorrent.settings import Network
from resttorrent.store.records import TokenRecord, UserRecord

NOW = 1_700_000_000
PASSWORD = "correct horse battery"


class FakeStore:
    """
    As much of the store as tokens and users use.

    :ivar error: what the next call fails with.
    """

    def __init__(self) -> None:
        self.records: dict[str, TokenRecord] = {}
        self.user_records: dict[str, UserRecord] = {}
        self.settings: dict[str, str] = {}
        self.used: list[list[tuple[int, str]]] = []
        self.error: Exception | None = None

    def _done(self, value: Any = None) -> "Deferred[Any]":
        if self.error is not None:
            done: Deferred[Any] = Deferred()
            done.errback(self.error)
            return done
        return succeed(value)

    def tokens(self) -> "Deferred[Any]":
        return self._done(list(self.records.values()))

    def add_token(self, record: TokenRecord) -> "Deferred[Any]":
        if self.error is None:
            self.records[record.id] = record
        return self._done()

    def delete_token(self, token_id: str) -> "Deferred[Any]":
        if self.error is None:
            self.records.pop(token_id, None)
        return self._done()

    def set_tokens_used(self, times: list[tuple[int, str]]) -> "Deferred[Any]":
        if self.error is None:
            self.used.append(sorted(times))
        return self._done()

    def users(self) -> "Deferred[Any]":
        return self._done(list(self.user_records.values()))

    def add_user(self, record: UserRecord) -> "Deferred[Any]":
        if self.error is None:
            self.user_records[record.id] = record
        return self._done()

    def update_user(self, user_id: str, hash: str | None, scopes: tuple[str, ...] | None) -> "Deferred[Any]":
        record = self.user_records.get(user_id)
        if self.error is None and record is not None:
            self.user_records[user_id] = replace(
                record, hash=hash or record.hash, scopes=scopes or record.scopes
            )
        return self._done()

    def user_logged_in(self, user_id: str, hash: str, renewed: str, time: int) -> "Deferred[Any]":
        record = self.user_records.get(user_id)
        if self.error is None and record is not None:
            self.user_records[user_id] = replace(record, hash=renewed, last_login=time)
        return self._done()

    def delete_user(self, user_id: str) -> "Deferred[Any]":
        if self.error is None:
            self.user_records.pop(user_id, None)
        return self._done()

    def setting(self, name: str) -> "Deferred[Any]":
        return self._done(self.settings.get(name))

    def set_setting(self, name: str, value: str) -> "Deferred[Any]":
        self.settings[name] = value
        return self._done()


class FakeHashes:
    """
    What hashes passwords, at once, and tells them in the hash.

    :ivar work: what was done, in order: ``hash`` and ``verify``, with the hash that it was compared to.
    :ivar waiting: answers that are held back while ``slow``.
    """

    def __init__(self) -> None:
        self.work: list[tuple[str, str | None]] = []
        self.version = 1
        self.slow = False
        self.waiting: list[Deferred[None]] = []
        self.error: Exception | None = None

    async def _wait(self) -> None:
        if self.error is not None:
            raise self.error
        if self.slow:
            self.waiting.append(Deferred())
            await self.waiting[-1]

    def go_on(self) -> None:
        """Answer what waits."""
        self.slow = False
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)

    async def hash(self, password: str) -> str:
        self.work.append(("hash", None))
        made = f"v{self.version}:{password}"
        await self._wait()
        return made

    async def verify(self, hash: str | None, password: str) -> bool:
        self.work.append(("verify", hash))
        await self._wait()
        return hash is not None and hash.partition(":")[2] == password

    def is_outdated(self, hash: str) -> bool:
        return not hash.startswith(f"v{self.version}:")


class World:
    """
    A policy, its clock and its store.

    :ivar wall: epoch seconds, beside the clock; :ivar hashes: what passwords cost.
    """

    def __init__(self, auth: Auth = "auto", trusted: tuple[Network, ...] = (), *, load: bool = True) -> None:
        self.clock = Clock()
        self.wall = float(NOW)
        self.store = FakeStore()
        store: Any = self.store
        self.tokens = Tokens(store, lambda: self.wall)
        self.hashes = FakeHashes()
        self.users = Users(store, self.hashes, lambda: self.wall)
        self.policy = Policy(
            self.tokens, self.users, auth=auth, trusted_proxies=trusted, seconds=self.clock.seconds
        )
        if load:
            run(self.tokens.load())
            run(self.users.load())

    def token(self, *scopes: str, name: str = "a token", expiry: int | None = None) -> str:
        """The text of a new token."""
        text: str = run(self.tokens.create(name, scopes or ("read",), expiry))[1]
        return text

    def user(self, name: str = "ann", *scopes: str, password: str = PASSWORD) -> User:
        """A new user."""
        made: User = run(self.users.create(name, password, scopes or ("read",)))
        return made


def run(coroutine: Any) -> Any:
    """What a coroutine that need not wait comes to."""
    outcome: list[Any] = []
    failed: list[Any] = []
    Deferred.fromCoroutine(coroutine).addCallbacks(outcome.append, failed.append)
    if failed:
        failed[0].raiseException()
    return outcome[0]


def facts(
    peer: str = "127.0.0.1",
    *,
    method: bytes = b"GET",
    unix: bool = False,
    proxied: bool = False,
    token: str | None = None,
    bearer: str | None = None,
    **headers: str,
) -> Facts:
    """Those of a plain local request; headers by their names with ``_`` for ``-``."""
    given = {"host": "127.0.0.1:8080", **headers}
    raw = {name.replace("_", "-").encode(): text.encode() for name, text in given.items() if text}
    if bearer is not None:
        raw[b"authorization"] = f"Bearer {bearer}".encode()
    return Facts(method=method, peer=peer, is_unix=unix, proxied=proxied, headers=raw, token=token)
