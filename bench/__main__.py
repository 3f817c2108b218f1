"""
The benchmark: ``python -m bench [theme …]`` prints one table and writes it as JSON.

All that is started is ended, and the folder deleted, whatever happens.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import (
    adding,
    checks,
    crowd,
    listing,
    resting,
    socketio_fanout,
    socketio_latency,
    socketio_slow,
    socketio_trips,
    transfer,
)
from .figures import Figures
from .machine import describe
from .workshop import Workshop

# memory comes before list: what it measures first is a daemon that nobody has asked for a list
THEMES = {
    "memory": resting.memory,
    "list": listing.run,
    "latency": socketio_latency.run,
    "idle": resting.idle,
    "restart": resting.restart,
    "adds": adding.run,
    "transfer": transfer.run,
    "roundtrips": socketio_trips.roundtrips,
    "connections": socketio_trips.connections,
    "fanout": socketio_fanout.run,
    "backpressure": socketio_slow.run,
    "crowd": crowd.idle,
    "slow": crowd.slow,
    "checks": checks.run,
}
_FULL = {
    "torrents": 10_000,
    "adds": 2_000,
    "rounds": 200,
    "settle": 65.0,
    "idle": 30.0,
    "size": 1024,
    "pairs": 9,
    "trips": 10.0,
    "sockets": 1_000,
    "pushes": 200,
    "stop": 60.0,
    "crowd": 10_000,
    "slow": 300,
    "siege": 30.0,
    "turn": 0.25,
    "turns": 25,
}
_QUICK = {
    "torrents": 1_000,
    "adds": 500,
    "rounds": 50,
    "settle": 2.0,
    "idle": 5.0,
    "size": 128,
    "pairs": 3,
    "trips": 2.0,
    "sockets": 200,
    "pushes": 50,
    "stop": 5.0,
    "crowd": 1_000,
    "slow": 100,
    "siege": 13.0,
    "turn": 0.2,
    "turns": 9,
}


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure RestTorrent on loopback.")
    parser.add_argument("themes", nargs="*", metavar="theme", help=f"{', '.join(THEMES)}; else all")
    parser.add_argument("--quick", action="store_true", help="everything smaller, for a look")
    parser.add_argument("--torrents", type=int, help="in the loaded daemon (10000)")
    parser.add_argument("--adds", type=int, help="one by one (2000)")
    parser.add_argument("--rounds", type=int, help="requests of each list or delta (200)")
    parser.add_argument("--idle", type=float, help="seconds of idleness (30)")
    parser.add_argument("--settle", type=float, help="seconds before that (65)")
    parser.add_argument("--size", type=int, help="MiB to transfer (1024)")
    parser.add_argument("--pairs", type=int, help="transfers of two daemons, and of raw libtorrent (9)")
    parser.add_argument("--trips", type=float, help="seconds of round trips (10)")
    parser.add_argument("--sockets", type=int, help="idle ones, and subscribers of one view (1000)")
    parser.add_argument("--pushes", type=int, help="to each of these subscribers, five times (200)")
    parser.add_argument("--stop", type=float, help="seconds that slow subscribers read nothing (60)")
    parser.add_argument("--crowd", type=int, help="connections that want nothing (10000)")
    parser.add_argument("--slow", type=int, help="clients of each kind that are slow (300)")
    parser.add_argument("--siege", type=float, help="seconds that they are there (30)")
    parser.add_argument("--turn", type=float, help="seconds with checks, and without (0.25)")
    parser.add_argument("--turns", type=int, help="of each of them, of each kind (25)")
    parser.add_argument("--dir", type=Path, help="where the run's own folder is made (the system's for such)")
    parser.add_argument("--json", type=Path, default=Path("bench-result.json"), help="where the figures go")
    options = parser.parse_args(arguments)
    unknown = [theme for theme in options.themes if theme not in THEMES]
    if unknown:
        parser.error(f"there is no theme {unknown[0]!r}: choose from {', '.join(THEMES)}")
    for name, value in (_QUICK if options.quick else _FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def main() -> None:
    """Run what was asked for."""
    options = _options(sys.argv[1:])
    signal.signal(signal.SIGTERM, _terminate)
    themes = [theme for theme in THEMES if not options.themes or theme in options.themes]
    parameters = {name: getattr(options, name) for name in _FULL}
    figures = Figures(describe(), {"themes": themes, **parameters})
    workshop = Workshop(options, figures)
    try:
        for theme in themes:
            THEMES[theme](workshop)
    finally:
        workshop.close()
    figures.print()
    figures.write(options.json)
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
