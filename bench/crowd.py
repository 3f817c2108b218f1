"""Many clients that want nothing, and many that want to be a nuisance: what they cost, and the others."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from resttorrent.descriptors import raise_limit
from tests.harness import Daemon, tiny_torrent

from .figures import Figures, quantile, shown, tell
from .machine import resident_kib, settled_kib
from .wire import Wire, check, encoded_file, get, send_json
from .workshop import Child, Workshop, json_batch, lag_of, new_session

_WARM = 50
_AT_ONCE = 500
_POLLING_SHARE = 5
_LOOKS = 200
_DEFAULT_LIMIT = 1024
"""Descriptors that most systems let a process have before it asks for more."""
_RATE = 20.0
"""Requests of each kind that the good client makes in a second."""
_ROWS = 1000
_LONGEST_DRIP = 12.0
"""Seconds: ten to send a head or a small body, one until the daemon looks, one to notice here."""


def idle(workshop: Workshop) -> None:
    """Resident KiB per connection: silent ones, Socket.IO sessions by WebSocket, and by polling."""
    count: int = workshop.options.crowd
    _silent(workshop, count)
    _sessions(workshop, "WebSocket", count, polling=False)
    _sessions(workshop, "polling", count // _POLLING_SHARE, polling=True)


def _silent(workshop: Workshop, count: int) -> None:
    tell(f"{count:,} silent connections …")
    daemon = _daemon(workshop)
    clients = workshop.child("bench.crowd_child")
    clients.do("connect", port=daemon.port, count=_WARM)
    before = settled_kib(daemon.process.pid)
    seconds = clients.do("connect", port=daemon.port, count=count)["seconds"]
    after = settled_kib(daemon.process.pid)
    add = workshop.figures.add
    add(
        "crowd", "resident per silent connection", (after - before) / count, "KiB", at_most=4,
        note=f"{before / 1024:.0f} MiB with {_WARM}, {after / 1024:.0f} MiB with {_WARM + count:,}",
    )  # fmt: skip
    add("crowd", "connections accepted", count / seconds, "1/s")
    _works_on(workshop.figures, daemon, f"{count:,} silent connections")
    still = clients.do("open")["open"]
    add("crowd", "silent connections still there", still, "", at_least=_WARM + count)
    _end(workshop, daemon, clients)


def _sessions(workshop: Workshop, how: str, count: int, *, polling: bool) -> None:
    tell(f"{count:,} Socket.IO sessions by {how} …")
    daemon = _daemon(workshop)
    clients = workshop.child("bench.socketio_child")
    clients.do("connect", port=daemon.port, count=_WARM, polling=polling)
    before = settled_kib(daemon.process.pid)
    for begin in range(_WARM, count, _AT_ONCE):
        # in between, those that are there answer pings
        clients.do("connect", port=daemon.port, count=min(_AT_ONCE, count - begin), polling=polling)
    after = settled_kib(daemon.process.pid)
    workshop.figures.add(
        "crowd", f"resident per session by {how}", (after - before) / (count - _WARM), "KiB", at_most=20,
        note=f"{before / 1024:.0f} MiB with {_WARM}, {after / 1024:.0f} MiB with {count:,}",
    )  # fmt: skip
    _works_on(workshop.figures, daemon, f"{count:,} sessions by {how}")
    _end(workshop, daemon, clients)


def _daemon(workshop: Workshop) -> Daemon:
    with _default_limit():
        return workshop.daemon("crowd")


@contextmanager
def _default_limit() -> Iterator[None]:
    """What is started meanwhile begins with the usual soft limit, and may raise it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DEFAULT_LIMIT, hard), hard))
    try:
        yield
    finally:
        raise_limit()


def _works_on(figures: Figures, daemon: Daemon, beside: str) -> None:
    """Add a torrent, list it, and ask many times."""
    wire = Wire(daemon.port)
    path = f"/v1/sessions/{new_session(wire)}/torrents"
    added = {"save_path": "tiny", "autostart": 0, **encoded_file(tiny_torrent(1))}
    check(wire.ask(send_json("POST", path, added)))
    seconds = []
    for _ in range(_LOOKS):
        spent, answer = wire.timed(get(path))
        if answer.json()["total"] != 1:
            raise RuntimeError("the torrent is not listed")
        seconds.append(spent)
    wire.close()
    _told(figures, "crowd", f"a list beside {beside}", seconds)
    _no_errors(figures, "crowd", daemon, beside)


def _told(figures: Figures, theme: str, name: str, seconds: list[float]) -> None:
    p50, p99 = (quantile(seconds, share) * 1000 for share in (0.5, 0.99))
    note = f"p50 {shown(p50)}, longest {shown(max(seconds) * 1000)} of {len(seconds)}"
    figures.add(theme, f"{name}, p99", p99, "ms", at_most=100, note=note)


def _no_errors(figures: Figures, theme: str, daemon: Daemon, beside: str) -> None:
    lines = [line for line in daemon.log_text().splitlines() if _is_error(line)]
    figures.add(theme, f"errors in the log, {beside}", len(lines), "", at_most=0)
    for line in lines[:3]:
        figures.remark(f"{beside}: {line}")


def _is_error(line: str) -> bool:
    return "#error]" in line or "#critical]" in line or "Traceback" in line


def _end(workshop: Workshop, daemon: Daemon, clients: Child) -> None:
    workshop.end(clients.process)
    workshop.discard(daemon)


# -- a siege -----------------------------------------------------------


def slow(workshop: Workshop) -> None:
    """A steady client's requests while hundreds drip heads, drip bodies, and read nothing."""
    count, seconds = workshop.options.slow, workshop.options.siege
    tell(f"three times {count} slow clients for {seconds:g} s …")
    daemon = workshop.daemon("slow")
    wire = Wire(daemon.port)
    path = f"/v1/sessions/{new_session(wire)}/torrents"
    for begin in range(0, _ROWS, 500):
        check(wire.ask(json_batch(path, range(begin, begin + 500))))
    calm = _steady(daemon.port, wire, path, 3)
    before = settled_kib(daemon.process.pid)
    clients = workshop.child("bench.crowd_child")
    clients.begin("besiege", port=daemon.port, path=path, count=count, seconds=seconds)
    kept, anew = _steady(daemon.port, wire, path, seconds - 1)
    resident = resident_kib(daemon.process.pid)
    ends = clients.result()
    figures = workshop.figures
    _told(figures, "slow", "one connection, before", calm[0])
    _told(figures, "slow", "one connection, beside them", kept)
    _told(figures, "slow", "a new one each time, beside them", anew)
    _told_ends(figures, ends, count)
    figures.add(
        "slow", "resident per client that reads nothing", (resident - before) / count, "KiB",
        note=f"{before / 1024:.0f} MiB before, {resident / 1024:.0f} MiB with them",
    )  # fmt: skip
    _no_errors(figures, "slow", daemon, "slow clients")
    workshop.report_lag("a siege by slow clients", daemon, lag_of(wire))
    wire.close()
    _end(workshop, daemon, clients)


def _told_ends(figures: Figures, ends: dict[str, Any], count: int) -> None:
    for kind, name in (("head", "dripped heads"), ("body", "dripped bodies")):
        lives = ends[kind]["lives"]
        longest = max(lives + ends[kind]["left"])
        figures.add(
            "slow", f"{name}: longest life", longest, "s", at_most=_LONGEST_DRIP,
            note=f"{len(lives)} were cut, the first after {shown(min(lives, default=0))} s",
        )  # fmt: skip
    left = len(ends["unread"]["left"])
    note = f"{len(ends['unread']['lives'])} were cut: that takes 60 s"
    figures.add("slow", "readers of nothing: held", left, "", at_most=count, note=note)


def _steady(port: int, wire: Wire, path: str, seconds: float) -> tuple[list[float], list[float]]:
    """
    Ask at a steady rate, by one connection and by a new one each time.

    :return: seconds of each.
    """
    kept: list[float] = []
    anew: list[float] = []
    requests = (get("/v1/sessions"), get(f"{path}?limit=50"))
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        request = requests[len(kept) % 2]
        check(wire.ask(request))
        kept.append(time.perf_counter() - now)
        then = time.perf_counter()
        other = Wire(port, room=1 << 18)
        check(other.ask(request))
        other.close()
        anew.append(time.perf_counter() - then)
        time.sleep(max(now + 1 / _RATE - time.perf_counter(), 0))
    return kept, anew
