"""
The demonstration: one daemon seeds a file, another gets it by its magnet link, and a bar shows it.

The bar follows the REST API without polling: each request names the last revision seen and waits for more.
"""

import hashlib
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tests.harness import Client, Daemon

from .bar import Bar
from .seeding import start_seeding
from .transfer import write_random

SIZE = 64 << 20
DEADLINE = 120.0
"""Seconds that the transfer may take."""
FIELDS = "progress,download_payload_rate,state"


def main() -> None:
    """Run it; the exit code is 0 if both files are the same."""
    signal.signal(signal.SIGTERM, _terminate)
    folder = Path(tempfile.mkdtemp(prefix="resttorrent-demo-"))
    daemons = [Daemon(folder / "seed"), Daemon(folder / "downloader")]
    try:
        succeeded = _demonstrate(*daemons)
    finally:
        for daemon in daemons:
            _end(daemon)
        shutil.rmtree(folder, ignore_errors=True)
    print("Both daemons are stopped, their folders deleted.")
    sys.exit(0 if succeeded else 1)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _end(daemon: Daemon) -> None:
    if daemon.is_running:
        daemon.stop()


def _demonstrate(seed: Daemon, downloader: Daemon) -> bool:
    original = seed.root / "demo.bin"
    print(f"A file of {SIZE >> 20} MiB with random content …")
    write_random(original, SIZE)
    for name, daemon in (("The seed", seed), ("The downloader", downloader)):
        daemon.start()
        print(f"{name} serves its API at http://127.0.0.1:{daemon.port}/v1")
    magnet = start_seeding(seed.client(), original)
    print(f"It seeds {magnet}")
    client = downloader.client()
    torrents = f"/v1/sessions/{client.session()}/torrents"
    added = client.ok("POST", torrents, magnet=magnet, save_path=".")
    print(f"POST {torrents} magnet=… → {added['torrent']['state']}")
    _follow(client, torrents)
    return _same(original, downloader.root / "demo.bin")


def _follow(client: Client, torrents: str) -> None:
    """
    Show the bar until the torrent is complete.

    :raises TimeoutError: if that takes too long; :raises RuntimeError: if it fails.
    """
    began = time.monotonic()
    bar = Bar(sys.stdout)
    shown: dict[str, Any] = {}
    requests = 1
    answer = client.ok("GET", torrents, fields=FIELDS)
    while True:
        # a delta holds no more than what changed; a list everything
        for row in answer.get("changed", answer.get("torrents", ())):
            shown.update(row)
        if shown:
            # libtorrent takes a second before it knows a rate
            average = shown["progress"] * SIZE / (time.monotonic() - began)
            bar.show(shown["progress"], shown["download_payload_rate"] or average, shown["state"])
        if shown.get("state") == "error":
            raise RuntimeError("the torrent went into error")
        if shown.get("state") == "seeding":
            break
        if time.monotonic() - began > DEADLINE:
            raise TimeoutError(f"not complete after {DEADLINE:.0f} s")
        answer = client.ok("GET", torrents, fields=FIELDS, since=answer["rev"], wait=10, interval_ms=100)
        requests += 1
    seconds = time.monotonic() - began
    bar.end()
    print(f"{SIZE / seconds / 2**20:.0f} MiB/s over {seconds:.1f} s, told by {requests} requests that waited")


def _same(original: Path, copy: Path) -> bool:
    digests = []
    for name, path in (("seed", original), ("downloader", copy)):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        print(f"sha256 {digests[-1]}  {name}")
    same = digests[0] == digests[1]
    print("The files are the same." if same else "THE FILES DIFFER.")
    return same


if __name__ == "__main__":
    main()
