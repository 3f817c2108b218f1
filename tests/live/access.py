"""A policy to which everybody is the owner."""

from typing import Any

from twisted.internet.interfaces import IReactorTime

from resttorrent.access.policy import Policy
from resttorrent.access.tokens import Tokens


def owners_policy(clock: IReactorTime) -> Policy:
    """``--auth never``; there are no tokens and no store."""
    nothing: Any = None
    return Policy(Tokens(nothing, clock.seconds), auth="never", seconds=clock.seconds)
