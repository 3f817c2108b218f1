"""What a command is given beside its parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..access.policy import Policy
from ..access.principals import STRANGER, Principal
from ..engine.engine import Engine
from ..engine.pace import Pace
from ..fetch import Fetcher
from ..paths import Roots
from ..store.backup import Backups
from .health import Health


class Subscriptions(Protocol):
    """The subscriptions of one live connection."""

    def end(self, subscription: str) -> None:
        """
        Push no more for this one.

        :raises NotFound: if the connection has none of this name.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """
    The daemon, as commands see it.

    :ivar seconds: the reactor's time, for durations.
    :ivar started: its value at the start.
    :ivar policy: who may come in; with the tokens.
    :ivar principal: who asks. Whether that one may was judged before.
    :ivar subscriptions: of the connection that asks, ``None`` where there is none that lives on.
    """

    engine: Engine
    fetcher: Fetcher
    roots: Roots
    pace: Pace
    health: Health
    backups: Backups
    seconds: Callable[[], float]
    started: float
    policy: Policy
    principal: Principal = STRANGER
    subscriptions: Subscriptions | None = None
