"""A peer that has payload: many torrents in one libtorrent session on loopback, each at a limited rate."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import libtorrent as lt

from tests.harness import LOOPBACK, make_torrent, until

KINDS = ("v1", "hybrid", "v2")


@dataclass(frozen=True, slots=True)
class Payload:
    """
    A torrent that can be downloaded.

    :ivar files: SHA-256 of each file's content, by its path below the save path.
    """

    infohash: str
    torrent: bytes
    magnet: str
    files: dict[str, bytes]

    def files_in(self, save_path: str) -> dict[Path, bytes]:
        """The files where they come to lie, with their digests."""
        return {Path(save_path) / name: digest for name, digest in self.files.items()}


def differing(files: Mapping[Path, bytes]) -> list[Path]:
    """Those that are missing, or have another content than their digests say."""
    return [
        path
        for path, digest in files.items()
        if not path.is_file() or hashlib.sha256(path.read_bytes()).digest() != digest
    ]


class Swarm:
    """
    Makes payload and seeds it.

    :param rate: bytes per second and torrent.
    """

    def __init__(self, folder: Path, count: int, *, rate: int, rng: random.Random) -> None:
        settings = lt.session_params()
        settings.settings = LOOPBACK  # type: ignore[assignment]
        self._session = lt.session(settings)
        until(self._session.is_listening, "the swarm to listen")
        self.address = f"127.0.0.1:{self._session.listen_port()}"
        self.payloads = [self._make(folder, number, rate, rng) for number in range(count)]
        until(
            lambda: all(h.status().is_seeding for h in self._session.get_torrents()),
            "the swarm to seed",
        )

    def _make(self, folder: Path, number: int, rate: int, rng: random.Random) -> Payload:
        content = folder / f"payload {number}"
        if number % 2:
            names = [content / "one.bin", content / "sub" / "two.bin", content / "sub" / "three.bin"]
        else:
            names = [content]
        for path in names:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(rng.randint(20_000, 150_000)))
        torrent = make_torrent(content, KINDS[number % len(KINDS)])
        params = lt.load_torrent_buffer(torrent)
        params.save_path = str(folder)
        # none of the defaults: no queue that holds it back, and no check of what is known to be whole; peers
        # are not told of each other, so that what is damaged on purpose stays where it is
        params.flags = lt.torrent_flags.seed_mode | lt.torrent_flags.disable_pex
        handle = self._session.add_torrent(params)
        handle.set_upload_limit(rate)
        hashes = handle.info_hashes()
        return Payload(
            infohash=str(hashes.v1) if hashes.has_v1() else str(hashes.v2)[:40],
            torrent=torrent,
            magnet=f"{lt.make_magnet_uri(handle)}&x.pe={self.address}",
            files={
                str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() for path in names
            },
        )

    def close(self) -> None:
        self._session.pause()
        del self._session
