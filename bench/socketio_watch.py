"""Looking at a daemon and its clients while some of them read nothing."""

import time

from .machine import resident_kib
from .workshop import Child

_LOOK = 1.0


def watch(crowd: Child, pid: int, seconds: float, what: str) -> tuple[list[float], list[float]]:
    """Seconds of ``what`` (lags or behind) of each push, and MiB resident all along."""
    # until the slow ones' buffers are full, in the kernel and in the daemon
    values: list[float] = list(crowd.do("watch", seconds=_LOOK)[what])
    resident = [resident_kib(pid) / 1024]
    deadline = time.monotonic() + seconds - _LOOK
    while time.monotonic() < deadline:
        values += crowd.do("watch", seconds=_LOOK)[what]
        resident.append(resident_kib(pid) / 1024)
    return values, resident
