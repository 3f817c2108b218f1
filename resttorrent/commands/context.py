"""What a command is given beside its parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..engine.engine import Engine
from ..engine.pace import Pace
from ..fetch import Fetcher
from ..paths import Roots
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
    :ivar subscriptions: of the connection that asks, ``None`` where there is none that lives on.
    """

    engine: Engine
    fetcher: Fetcher
    roots: Roots
    pace: Pace
    health: Health
    seconds: Callable[[], float]
    started: float
    subscriptions: Subscriptions | None = None
