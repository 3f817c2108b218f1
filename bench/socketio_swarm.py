"""Subscribers that stop reading, while libtorrent itself is what changes the rows: many slow downloads."""

import hashlib
from pathlib import Path
from typing import Any

import libtorrent as lt

from .figures import quantile, shown, tell
from .socketio_watch import watch
from .wire import Wire, check, multipart, send_json
from .workshop import BATCH, Child, Workshop, check_batch, json_batch, new_session

_CLIENTS, _SLOW, _KEPT = 200, 20, 20
_RUNNING, _RATE, _SIZE = 400, 4096, 512 * 1024
"""Downloads, bytes per second and bytes of each: two minutes. A session has 500 connections at most."""
_INTERVAL_MS = 200
_STOP = 15.0
"""Seconds; the daemon would give up who does not answer its pings for longer."""
_RECEIVE_BUFFER = 16_384
_PIECE = 16_384


def run(workshop: Workshop, rows: int) -> None:
    """A daemon with ``rows`` torrents, of which some run."""
    tell(f"{_RUNNING} slow downloads, {_SLOW} of {_CLIENTS} subscribers stop reading for {_STOP:g} s …")
    daemon, raw = workshop.daemon("swarm"), workshop.raw()
    wire = Wire(daemon.port)
    session_id = new_session(wire)
    path = f"/v1/sessions/{session_id}/torrents"
    for first in range(0, rows - _RUNNING, BATCH):
        resting = range(first, min(first + BATCH, rows - _RUNNING))
        check_batch(wire.json(json_batch(path, resting)))
    torrents = [_torrent(number) for number in range(_RUNNING)]
    _start(workshop.folder / "swarm-source", raw, wire, path, torrents)
    crowd = workshop.child("bench.socketio_child")
    wanted = {"session_id": session_id, "interval_ms": _INTERVAL_MS}
    crowd.do("connect", port=daemon.port, count=_CLIENTS - _SLOW)
    crowd.do("connect", port=daemon.port, count=_SLOW, receive_buffer=_RECEIVE_BUFFER)
    crowd.do("subscribe", keep=_KEPT, **wanted)
    crowd.do("watch", seconds=3)
    crowd.do("stop_reading", count=_SLOW)
    behind, resident = watch(crowd, daemon.process.pid, _STOP, "behind")
    crowd.begin("go_on_reading", patience=3)
    for request in _stops(path, torrents):
        check(wire.ask(request))
    crowd.result()
    compared = crowd.do("compare", port=daemon.port, **wanted)
    _report(workshop, behind, resident, compared)
    for process in (crowd.process, raw.process):
        workshop.end(process)
    workshop.discard(daemon)


def _torrent(number: int) -> bytes:
    """A torrent of nothing but zeros."""
    pieces = hashlib.sha1(bytes(_PIECE), usedforsecurity=False).digest() * (_SIZE // _PIECE)
    info: dict[bytes, Any] = {
        b"name": b"slow %d" % number,
        b"piece length": _PIECE,
        b"pieces": pieces,
        b"length": _SIZE,
    }
    return bytes(lt.bencode({b"info": info}))  # type: ignore[arg-type]


def _start(folder: Path, raw: Child, wire: Wire, path: str, torrents: list[bytes]) -> None:
    """Seed them slowly, and have the daemon download them."""
    folder.mkdir()
    paths = [folder / f"{number}.torrent" for number in range(len(torrents))]
    for number, (torrent, name) in enumerate(zip(torrents, paths, strict=True)):
        name.write_bytes(torrent)
        with (folder / f"slow {number}").open("wb") as file:
            file.truncate(_SIZE)
    port = raw.do("seed_slowly", torrents=[str(name) for name in paths], save_path=str(folder), rate=_RATE)[
        "port"
    ]
    check_batch(wire.json(multipart(f"{path}/batch", {"save_path": "slow"}, torrents)))
    for torrent in torrents:
        peer = {"address": f"127.0.0.1:{port}"}
        check(wire.ask(send_json("POST", f"{path}/{_key(torrent)}/peers", peer)))


def _stops(path: str, torrents: list[bytes]) -> list[bytes]:
    return [send_json("PUT", f"{path}/{_key(torrent)}", {"pause": 1}) for torrent in torrents]


def _key(torrent: bytes) -> str:
    return str(lt.load_torrent_buffer(torrent).info_hashes.v1)


def _report(workshop: Workshop, behind: list[float], resident: list[float], compared: dict[str, Any]) -> None:
    add = workshop.figures.add
    add(
        "backpressure", f"libtorrent, {_SLOW} of {_CLIENTS} stopped for {_STOP:g} s: memory",
        max(resident) - min(resident), "MiB", at_most=20,
        note=f"{shown(min(resident))} to {shown(max(resident))} MiB, {_RUNNING} downloads running",
    )  # fmt: skip
    add(
        "backpressure", "libtorrent, the others behind the first to know, p99",
        quantile(behind, 0.99) * 1000, "ms", at_most=100, note=f"of {len(behind):,} pushes",
    )  # fmt: skip
    add(
        "backpressure", "libtorrent, clients whose table is exact in the end", compared["exact"], "clients",
        at_least=compared["of"], note=f"of {compared['of']}, with {compared['rows']:,} rows",
    )  # fmt: skip
