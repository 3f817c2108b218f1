"""
A reactor whose time only goes forward.

Twisted's goes by the wall clock: set that a day ahead and every timer is due at once, set it a day back and
none is for a day.
"""

import time
from collections.abc import Callable
from typing import Any


def make_steady(reactor: Any, *, seconds: Callable[[], float] = time.monotonic) -> None:
    """
    Let a reactor go by ``seconds``, from the time that it has now: timers that wait already keep their wait.

    :param seconds: a monotonic clock.
    """
    ahead = reactor.seconds() - seconds()
    reactor.seconds = lambda: seconds() + ahead
