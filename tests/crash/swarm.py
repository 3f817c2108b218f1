"""A peer that has payload: many torrents in one libtorrent session on loopback, each at a limited rate."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import libtorrent as lt

from tests.harness import LOOPBACK, make_torrent, until

KINDS = ("v1", "hybrid", "v2")
PIECE = 16384


@dataclass(frozen=True, slots=True)
class Payload:
    """
    A torrent that can be downloaded.

    :ivar files: SHA-256 of each file's content, by its path below the save path.
    :ivar folder: what the swarm's own save path is.
    """

    infohash: str
    torrent: bytes
    magnet: str
    files: dict[str, bytes]
    folder: Path

    def compared(self, save_path: str) -> str:
        """What is wrong with files at a save path, for people."""
        said = []
        for name in self.files:
            path = Path(save_path) / name
            if not path.is_file():
                said.append(f"{path} is missing")
                continue
            wanted, found = (self.folder / name).read_bytes(), path.read_bytes()
            pieces = range(0, len(wanted), PIECE)
            wrong = [at for at in pieces if wanted[at : at + PIECE] != found[at : at + PIECE]]
            zeros = sum(not any(found[at : at + PIECE]) for at in wrong)
            said.append(
                f"{path} has {len(found)} of {len(wanted)} bytes, {len(wrong)} pieces are wrong "
                f"({zeros} of them zeros), the first at {wrong[:1]}"
            )
        return "; ".join(said)

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

    :param rate: bytes per second and torrent; :param largest: bytes of a file, at most.
    """

    def __init__(
        self, folder: Path, count: int, *, rate: int, rng: random.Random, largest: int = 150_000
    ) -> None:
        self._largest = largest
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
            path.write_bytes(rng.randbytes(rng.randint(20_000, self._largest)))
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
            folder=folder,
            files={
                str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() for path in names
            },
        )

    def close(self) -> None:
        self._session.pause()
        del self._session
