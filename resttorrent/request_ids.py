"""
Which request a line of the log belongs to.

A request's number is set while its work begins. Coroutines keep the context in which they were started, so
whatever they log later bears it too; so does work that a request set going and that outlives it. Numbers
begin at 1 with each process.
"""

import itertools
from contextvars import ContextVar, Token

_CURRENT: ContextVar[int | None] = ContextVar("request", default=None)


def current() -> int | None:
    """The number of the request that is at work, or ``None``."""
    return _CURRENT.get()


class RequestIds:
    """Gives requests their numbers."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def begin(self) -> "Token[int | None]":
        """Number what runs from here on; ``end`` takes what this returns, in the same turn."""
        return _CURRENT.set(next(self._numbers))

    def end(self, token: "Token[int | None]") -> None:
        """What runs from here on is not the request's."""
        _CURRENT.reset(token)
