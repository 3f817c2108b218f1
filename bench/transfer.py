"""One big file from a seed to a downloader: two daemons, and two raw libtorrent sessions, in turn."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.harness import Daemon, make_torrent

from .figures import Figures, median, spread, tell
from .machine import cpu_seconds
from .wire import Wire, get, multipart, send_json
from .workshop import Workshop, lag_of, new_session

_CHUNK = 16 << 20
_PIECE = 1 << 20


class _Run(NamedTuple):
    """One transfer: MiB per second, and CPU seconds of both ends."""

    speed: float
    cpu: float


def run(workshop: Workshop) -> None:
    """Speed, and CPU of downloader and seed together, as medians of alternated pairs."""
    size: int = workshop.options.size << 20
    tell(f"{workshop.options.pairs} pairs of transfers of {workshop.options.size} MiB …")
    source = workshop.folder / "source"
    write_random(source / "payload", size)
    torrent = make_torrent(source / "payload", "v1", piece_size=_PIECE)
    ours = _Daemons(workshop, source, torrent)
    raw = _Raws(workshop, source, torrent)
    measured: dict[_Daemons | _Raws, list[_Run]] = {ours: [], raw: []}
    for number in range(workshop.options.pairs):
        for pair in (ours, raw) if number % 2 == 0 else (raw, ours):
            before = cpu_seconds(*pair.pids)
            seconds = pair.download()
            measured[pair].append(_Run(size / seconds / 2**20, cpu_seconds(*pair.pids) - before))
            pair.clear()
    _report(workshop.figures, measured[ours], measured[raw])
    for role, daemon in (("download", ours.downloader), ("seed", ours.seed)):
        during = f"{role} of {workshop.options.size} MiB, times {workshop.options.pairs}"
        workshop.report_lag(during, daemon, lag_of(Wire(daemon.port)))


def _report(figures: Figures, ours: list[_Run], raw: list[_Run]) -> None:
    _compare(
        figures, "speed", "MiB/s", [run.speed for run in ours], [run.speed for run in raw], at_least=0.95
    )
    name = "CPU of downloader + seed"
    _compare(figures, name, "s", [run.cpu for run in ours], [run.cpu for run in raw], at_most=1.05)


def _compare(
    figures: Figures,
    name: str,
    unit: str,
    ours: list[float],
    raw: list[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    note = f"{spread(ours)}; raw {spread(raw)}"
    figures.add("transfer", name, median(ours), unit, raw=median(raw), note=note)
    ratios = [our / their for our, their in zip(ours, raw, strict=True)]
    figures.add(
        "transfer", f"{name}, ratio to raw libtorrent", median(ours) / median(raw), "",
        at_least=at_least, at_most=at_most,
        note=f"pair by pair: median {median(ratios):.3f}, {spread(ratios)}",
    )  # fmt: skip


def write_random(path: Path, size: int) -> None:
    """A file of random bytes, its pages left in the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for length in _chunks(size):
            file.write(os.urandom(length))


def _chunks(size: int) -> Iterator[int]:
    while size > 0:
        yield min(size, _CHUNK)
        size -= _CHUNK


class _Daemons:
    """Two daemons; the seed has the file by a link to the one source."""

    def __init__(self, workshop: Workshop, source: Path, torrent: bytes) -> None:
        self._torrent = torrent
        self.seed, self.downloader = workshop.daemon("seed"), workshop.daemon("downloader")
        self._wire, self._path = self._session(self.downloader)
        self._infohash = ""
        (self.seed.root / "payload").hardlink_to(source / "payload")
        wire, path = self._session(self.seed)
        infohash = wire.json(multipart(path, {"save_path": "."}, [torrent]))["infohash"]
        self._until_state(wire, path, "seeding")
        session = path.rpartition("/")[0]
        self._address = f"127.0.0.1:{wire.json(get(session))['port']}"
        self._infohash = infohash

    @property
    def pids(self) -> tuple[int, int]:
        return self.seed.process.pid, self.downloader.process.pid

    @staticmethod
    def _session(daemon: Daemon) -> tuple[Wire, str]:
        wire = Wire(daemon.port)
        return wire, f"/v1/sessions/{new_session(wire)}/torrents"

    @staticmethod
    def _until_state(wire: Wire, path: str, state: str) -> None:
        """Wait for the one torrent's state by long polls: it is told at once."""
        answer = wire.json(get(f"{path}?fields=state"))
        rows = answer["torrents"]
        while not any(row.get("state") == state for row in rows):
            answer = wire.json(get(f"{path}?fields=state&since={answer['rev']}&wait=60"))
            rows = answer.get("changed", answer.get("torrents"))

    def download(self) -> float:
        began = time.perf_counter()
        self._wire.json(multipart(self._path, {"save_path": "."}, [self._torrent]))
        peers = f"{self._path}/{self._infohash}/peers"
        self._wire.json(send_json("POST", peers, {"address": self._address}))
        self._until_state(self._wire, self._path, "seeding")
        return time.perf_counter() - began

    def clear(self) -> None:
        self._wire.json(send_json("DELETE", f"{self._path}/{self._infohash}", {"delete_files": 1}))


class _Raws:
    """Two raw libtorrent sessions; the seed reads the one source."""

    def __init__(self, workshop: Workshop, source: Path, torrent: bytes) -> None:
        self._torrent = workshop.folder / "payload.torrent"
        self._torrent.write_bytes(torrent)
        self._folder = workshop.folder / "raw"
        self._folder.mkdir()
        self._seed, self._downloader = workshop.raw(), workshop.raw()
        self._port = self._seed.do("seed", torrent=str(self._torrent), save_path=str(source))["port"]

    @property
    def pids(self) -> tuple[int, int]:
        return self._seed.process.pid, self._downloader.process.pid

    def download(self) -> float:
        answer = self._downloader.do(
            "download", torrent=str(self._torrent), save_path=str(self._folder), port=self._port
        )
        seconds: float = answer["seconds"]
        return seconds

    def clear(self) -> None:
        self._downloader.do("remove")
