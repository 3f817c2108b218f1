"""What a command is given beside its parameters."""

from collections.abc import Callable
from dataclasses import dataclass

from ..engine.engine import Engine
from ..engine.pace import Pace
from ..fetch import Fetcher
from ..paths import Roots
from .health import Health


@dataclass(frozen=True, slots=True)
class Context:
    """
    The daemon, as commands see it.

    :ivar seconds: the reactor's time, for durations.
    :ivar started: its value at the start.
    """

    engine: Engine
    fetcher: Fetcher
    roots: Roots
    pace: Pace
    health: Health
    seconds: Callable[[], float]
    started: float
