"""Commands on tokens: who may come in, and as what."""

from typing import Annotated

from msgspec import Struct

from ..access.principals import SCOPES
from ..access.tokens import Token
from ..errors import BadParameter
from .answers import Answer
from .context import Context
from .parameters import Kind, Numbered, Text, integer, parse_text, parse_words
from .registry import command

# Far enough for anyone; below 2**53.
LATEST = 10**11


def parse_name(raw: object) -> str:
    """A name for people: printable, not blank."""
    name = parse_text(raw, longest=64).strip()
    if not name or not name.isprintable():
        raise ValueError
    return name


def parse_scopes(given: "list[Numbered]") -> tuple[str, ...]:
    """Some of ``SCOPES``."""
    scopes = parse_words(given)
    if not set(scopes) <= set(SCOPES):
        raise ValueError
    return scopes


_SCOPES_KIND: Kind[tuple[str, ...]] = Kind(
    "read, control or admin",
    parse_scopes,
    {"type": "array", "items": {"type": "string", "enum": list(SCOPES)}},
    repeats=True,
)
Name = Annotated[str, Kind("a name of 1 to 64 printable characters", parse_name, {"type": "string"})]
Scopes = Annotated[tuple[str, ...], _SCOPES_KIND]
Epoch = Annotated[int, integer(0, LATEST)]


class TokenObject(Struct):
    """A token but for its text; ``scopes`` are all that it is good for, times in epoch seconds."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_time: int
    expiry: int | None
    last_used: int | None


class TokenCreated(Answer, kw_only=True):
    """``secret`` is the token itself, which is not told again."""

    token: TokenObject
    secret: str


class TokenList(Answer, kw_only=True):
    tokens: list[TokenObject]


def describe(token: Token) -> TokenObject:
    record = token.record
    return TokenObject(
        record.id, record.name, record.scopes, record.created_time, record.expiry, token.last_used
    )


@command("GET", "/v1/tokens", scope="admin")
async def get_token_list(ctx: Context) -> TokenList:
    """List the tokens, without their texts."""
    return TokenList(tokens=[describe(token) for token in ctx.policy.tokens])


@command("POST", "/v1/tokens", scope="admin", status=201, location="/v1/tokens/{answer.token.id}")
async def create_token(
    ctx: Context, name: Name, scopes: Scopes = ("read",), expiry: Epoch | None = None
) -> TokenCreated:
    """Make a token; only this answer ever has its text."""
    tokens = ctx.policy.tokens
    if expiry is not None and expiry <= tokens.now():
        raise BadParameter("expiry: expected a time that is still to come", field="expiry")
    token, secret = await tokens.create(name, scopes, expiry)
    return TokenCreated(token=describe(token), secret=secret)


@command("DELETE", "/v1/tokens/{token_id}", scope="admin")
async def delete_token(ctx: Context, token_id: Text) -> Answer:
    """Make a token worthless, at once; what is connected with it is disconnected."""
    await ctx.policy.tokens.delete(token_id)
    return Answer()


COMMANDS = (get_token_list, create_token, delete_token)
