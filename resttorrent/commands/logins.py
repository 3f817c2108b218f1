"""Commands by which a browser gets a cookie, and gets rid of it."""

from typing import Annotated

from ..access import passwords
from ..access.logins import COOKIE, CSRF_COOKIE, Login
from ..access.principals import SCOPES
from ..access.tokens import LONGEST
from ..access.users import canonical_name
from ..errors import BadParameter, NotAllowed, ParameterConflict
from .answers import Answer, Cookie, WithCookies
from .context import Context
from .parameters import Kind, parse_text
from .registry import command
from .tokens import parse_name
from .users import NewPassword

Secret = Annotated[str, Kind("a token", lambda raw: parse_text(raw, longest=LONGEST), {"type": "string"})]
Name = Annotated[str, Kind("a user's name", lambda raw: canonical_name(parse_name(raw)), {"type": "string"})]
Password = Annotated[
    str,
    Kind(
        "a user's password",
        lambda raw: passwords.canonical(parse_text(raw, longest=passwords.LONGEST)),
        {"type": "string", "format": "password"},
    ),
]


class LoggedIn(Answer, kw_only=True):
    """``csrf_token`` is what the header ``X-CSRF-Token`` must have where the cookie says who asks."""

    name: str
    scopes: tuple[str, ...]
    csrf_token: str


@command("POST", "/v1/login", scope="public")
async def login(
    ctx: Context, token: Secret | None = None, name: Name | None = None, password: Password | None = None
) -> WithCookies[LoggedIn]:
    """Exchange a token, or a user's name and password, for a cookie that a page's scripts can't read."""
    source = ctx.principal.source
    if token is not None:
        if name is not None or password is not None:
            raise ParameterConflict("give either token, or name and password", field="token")
        return _welcome(*ctx.policy.log_in(token, source))
    if name is not None and password is not None:
        return _welcome(*await ctx.policy.log_in_as(name, password, source))
    if name is None and password is None:
        raise BadParameter("token is missing: expected a token, or name and password", field="token")
    missing = "name" if name is None else "password"
    raise BadParameter(f"{missing} is missing: expected name and password, or a token", field=missing)


@command("POST", "/v1/logout", scope="public")
async def logout(ctx: Context) -> WithCookies[Answer]:
    """End the login that the cookie tells of, and have the browser forget it."""
    ctx.policy.logins.close(ctx.principal)
    cookies = (Cookie(COOKIE, None, hidden=True), Cookie(CSRF_COOKIE, None, hidden=False))
    return WithCookies(Answer(), cookies)


@command("PUT", "/v1/password", scope="read")
async def change_password(ctx: Context, current: Password, password: NewPassword) -> WithCookies[LoggedIn]:
    """Change one's own password; all of one's logins end, and a new one begins."""
    policy, principal = ctx.policy, ctx.principal
    user = policy.users.who_is(principal)
    if user is None:
        raise NotAllowed("only who logged in with a name and a password can change it")
    await policy.check_password(user.record.name, current, principal.source)
    await policy.users.update(user, password, None)
    return _welcome(*policy.logins.open(user.principal))


def _welcome(secret: str, opened: Login) -> WithCookies[LoggedIn]:
    principal = opened.principal
    answer = LoggedIn(
        name=principal.name,
        scopes=tuple(scope for scope in SCOPES if scope in principal.scopes),
        csrf_token=opened.csrf,
    )
    cookies = (Cookie(COOKIE, secret, hidden=True), Cookie(CSRF_COOKIE, opened.csrf, hidden=False))
    return WithCookies(answer, cookies)


COMMANDS = (login, logout, change_password)
