"""
How much one client may have at a time: the owner, or one token, by all of its connections together.

The figures are generous: they are for programs that went wild, not for people.
"""

from collections import Counter

from ..errors import TooMany
from .principals import Principal

MOST_RUNNING = 1_000
"""Commands of one client that run over REST."""
MOST_SUBSCRIPTIONS = 2_000
"""Subscriptions of one client, by Socket.IO and as event streams together."""


class Quota:
    """
    :param most: how many each client may have.
    :param what: they are, for people.
    """

    def __init__(self, most: int, what: str) -> None:
        self.most = most
        self._what = what
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many clients have any."""
        return len(self._held)

    def check(self, principal: Principal) -> None:
        """
        See whether it may have one more.

        :raises TooMany: it may not.
        """
        if self._held[principal.client] >= self.most:
            raise TooMany(f"you have {self.most} {self._what} at a time")

    def enter(self, principal: Principal) -> None:
        """One more; ``leave`` follows."""
        self._held[principal.client] += 1

    def leave(self, principal: Principal) -> None:
        """One less."""
        self._held[principal.client] -= 1
        if not self._held[principal.client]:
            del self._held[principal.client]


def running_quota() -> Quota:
    return Quota(MOST_RUNNING, "commands running")


def subscription_quota() -> Quota:
    return Quota(MOST_SUBSCRIPTIONS, "subscriptions")
