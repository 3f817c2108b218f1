"""Lists and deltas of a session with many torrents, timed at the client."""

from .figures import quantile, tell
from .wire import Wire, check, get, send_json
from .workshop import Workshop, wait_until_quiet

FIELDS = "infohash,name,state,progress,download_payload_rate,upload_payload_rate,total,eta,ratio"
_CHANGED = 100


def run(workshop: Workshop) -> None:
    """The list with and without a change, the 304, the delta of nothing and that of 100 rows."""
    tell("lists and deltas …")
    loaded = workshop.loaded()
    bench = _Listing(workshop, loaded.wire, loaded.torrents)
    bench.unchanged()
    bench.one_row_changed()
    bench.nothing_new()
    bench.many_changed()


class _Listing:
    def __init__(self, workshop: Workshop, wire: Wire, path: str) -> None:
        self._add = workshop.figures.add
        self._rounds: int = workshop.options.rounds
        self._wire = wire
        self._path = path
        self._list = get(f"{path}?fields={FIELDS}")
        first = wire.json(self._list)
        self._keys = [torrent["infohash"] for torrent in first["torrents"]]
        self._size = len(wire.ask(self._list).body)
        self._stopped = True

    def unchanged(self) -> None:
        wait_until_quiet(self._wire, self._path)
        seconds = [self._timed(self._list) for _ in range(self._rounds)]
        self._report("list, unchanged", seconds, at_most=9, note=f"{self._size / 1e6:.2f} MB")
        tag = self._wire.ask(self._list).header("ETag")
        conditional = get(f"{self._path}?fields={FIELDS}", f"If-None-Match: {tag}")
        seconds = [self._timed(conditional, status=304) for _ in range(self._rounds)]
        self._report("list, unchanged, If-None-Match: 304", seconds)

    def one_row_changed(self) -> None:
        seconds = []
        for number in range(self._rounds):
            self._toggle(self._keys[number % 2 :][:1])
            seconds.append(self._timed(self._list))
        self._report("list, one row changed each time", seconds, at_most=9)

    def nothing_new(self) -> None:
        rev = wait_until_quiet(self._wire, self._path)
        request = get(f"{self._path}?fields={FIELDS}&since={rev}")
        seconds = [self._timed(request) for _ in range(self._rounds)]
        self._report("delta, nothing new", seconds, at_most=1)

    def many_changed(self) -> None:
        """Deltas of 100 rows that the changes themselves have brought into the table already."""
        keys = self._keys[10 : 10 + _CHANGED]
        seconds = []
        for _ in range(max(self._rounds // 10, 5)):
            rev = wait_until_quiet(self._wire, self._path)
            self._toggle(keys)
            request = get(f"{self._path}?fields={FIELDS}&since={rev}")
            spent, answer = self._wire.timed(request)
            if len(answer.json()["changed"]) != len(keys):
                raise RuntimeError(f"{len(answer.json()['changed'])} changed rows instead of {len(keys)}")
            seconds.append(spent)
        self._report(f"delta, {len(keys)} rows changed", seconds, at_most=3, note="the PUTs refreshed it")

    def _timed(self, request: bytes, status: int = 200) -> float:
        seconds, answer = self._wire.timed(request)
        if answer.status != status:
            raise RuntimeError(f"answered {answer.status} instead of {status}")
        return seconds

    def _toggle(self, keys: list[str]) -> None:
        """Stop or start some torrents, not timed, and wait until they have come to rest."""
        self._stopped = not self._stopped
        value = {"pause": int(self._stopped)}
        self._wire.send(b"".join(send_json("PUT", f"{self._path}/{key}", value) for key in keys))
        for _ in keys:
            check(self._wire.receive())
        wait_until_quiet(self._wire, self._path)

    def _report(self, name: str, seconds: list[float], at_most: float | None = None, note: str = "") -> None:
        p50, p99 = (quantile(seconds, share) * 1000 for share in (0.5, 0.99))
        note = f"p99 {p99:.2f} ms of {len(seconds)}" + (f"; {note}" if note else "")
        self._add("list", f"{name}, p50", p50, "ms", at_most=at_most, note=note)
