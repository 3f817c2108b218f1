"""What it costs to look at who asks: the daemon against itself without its checks, turn by turn."""

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .figures import median, shown, spread, tell
from .machine import cpu_exactly
from .wire import Wire, check, get
from .workshop import Child, Workshop

_CLIENTS = 8
_SOCKETS = 10
_MOST = 5.0
"""Per cent."""
_CALL = {"t_id": "1", "command": "get_about"}


@dataclass(frozen=True, slots=True)
class Turn:
    """
    What one daemon did in its turn.

    :ivar rate: requests per second; :ivar cpu: its seconds of CPU for each.
    """

    rate: float
    cpu: float


class Side:
    """One of the two daemons, and its clients."""

    def __init__(self, workshop: Workshop, *, checks: bool) -> None:
        name = "with-checks" if checks else "without-checks"
        child = workshop.child("bench.checks_child")
        started = child.do("serve", home=str(workshop.folder / name), checks=checks)
        self.token: str = started["token"]
        self._pid, self._port = child.process.pid, int(started["port"])
        self._wires = [Wire(self._port, room=1 << 16) for _ in range(_CLIENTS)]
        self._sockets = workshop.child("bench.socketio_child")
        self._sockets.do("connect", port=self._port, count=_SOCKETS)
        # clients first: they take it ill to be left
        self.children: list[Child] = [self._sockets, child]

    def requests(self, request: bytes, seconds: float) -> Turn:
        """Each of the clients asks again as soon as it was answered."""
        cpu, began = cpu_exactly(self._pid), time.perf_counter()
        count = _ask_on(self._wires, request, began + seconds)
        spent = time.perf_counter() - began
        return Turn(count / spent, (cpu_exactly(self._pid) - cpu) / count)

    def roundtrips(self, seconds: float) -> Turn:
        """The same by Socket.IO."""
        cpu, began = cpu_exactly(self._pid), time.perf_counter()
        found = self._sockets.do(
            "roundtrips", request=["v1", _CALL], answer='42["v1",', seconds=seconds, pid=self._pid
        )
        # its own count begins a fifth of that time after ours, at the same pace
        spent = time.perf_counter() - began
        rate = found["count"] / found["seconds"]
        return Turn(rate, (cpu_exactly(self._pid) - cpu) / (rate * spent))


def run(workshop: Workshop) -> None:
    """Requests per second with the checks, as a share of those without."""
    pairs, seconds = workshop.options.turns, workshop.options.turn
    tell(f"{pairs} turns of {seconds:g} s with and without checks, of four kinds …")
    judged, open_to_all = Side(workshop, checks=True), Side(workshop, checks=False)
    bearer = f"Authorization: Bearer {judged.token}"
    kinds: dict[str, Callable[[Side], Turn]] = {
        "GET /v1": lambda side: side.requests(get("/v1"), seconds),
        "GET /v1/sessions": lambda side: side.requests(get("/v1/sessions"), seconds),
        "GET /v1/sessions with a token": lambda side: side.requests(get("/v1/sessions", bearer), seconds),
        "get_about by Socket.IO": lambda side: side.roundtrips(seconds),
    }
    for name, turn in kinds.items():
        _compare(workshop, name, judged, open_to_all, turn, pairs)
    for side in (judged, open_to_all):
        for child in side.children:
            workshop.end(child.process)


def _compare(
    workshop: Workshop, name: str, judged: Side, open_to_all: Side, turn: Callable[[Side], Turn], pairs: int
) -> None:
    rates, cpus, lost = [], [], []
    for number in range(pairs):
        # each goes first as often as the other
        order = (judged, open_to_all) if number % 2 else (open_to_all, judged)
        turns = {side: turn(side) for side in order}
        checked, unchecked = turns[judged], turns[open_to_all]
        rates.append(checked.rate)
        lost.append((1 - checked.rate / unchecked.rate) * 100)
        cpus.append((checked.cpu / unchecked.cpu - 1) * 100)
    workshop.figures.add(
        "checks", f"{name}: lost by checks", median(lost), "%", at_most=_MOST,
        note=f"{shown(median(rates))} a second; CPU {shown(median(cpus))} %; {spread(lost)} in {pairs} pairs",
    )  # fmt: skip


def _ask_on(wires: Sequence[Wire], request: bytes, deadline: float) -> int:
    """Have each wire ask again and again; how many answers came."""
    poll = select.epoll()
    by_number = {wire.fileno(): wire for wire in wires}
    for wire in wires:
        poll.register(wire.fileno(), select.EPOLLIN)
        wire.send(request)
    count, asking = 0, len(by_number)
    while asking:
        for number, _ in poll.poll():
            wire = by_number[number]
            check(wire.receive())
            count += 1
            if time.perf_counter() < deadline:
                wire.send(request)
            else:
                asking -= 1
    poll.close()
    return count
