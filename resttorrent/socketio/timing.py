"""How long things may take; what a server tells its clients of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """
    All in seconds.

    :ivar interval: between two pings (``pingInterval``); :ivar timeout: for the answer (``pingTimeout``).
    :ivar connect: until a client must have joined a namespace.
    """

    interval: float = 25.0
    timeout: float = 20.0
    connect: float = 45.0
