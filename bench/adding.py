"""Adds: one by one over keep-alive, and in batches; raw libtorrent does the same in turn."""

from collections.abc import Callable

from tests.harness import tiny_torrent

from .figures import median, spread, tell
from .wire import Wire, check, drive, multipart
from .workshop import BATCH, Child, Workshop, check_batch, json_batch, lag_of, new_session

_ROUNDS = 5
_SHARED = {"save_path": "tiny", "autostart": "0"}


def run(workshop: Workshop) -> None:
    """Torrents per second: a session that outlives the daemon, so with a commit each."""
    tell("adds …")
    daemon, raw = workshop.daemon("adds"), workshop.raw()
    wires = [Wire(daemon.port) for _ in range(4)]
    path = f"/v1/sessions/{new_session(wires[0])}/torrents"
    bench = _Adding(workshop, path, wires, raw)
    bench.one_by_one()
    workshop.report_lag(f"{bench.added:,} adds", daemon, lag_of(wires[0]))
    bench.in_batches()
    workshop.report_lag("adds one by one and in batches", daemon, lag_of(wires[0]))
    workshop.discard(daemon)


class _Adding:
    def __init__(self, workshop: Workshop, path: str, wires: list[Wire], raw: Child) -> None:
        self._report = workshop.figures.add
        self._count: int = workshop.options.adds // _ROUNDS
        self._path = path
        self._wires = wires
        self._raw = raw
        self.added = 0

    def _numbers(self, count: int) -> range:
        """So many torrents that were not added yet."""
        self.added += count
        return range(self.added - count, self.added)

    def one_by_one(self) -> None:
        """The daemon and raw libtorrent in turn."""
        self._with_clients(1)
        one, raw = [], []
        for _ in range(_ROUNDS):
            one.append(self._with_clients(1))
            numbers = self._numbers(self._count)
            raw.append(len(numbers) / self._raw.do("adds", first=numbers[0], count=len(numbers))["seconds"])
        four = [self._with_clients(4) for _ in range(2)]
        self._report(
            "adds", "one by one, one client", median(one), "1/s", raw=median(raw), at_least=1100,
            note=f"{spread(one)}; raw {spread(raw)}",
        )  # fmt: skip
        self._report("adds", "one by one, four clients", median(four), "1/s", note=spread(four))

    def _with_clients(self, clients: int) -> float:
        numbers = self._numbers(self._count)
        requests = [multipart(self._path, _SHARED, [tiny_torrent(number)]) for number in numbers]
        return len(requests) / drive(self._wires[:clients], requests)

    def in_batches(self) -> None:
        """As JSON with base64, and as multipart."""
        self._batches("JSON", lambda numbers: json_batch(self._path, numbers))
        self._batches(
            "multipart",
            lambda numbers: multipart(self._path + "/batch", _SHARED, [tiny_torrent(n) for n in numbers]),
        )

    def _batches(self, kind: str, request: Callable[[range], bytes]) -> None:
        rates = []
        for _ in range(_ROUNDS):
            encoded = request(self._numbers(BATCH))
            seconds, answer = self._wires[0].timed(encoded)
            check(answer)
            check_batch(answer.json())
            rates.append(BATCH / seconds)
        name = f"add_torrents, batches of {BATCH}, {kind}"
        self._report("adds", name, median(rates), "1/s", at_least=5000, note=spread(rates))
