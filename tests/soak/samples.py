"""What the kernel says of the daemon, every two seconds, and whether it grows."""

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from tests.harness import Client, Daemon

EVERY = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """
    :ivar seconds: since the first.
    :ivar anonymous: resident memory that is the process's own, bytes: neither files nor what it shares.
    :ivar sessions: libtorrent sessions, each of which has threads and descriptors of its own.
    """

    seconds: float
    anonymous: int
    descriptors: int
    threads: int
    sessions: int
    torrents: int


class Sampler:
    """
    A thread that looks at a daemon, from ``start`` to ``end``.

    :ivar samples: what it saw.
    """

    def __init__(self, daemon: Daemon, every: float = EVERY) -> None:
        self._daemon = daemon
        self._every = every
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples: list[Sample] = []
        self._error: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """:raises Exception: what kept it from looking."""
        self._ending.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._look_on()
        except Exception as error:
            self._error = error

    def _look_on(self) -> None:
        began = time.monotonic()
        with closing(Client(self._daemon.port)) as client:
            while not self._ending.wait(self._every):
                self.samples.append(self._look(client, time.monotonic() - began))

    def _look(self, client: Client, seconds: float) -> Sample:
        process = Path(f"/proc/{self._daemon.process.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        sessions = client.ok("GET", "/v1/sessions")["sessions"]
        return Sample(
            seconds,
            int(status["RssAnon"].split()[0]) * 1024,
            len(list((process / "fd").iterdir())),
            int(status["Threads"]),
            len(sessions),
            sum(
                # one that went meanwhile has none
                client.call("GET", f"/v1/sessions/{one['id']}/torrents", limit=1).json.get("total", 0)
                for one in sessions
            ),
        )


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the line that fits best, by least squares; 0 if all ``xs`` are the same."""
    x, y = fmean(xs), fmean(ys)
    spread = sum((one - x) ** 2 for one in xs)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread if spread else 0.0


@dataclass(frozen=True, slots=True)
class Trend:
    """
    How much there is, in the first and in the last quarter, medians.

    What goes with the number of sessions, which come and go, is taken out of both.
    """

    first: float
    last: float

    @property
    def growth(self) -> float:
        return self.last - self.first


def trend(values: Sequence[float], sessions: Sequence[int]) -> Trend:
    """Of so many samples, in order."""
    each, usual = slope(sessions, values), median(sessions)
    same = [value - each * (count - usual) for value, count in zip(values, sessions, strict=True)]
    quarter = max(1, len(same) // 4)
    return Trend(median(same[:quarter]), median(same[-quarter:]))


@dataclass(frozen=True, slots=True)
class Growth:
    """
    What became of the daemon in the time after its warm-up.

    :ivar rate: of anonymous memory, bytes per minute.
    """

    samples: Sequence[Sample]
    rate: float
    descriptors: Trend
    threads: Trend


def growth(samples: Sequence[Sample], warm_up: float) -> Growth:
    """:param warm_up: seconds that are left out."""
    warm = [sample for sample in samples if sample.seconds >= warm_up]
    sessions = [sample.sessions for sample in warm]
    return Growth(
        warm,
        slope([sample.seconds / 60 for sample in warm], [sample.anonymous for sample in warm]),
        trend([sample.descriptors for sample in warm], sessions),
        trend([sample.threads for sample in warm], sessions),
    )
