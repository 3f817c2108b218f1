"""Subscribers that stop reading among others that don't, and all of them exact in the end."""

import time
from typing import Any

from . import socketio_swarm
from .figures import quantile, shown, tell
from .socketio_watch import watch
from .workshop import Workshop

_ROWS, _CHANGED = 2000, 500
_CLIENTS, _SLOW = 200, 20
_INTERVAL_MS = 200
_FIELDS = "infohash,name,state,total_done,upload_payload_rate,added_time"
_RECEIVE_BUFFER = 16_384
_KEPT = 20
_LONG = 30.0
"""Seconds after which the buffers in the kernel are full, so that pushes are merged."""


def run(workshop: Workshop) -> None:
    """A quarter of the rows changes five times a second, and a tenth of the clients reads nothing."""
    tell(f"{_SLOW} of {_CLIENTS} subscribers stop reading for {workshop.options.stop:g} s …")
    server, crowd = workshop.child("bench.socketio_server"), workshop.child("bench.socketio_child")
    port = server.do("serve", rows=_ROWS)["port"]
    wanted = {"session_id": "s1", "fields": _FIELDS, "interval_ms": _INTERVAL_MS}
    crowd.do("connect", port=port, count=_CLIENTS - _SLOW)
    crowd.do("connect", port=port, count=_SLOW, receive_buffer=_RECEIVE_BUFFER)
    crowd.do("subscribe", keep=_KEPT, **wanted)
    server.do("change", rows=_CHANGED)
    crowd.do("watch", seconds=3)
    crowd.do("stop_reading", count=_SLOW)
    lags, resident = watch(crowd, server.process.pid, workshop.options.stop, "lags")
    crowd.begin("go_on_reading", patience=3)
    time.sleep(1)
    server.do("change", rows=0)
    late = crowd.result()["rows"]
    compared = crowd.do("compare", port=port, **wanted)
    _report(workshop, lags, resident, late, compared)
    for child in (crowd, server):
        workshop.end(child.process)
    socketio_swarm.run(workshop, _ROWS)


def _report(
    workshop: Workshop,
    lags: list[float],
    resident: list[float],
    late: list[list[int]],
    compared: dict[str, Any],
) -> None:
    add = workshop.figures.add
    what = f"{_SLOW} of {_CLIENTS} stopped for {workshop.options.stop:g} s"
    add(
        "backpressure", f"{what}: memory", max(resident) - min(resident), "MiB", at_most=20,
        note=f"{shown(min(resident))} to {shown(max(resident))} MiB",
    )  # fmt: skip
    p99 = quantile(lags, 0.99) * 1000
    add(
        "backpressure", "the others' lag behind the table, p99", p99, "ms", at_most=100,
        note=f"p50 {quantile(lags, 0.5) * 1000:.0f} ms of {len(lags):,} pushes",
    )  # fmt: skip
    long = workshop.options.stop >= _LONG
    merged = [sum(rows > _CHANGED for rows in pushes) for pushes in late]
    add(
        "backpressure", "stopped clients that got one merged push", sum(n == 1 for n in merged), "clients",
        at_least=_SLOW if long else None, note=f"of {shown(max(max(pushes) for pushes in late))} rows",
    )  # fmt: skip
    add(
        "backpressure", "clients whose table is exact in the end", compared["exact"], "clients",
        at_least=compared["of"], note=f"of {compared['of']}, with {compared['rows']:,} rows",
    )  # fmt: skip
