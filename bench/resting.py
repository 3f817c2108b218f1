"""What many torrents at rest cost: memory, idle CPU, and the time to come back after a kill."""

import socket
import time

from tests.harness import Daemon, until

from .figures import median, spread, tell
from .listing import FIELDS
from .machine import cpu_seconds, settled_kib
from .wire import Wire, get
from .workshop import WARM, Loaded, Workshop, lag_of, wait_until_quiet

_RESTARTS = 3
_PATIENCE = 120.0


def memory(workshop: Workshop) -> None:
    """Resident KiB per torrent, and what one full list leaves behind."""
    tell("memory …")
    loaded = workshop.loaded()
    pid = loaded.daemon.process.pid
    added = loaded.count - WARM
    raw = workshop.raw().do("memory", warm=WARM, count=added)
    add = workshop.figures.add
    with_warm, with_all = loaded.before / 1024, loaded.after / 1024
    add(
        "memory", "resident per torrent", (loaded.after - loaded.before) / added, "KiB",
        raw=(raw["after"] - raw["before"]) / added, at_most=11,
        note=f"{with_warm:.0f} MiB with {WARM}, {with_all:.0f} MiB with {loaded.count:,}",
    )  # fmt: skip
    loaded.wire.ask(get(f"{loaded.torrents}?fields={FIELDS}"))
    listed = settled_kib(pid)
    add(
        "memory", "resident per torrent after a full list", (listed - loaded.before) / added, "KiB",
        note=f"{listed / 1024:.0f} MiB",
    )  # fmt: skip
    rate = added / loaded.seconds
    add("adds", f"add_torrents, batches of 500, JSON, all {loaded.count:,}", rate, "1/s", at_least=5000)


def idle(workshop: Workshop) -> None:
    """CPU of a daemon that nobody asks anything."""
    loaded = workshop.loaded()
    wait_until_quiet(loaded.wire, loaded.torrents)
    seconds: float = workshop.options.idle
    tell(f"idle for {seconds:g} s, after {workshop.options.settle:g} s …")
    # what changed last is looked through once a minute: that is still work, not idleness
    time.sleep(workshop.options.settle)
    pid = loaded.daemon.process.pid
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    # a connection that is silent for a minute is closed
    loaded.reconnect()
    workshop.figures.add("idle", "CPU", share * 100, "% of a core", at_most=0.1, note=f"over {seconds:g} s")


def restart(workshop: Workshop) -> None:
    """kill -9, and how long until the API is up, all is listed, all is loaded."""
    tell("restarts …")
    loaded = workshop.loaded()
    wait_until_quiet(loaded.wire, loaded.torrents)
    time.sleep(2)
    rounds = [_restart_once(loaded) for _ in range(_RESTARTS)]
    aims = {"API up": 0.7, "all listed": 1.2, "all loaded in libtorrent": 3}
    for (name, bound), times in zip(aims.items(), zip(*rounds, strict=True), strict=True):
        workshop.figures.add(
            "restart", f"after kill -9: {name}", median(times), "s", at_most=bound, note=spread(times)
        )
    workshop.report_lag(f"a restart with {loaded.count:,}", loaded.daemon, lag_of(loaded.wire))


def _restart_once(loaded: Loaded) -> tuple[float, float, float]:
    """Seconds from the exec: first answer, first whole list, nothing left to load."""
    daemon = loaded.daemon
    daemon.kill()
    daemon.log.unlink()
    daemon.port = _free_port()
    began = time.perf_counter()
    daemon.launch(daemon.port)
    wire = until(lambda: _connected(daemon), "the API's port", _PATIENCE)
    wire.json(get("/v1"))
    up = time.perf_counter() - began
    listed_now = wire.json(get(f"{loaded.torrents}?fields={FIELDS}"))["total"]
    listed = time.perf_counter() - began
    if listed_now != loaded.count:
        raise RuntimeError(f"{listed_now} torrents listed instead of {loaded.count}")
    until(lambda: wire.json(get("/v1"))["loading"] == 0, "all torrents to be loaded", _PATIENCE)
    all_loaded = time.perf_counter() - began
    wire.close()
    loaded.reconnect()
    return up, listed, all_loaded


def _connected(daemon: Daemon) -> Wire | None:
    if daemon.process.poll() is not None:
        raise RuntimeError(f"the daemon ended: {daemon.log_text()[-2000:]}")
    try:
        return Wire(daemon.port)
    except ConnectionRefusedError:
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
