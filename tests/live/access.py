"""A policy to which everybody is the owner."""

from typing import Any

from twisted.internet.interfaces import IReactorTime

from resttorrent.access.policy import Policy
from resttorrent.access.tokens import Tokens
from resttorrent.access.users import Users


def owners_policy(clock: IReactorTime) -> Policy:
    """``--auth never``; there are no tokens, no users and no store."""
    nothing: Any = None
    users = Users(nothing, nothing, clock.seconds)
    return Policy(Tokens(nothing, clock.seconds), users, auth="never", seconds=clock.seconds)
