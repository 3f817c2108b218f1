"""What was asked, by whom, and how it was answered."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from tests.harness import Client, Response


class Tally:
    """
    Counts, from any thread.

    :ivar answers: of each kind of client, how often each status came, or whatever else became of a visit.
    :ivar seconds: of each kind of client whose answers are timed, how long they took.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answers: dict[str, Counter[str]] = defaultdict(Counter)
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def count(self, who: str, answer: int | str, seconds: float | None = None) -> None:
        with self._lock:
            self.answers[who][str(answer)] += 1
            if seconds is not None:
                self.seconds[who].append(seconds)

    def quantile(self, share: float) -> float:
        """Of all that was timed; seconds."""
        timed = sorted(second for some in self.seconds.values() for second in some)
        return timed[min(len(timed) - 1, int(share * len(timed)))] if timed else 0.0


class CountedClient(Client):
    """A blocking client, whose answers are counted as those of an adder."""

    def __init__(self, port: int, tally: Tally) -> None:
        super().__init__(port)
        self._tally = tally

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        began = time.monotonic()
        answer = super().request(method, path, body, headers)
        self._tally.count("REST adder", answer.status, time.monotonic() - began)
        return answer

    def send(self, method: str, path: str, **parameters: Any) -> None:
        self._tally.count("REST adder", "sent alone")
        super().send(method, path, **parameters)
