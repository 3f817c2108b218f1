"""What the kernel says of a process, and of the machine that all this runs on."""

import os
import platform
import sqlite3
import time
from pathlib import Path
from typing import Any

import libtorrent as lt

import twisted
from resttorrent import __version__

_TICK: int = os.sysconf("SC_CLK_TCK")
_PAGE: int = os.sysconf("SC_PAGE_SIZE")


def resident_kib(pid: int) -> float:
    """Resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * _PAGE / 1024


def settled_kib(pid: int, patience: float = 10.0) -> float:
    """Resident memory, once it has stayed the same (within 1 %) for a second."""
    deadline = time.monotonic() + patience
    before = resident_kib(pid)
    while time.monotonic() < deadline:
        time.sleep(1)
        now = resident_kib(pid)
        if abs(now - before) <= before / 100:
            return now
        before = now
    return before


def cpu_seconds(*pids: int) -> float:
    """User and system time that these processes have used, threads that ended included."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICK


def cpu_exactly(pid: int) -> float:
    """The same of the threads that a process has now, to the microsecond and less."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def describe() -> dict[str, Any]:
    """Hardware and versions."""
    return {
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory_gib():.0f} GiB",
        "kernel": platform.release(),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()) + " (1, 5, 15 min at the start)",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libtorrent": lt.__version__,
        "twisted": twisted.__version__,
        "sqlite": sqlite3.sqlite_version,
        "resttorrent": __version__,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30
