"""One change, told to many: the engine's table, feeds and door, above made-up rows."""

from .figures import median, spread, tell
from .machine import cpu_seconds
from .workshop import Workshop

_ROWS = 100
_ROUNDS = 5
_FIELDS = "infohash,name,state,progress,download_payload_rate,upload_payload_rate,total,eta,ratio"


def run(workshop: Workshop) -> None:
    """Deliveries per second to subscribers of one view."""
    clients: int = workshop.options.sockets
    tell(f"pushes to {clients:,} subscribers …")
    server, crowd = workshop.child("bench.socketio_server"), workshop.child("bench.socketio_child")
    port = server.do("serve", rows=_ROWS)["port"]
    crowd.do("connect", port=port, count=clients)
    crowd.do("subscribe", session_id="s1", fields=_FIELDS, interval_ms=60_000)
    pushes: int = workshop.options.pushes
    rates, costs, size = [], [], 0.0
    for _ in range(_ROUNDS):
        crowd.begin("receive", count=pushes * clients)
        cpu = cpu_seconds(server.process.pid)
        began = server.do("fan", rounds=pushes)["began"]
        heard = crowd.result()
        spent = cpu_seconds(server.process.pid) - cpu
        rates.append(heard["pushes"] / (heard["last"] - began))
        costs.append(spent / heard["pushes"] * 1e6)
        size = heard["bytes"] / heard["pushes"]
        if heard["pushes"] != pushes * clients:
            came = f"{heard['pushes']:,} pushes of {pushes * clients:,}"
            workshop.figures.remark(f"fanout: {came} came; the others were merged with their next")
    workshop.figures.add(
        "fanout", f"deliveries to {clients:,} subscribers of one view", median(rates), "1/s", at_least=60_000,
        note=f"{spread(rates)}; {median(costs):.1f} µs CPU of the server each; {size:.0f} bytes",
    )  # fmt: skip
    for child in (crowd, server):
        workshop.end(child.process)
