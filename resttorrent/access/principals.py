"""Who asks, and what that caller may do."""

from dataclasses import dataclass

from ..errors import NotAllowed, TokenNeeded

SCOPES = ("read", "control", "admin")
"""What a token may be good for; each includes those before it."""
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

    :ivar name: for people: ``owner``, or the token's; empty for a stranger.
    :ivar scopes: all that it may do.
    :ivar token_id: of the token that says so; ``None`` for the owner and for strangers.
    :ivar address: of a stranger, to count wrong tokens by; else empty.
    :ivar login: names the login of a browser that came with its cookie.
    """

    name: str
    scopes: frozenset[str]
    token_id: str | None = None
    address: str = ""
    login: bytes | None = None

    @property
    def is_stranger(self) -> bool:
        return not self.name

    def require(self, scope: str) -> None:
        """
        Do nothing, if the caller has this scope.

        :raises TokenNeeded: a stranger has not, :raises NotAllowed: nor has this one.
        """
        if scope in self.scopes:
            return
        if self.is_stranger:
            raise TokenNeeded("this needs a token: send 'Authorization: Bearer <token>'")
        raise NotAllowed(f"this needs the scope {scope}, which the token {self.name!a} does not have")


OWNER = Principal("owner", frozenset((PUBLIC, *SCOPES)))
STRANGER = Principal("", frozenset((PUBLIC,)))


def stranger_at(address: str) -> Principal:
    """A caller of whom only the address is known."""
    return Principal("", STRANGER.scopes, address=address)
