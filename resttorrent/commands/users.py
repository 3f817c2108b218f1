"""Commands on users: who may log in with a name and a password, and as what."""

from typing import Annotated

from msgspec import Struct

from ..access import passwords
from ..access.users import LONGEST_NAME, User, chosen_name
from ..errors import BadParameter
from .answers import Answer
from .context import Context
from .parameters import Kind, Text, parse_text
from .registry import command
from .tokens import Scopes, parse_name

NewName = Annotated[
    str,
    Kind(
        f"a name of 1 to {LONGEST_NAME} printable characters, a letter or digit first, without '/'",
        lambda raw: chosen_name(parse_name(raw)),
        {"type": "string"},
    ),
]
NewPassword = Annotated[
    str,
    Kind(
        f"a password of at least {passwords.SHORTEST} characters, at most {passwords.LONGEST} bytes",
        lambda raw: passwords.chosen(parse_text(raw, longest=passwords.LONGEST)),
        {"type": "string", "format": "password"},
    ),
]


class UserObject(Struct):
    """A user; ``scopes`` are all that it is good for, times in epoch seconds."""

    name: str
    scopes: tuple[str, ...]
    created_time: int
    last_login: int | None


class UserAnswer(Answer, kw_only=True):
    user: UserObject


class UserList(Answer, kw_only=True):
    users: list[UserObject]


def describe(user: User) -> UserObject:
    record = user.record
    return UserObject(record.name, record.scopes, record.created_time, record.last_login)


@command("GET", "/v1/users", scope="admin")
async def get_user_list(ctx: Context) -> UserList:
    """List the users."""
    return UserList(users=[describe(user) for user in ctx.policy.users])


@command("POST", "/v1/users", scope="admin", status=201, location="/v1/users/{answer.user.name}")
async def create_user(
    ctx: Context, name: NewName, password: NewPassword, scopes: Scopes = ("read",)
) -> UserAnswer:
    """Make a user, who may log in with a name and a password."""
    return UserAnswer(user=describe(await ctx.policy.users.create(name, password, scopes)))


@command("PATCH", "/v1/users/{name}", scope="admin")
async def update_user(
    ctx: Context, name: Text, password: NewPassword | None = None, scopes: Scopes | None = None
) -> UserAnswer:
    """Change a user's password, scopes or both; all of the user's logins end."""
    if password is None and scopes is None:
        raise BadParameter("nothing to change: give password, scopes or both", field="password")
    users = ctx.policy.users
    user = users.named(name)
    await users.update(user, password, scopes)
    return UserAnswer(user=describe(user))


@command("DELETE", "/v1/users/{name}", scope="admin")
async def delete_user(ctx: Context, name: Text) -> Answer:
    """Forget a user, at once; what is connected by the user's logins is disconnected."""
    users = ctx.policy.users
    await users.delete(users.named(name))
    return Answer()


COMMANDS = (get_user_list, create_user, update_user, delete_user)
