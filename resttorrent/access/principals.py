"""Who asks, and what that caller may do."""

from dataclasses import dataclass

from ..errors import NotAllowed, TokenNeeded, TooMany

SCOPES = ("read", "control", "admin")
"""What a token or a user may be good for; each includes those before it."""
PUBLIC = "public"
"""The scope of commands that anyone may use; they tell nothing private."""


def including(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """
    These scopes and all that they include, the least first.

    :param scopes: at least one of ``SCOPES``.
    """
    return SCOPES[: 1 + max(map(SCOPES.index, scopes))]


@dataclass(frozen=True, slots=True)
class Principal:
    """
    A caller.

    :ivar name: for people: ``owner``, the token's or the user's; empty for a stranger.
    :ivar scopes: all that it may do.
    :ivar grant: names what says so, and may end: a token, or a user's right to log in, which is another one
        after each change; ``None`` for the owner and for strangers.
    :ivar is_user: it is a user's, not a token.
    :ivar address: of a stranger, to count wrong tokens by; else empty.
    :ivar login: names the login of a browser that came with its cookie.
    :ivar wait: seconds that a stranger should wait, whose address has asked for too much; else 0.
    """

    name: str
    scopes: frozenset[str]
    grant: str | None = None
    is_user: bool = False
    address: str = ""
    login: bytes | None = None
    wait: int = 0

    @property
    def is_stranger(self) -> bool:
        return not self.name

    @property
    def client(self) -> str:
        """What quotas know it by: the owner is one, so is each token and user; of strangers each address."""
        return self.grant or self.name or f"from {self.address}"

    @property
    def source(self) -> str:
        """By what to count the wrong tokens and passwords that it sends."""
        return self.address or self.grant or self.name

    def require(self, scope: str) -> None:
        """
        Do nothing, if the caller has this scope.

        :raises TokenNeeded: a stranger has not, :raises TooMany: one of an address that asked for too much,
        :raises NotAllowed: nor has this one.
        """
        if scope in self.scopes:
            return
        if self.wait:
            raise too_many_requests(self.wait)
        if self.is_stranger:
            raise TokenNeeded("this needs a token: send 'Authorization: Bearer <token>'")
        who = f"the user {self.name!a}" if self.is_user else f"the token {self.name!a}"
        raise NotAllowed(f"this needs the scope {scope}, which {who} does not have")


OWNER = Principal("owner", frozenset((PUBLIC, *SCOPES)))
STRANGER = Principal("", frozenset((PUBLIC,)))


def stranger_at(address: str, wait: int = 0) -> Principal:
    """A caller of whom only the address is known."""
    return Principal("", STRANGER.scopes, address=address, wait=wait)


def too_many_requests(wait: int) -> TooMany:
    """What an address hears that asks for too much."""
    return TooMany("there were too many requests without a token from your address", retry_after=wait)
