"""Facts of made-up requests, and a policy with tokens that are in no database."""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from resttorrent.access.policy import Auth, Policy
from resttorrent.access.requests import Facts
from resttorrent.access.tokens import Tokens
from resttorrent.settings import Network
from resttorrent.store.records import TokenRecord

NOW = 1_700_000_000


class FakeStore:
    """
    As much of the store as tokens use.

    :ivar error: what the next call fails with.
    """

    def __init__(self) -> None:
        self.records: dict[str, TokenRecord] = {}
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

    def setting(self, name: str) -> "Deferred[Any]":
        return self._done(self.settings.get(name))

    def set_setting(self, name: str, value: str) -> "Deferred[Any]":
        self.settings[name] = value
        return self._done()


class World:
    """
    A policy, its clock and its store.

    :ivar wall: epoch seconds, beside the clock.
    """

    def __init__(self, auth: Auth = "auto", trusted: tuple[Network, ...] = (), *, load: bool = True) -> None:
        self.clock = Clock()
        self.wall = float(NOW)
        self.store = FakeStore()
        store: Any = self.store
        self.tokens = Tokens(store, lambda: self.wall)
        self.policy = Policy(self.tokens, auth=auth, trusted_proxies=trusted, seconds=self.clock.seconds)
        if load:
            run(self.tokens.load())

    def token(self, *scopes: str, name: str = "a token", expiry: int | None = None) -> str:
        """The text of a new token."""
        text: str = run(self.tokens.create(name, scopes or ("read",), expiry))[1]
        return text


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
