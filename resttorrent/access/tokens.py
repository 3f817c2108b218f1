"""
The daemon's tokens: 256 random bits each, of which only the SHA-256 is kept.

All are in memory, so that a request costs one look-up. When one was last used is written every now and then,
not with each request.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator

from twisted.logger import Logger

from ..errors import CommandError, Loading, NotFound, TokenNeeded, TooMany
from ..store.records import TokenRecord
from ..store.store import Store
from .principals import PUBLIC, Principal, including

MOST_TOKENS = 1000
LONGEST = 512
"""Characters beyond which nothing is a token."""

Watcher = Callable[[str], None]
"""Told the grant (a token's is its id) that is no longer good."""


class Token:
    """
    One token.

    :ivar record: as stored; :ivar last_used: epoch seconds, ``None`` if never.
    """

    __slots__ = ("last_used", "principal", "record")

    def __init__(self, record: TokenRecord) -> None:
        self.record = record
        self.last_used = record.last_used
        self.principal = Principal(record.name, frozenset((PUBLIC, *record.scopes)), record.id)


class Tokens:
    """
    :param wall: epoch seconds, for expiry and last use.
    """

    _log = Logger()

    def __init__(self, store: Store, wall: Callable[[], float]) -> None:
        self._store = store
        self._wall = wall
        self._by_id: dict[str, Token] = {}
        self._by_digest: dict[bytes, Token] = {}
        self._used: set[str] = set()
        self._told: set[str] = set()
        self._watchers: list[Watcher] = []
        self._loaded = False

    def __iter__(self) -> Iterator[Token]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def now(self) -> int:
        """Epoch seconds."""
        return int(self._wall())

    async def load(self) -> None:
        """Read them from the store."""
        for record in await self._store.tokens():
            self._keep(record)
        self._loaded = True

    # -- judging ---------------------------------------------------------

    def find(self, text: str) -> Principal | None:
        """
        Who has this token; ``None`` if nobody.

        :raises TokenNeeded: it was good and has expired, :raises Loading: they are not read yet.
        """
        if not self._loaded:
            raise Loading("the daemon is reading its state")
        if len(text) > LONGEST:
            return None
        digest = digest_of(text)
        token = self._by_digest.get(digest)
        if token is None or not hmac.compare_digest(token.record.digest, digest):
            return None
        if self._has_expired(token):
            raise TokenNeeded("this token has expired")
        return self.use(token)

    def use(self, token: Token) -> Principal:
        """Note that it was used."""
        now = self.now()
        if token.last_used != now:
            token.last_used = now
            self._used.add(token.record.id)
        return token.principal

    def check(self, principal: Principal) -> None:
        """
        See that a caller who was let in earlier still may be.

        :raises TokenNeeded: its token was deleted, or has expired.
        """
        if principal.grant is None:
            return
        token = self._by_id.get(principal.grant)
        if token is None:
            raise TokenNeeded("this token was deleted")
        if self._has_expired(token):
            raise TokenNeeded("this token has expired")
        self.use(token)

    def _has_expired(self, token: Token) -> bool:
        return token.record.expiry is not None and self._wall() >= token.record.expiry

    # -- changing --------------------------------------------------------

    async def create(
        self, name: str, scopes: tuple[str, ...], expiry: int | None, secret: str | None = None
    ) -> tuple[Token, str]:
        """
        Make a token; it is stored when this returns.

        :param expiry: epoch seconds, ``None`` for never; :param secret: a new one by default.
        :return: it and its secret, which can't be had again.
        :raises TooMany: there are ``MOST_TOKENS``.
        """
        if len(self._by_id) >= MOST_TOKENS:
            raise TooMany(f"there are {MOST_TOKENS} tokens: delete some")
        secret = new_secret() if secret is None else secret
        record = TokenRecord(
            id=secrets.token_hex(8),
            name=name,
            digest=digest_of(secret),
            scopes=including(scopes),
            created_time=self.now(),
            expiry=expiry,
            last_used=None,
        )
        await self._store.add_token(record)
        return self._keep(record), secret

    async def delete(self, token_id: str) -> None:
        """
        Make a token worthless.

        :raises NotFound: there is none of this id.
        """
        token = self._by_id.get(token_id)
        if token is None:
            raise NotFound("there is no such token", field="token_id")
        await self._store.delete_token(token_id)
        if self._by_id.pop(token_id, None) is not None:
            del self._by_digest[token.record.digest]
            self._used.discard(token_id)
            self._tell(token_id)

    def _keep(self, record: TokenRecord) -> Token:
        token = self._by_id[record.id] = self._by_digest[record.digest] = Token(record)
        return token

    # -- upkeep ----------------------------------------------------------

    def watch(self, watcher: Watcher) -> None:
        """Hear of each token that is no longer good."""
        self._watchers.append(watcher)

    async def tick(self) -> None:
        """Tell of those that have expired, and write when which was used; a minute late does no harm."""
        for token in self:
            if self._has_expired(token):
                self._tell(token.record.id)
        await self.flush()

    async def flush(self) -> None:
        """Write when which was used."""
        used, self._used = self._used, set()
        times = [(token.last_used or 0, id_) for id_, token in self._by_id.items() if id_ in used]
        if not times:
            return
        try:
            await self._store.set_tokens_used(times)
        except CommandError as error:
            # the disk's trouble shows in /health; tried again at the next tick
            self._used |= used
            self._log.debug("the last use of tokens was not written: {error}", error=error)

    def _tell(self, token_id: str) -> None:
        if token_id in self._told:
            return
        self._told.add(token_id)
        for watcher in self._watchers:
            watcher(token_id)


def new_secret() -> str:
    """A token's text: 256 random bits."""
    return secrets.token_urlsafe(32)


def digest_of(text: str) -> bytes:
    """What is kept of it: it is random, so no slow hash is needed."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
