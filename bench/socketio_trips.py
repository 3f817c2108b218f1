"""What commands over Socket.IO cost, and sockets that do nothing."""

from typing import Any

from .figures import tell
from .machine import settled_kib
from .workshop import Workshop

_CLIENTS = (1, 50)
_WARM = 20
_GREETING = {"t_id": "1", "command": "get_about"}


def roundtrips(workshop: Workshop) -> None:
    """Commands per second, by WebSocket: each client sends the next one when it has its answer."""
    tell("round trips …")
    seconds: float = workshop.options.trips
    daemon = workshop.daemon("roundtrips")
    for count in _CLIENTS:
        _measure(workshop, "get_about", daemon.process.pid, daemon.port, count, seconds)
    workshop.discard(daemon)
    pid, port = workshop.echo()
    for count in _CLIENTS:
        _measure(workshop, "the library's echo", pid, port, count, seconds)


def _measure(workshop: Workshop, what: str, pid: int, port: int, count: int, seconds: float) -> None:
    request: list[Any] = ["v1", _GREETING]
    answer = '42["v1",'
    if what != "get_about":
        request, answer = ["message", _GREETING], '42["message-back",'
    crowd = workshop.child("bench.socketio_child")
    crowd.do("connect", port=port, count=count)
    found = crowd.do("roundtrips", request=request, answer=answer, seconds=seconds, pid=pid)
    workshop.end(crowd.process)
    aimed = what == "get_about" and count > 1
    workshop.figures.add(
        "roundtrips", f"{what}, {count} socket{'s' if count > 1 else ''}", found["count"] / found["seconds"],
        "1/s", at_least=18_000 if aimed else None,
        note=f"{found['cpu'] / found['count'] * 1e6:.0f} µs CPU of the server each",
    )  # fmt: skip


def connections(workshop: Workshop) -> None:
    """Resident KiB per socket that has joined and is silent."""
    count: int = workshop.options.sockets
    tell(f"{count:,} connections …")
    daemon = workshop.daemon("connections")
    crowd = workshop.child("bench.socketio_child")
    crowd.do("connect", port=daemon.port, count=_WARM)
    before = settled_kib(daemon.process.pid)
    crowd.do("connect", port=daemon.port, count=count)
    after = settled_kib(daemon.process.pid)
    workshop.figures.add(
        "connections", "resident per idle connection", (after - before) / count, "KiB", at_most=18,
        note=f"{before / 1024:.0f} MiB with {_WARM}, {after / 1024:.0f} MiB with {_WARM + count:,}",
    )  # fmt: skip
    workshop.end(crowd.process)
    workshop.discard(daemon)
