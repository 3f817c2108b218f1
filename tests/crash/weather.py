"""What a daemon goes through, so that its clients know what they may complain of."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf


class Weather:
    """
    When which trouble lasted; told by whoever makes it, asked by clients, in any thread.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spells: dict[str, list[tuple[float, float]]] = {}

    def begin(self, trouble: str) -> None:
        with self._lock:
            self._spells.setdefault(trouble, []).append((time.monotonic(), inf))

    def end(self, trouble: str) -> None:
        with self._lock:
            began, _ = self._spells[trouble].pop()
            self._spells[trouble].append((began, time.monotonic()))

    @contextmanager
    def lasting(self, trouble: str) -> Iterator[None]:
        """For as long as the context lasts."""
        self.begin(trouble)
        try:
            yield
        finally:
            self.end(trouble)

    def had(self, trouble: str, since: float) -> bool:
        """Whether there was such trouble at any time from then on."""
        with self._lock:
            return any(ended >= since for _, ended in self._spells.get(trouble, ()))
