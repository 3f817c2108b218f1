"""Disks that fill up under load, and are emptied again."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libtorrent as lt

from tests.crash.journal import Key, TorrentState
from tests.crash.load import DISK_FULL, Load
from tests.crash.ordeal import Ordeal
from tests.faults.support import fill
from tests.harness import Client, until

STATE_SIZE, PAYLOAD_SIZE = "size=24m,mode=0700", "size=384m"
"""Mount options of the two tmpfs."""
BULKY_PIECES = 8000
MOST_BULKY = 400
"""Of these, of 160 kB each, the disk takes less, with whatever is spared."""


@dataclass(frozen=True, slots=True)
class Healed:
    """
    One spell.

    :ivar disk: which; :ivar refused: whether a change was refused for it; :ivar seconds: until all was well.
    """

    disk: str
    refused: bool
    seconds: float


class Disks:
    """
    Fills the disks of an ordeal's daemon.

    :param full_for: seconds that a disk stays full at least.
    :ivar healed: the spells.
    """

    def __init__(self, ordeal: Ordeal, full_for: float) -> None:
        self._ordeal = ordeal
        self._full_for = full_for
        self._number = 0
        self.healed: list[Healed] = []

    # -- the state's disk --------------------------------------------------

    def fill_state(self, seconds: float, load: Load) -> list[str]:
        """For the time of a life: all is well, nothing can be stored, all is well again."""
        time.sleep(seconds / 3)
        client = self._ordeal.daemon.client()
        added: list[Key] = []
        faults: list[str] = []
        with self._ordeal.weather.lasting(DISK_FULL):
            filler = fill(self._ordeal.daemon.state)
            end = time.monotonic() + self._full_for
            refused = False
            for key, status in self._flood(client):
                if status == 201:
                    added.append(key)
                    fill(self._ordeal.daemon.state)
                    continue
                refused = True
                if time.monotonic() > end:
                    break
                time.sleep(0.1)
            if not refused:
                faults.append(f"nothing was refused on a full disk, {len(added)} torrents were added")
            reasons = _reasons(client)
            if reasons != ["state_disk_full"]:
                faults.append(f"the state's disk is full, and /health says {reasons}")
            # reading goes on
            client.ok("GET", "/v1/sessions")
            filler.unlink()
            began = time.monotonic()
            until(lambda: not _reasons(client), "/health to be ok again", 30)
            self.healed.append(Healed("state", refused, time.monotonic() - began))
        self._remove(client, added)
        client.close()
        time.sleep(seconds / 3)
        return faults

    def _flood(self, client: Client) -> Iterator[tuple[Key, int]]:
        """Add torrents that take room, while anybody asks for more; their keys, and how that was answered."""
        session, journal = self._ordeal.sessions[0], self._ordeal.journal
        for _ in range(MOST_BULKY):
            self._number += 1
            torrent, infohash = _bulky(self._number)
            key = (session, infohash)
            state = TorrentState(str(self._ordeal.root / "bulky"), "sparse", stopped=True)
            journal.ask({key: state})
            answer = client.upload(
                f"/v1/sessions/{session}/torrents", torrent, save_path=state.save_path, autostart="0"
            )
            if answer.status == 201:
                journal.answered(key, state)
            else:
                journal.refused(key)
                assert answer.status == 507, answer.body
            yield key, answer.status

    def _remove(self, client: Client, keys: list[Key]) -> None:
        for key in keys:
            self._ordeal.journal.ask({key: None})
            client.ok("DELETE", f"/v1/sessions/{key[0]}/torrents/{key[1]}")
            self._ordeal.journal.answered(key, None)

    # -- the payload's disk ------------------------------------------------

    def fill_payload(self, seconds: float, load: Load) -> list[str]:
        """For the time of a life: all is well, payload can't be written, all is well again."""
        time.sleep(seconds / 3)
        client = self._ordeal.daemon.client()
        faults = []
        filler = fill(self._ordeal.daemon.root)
        end = time.monotonic() + self._full_for
        erring = False
        while time.monotonic() < end:
            fill(self._ordeal.daemon.root)
            erring = erring or any(row["state"] == "error" for row in self._rows(client).values())
            if reasons := _reasons(client):
                faults.append(f"the payload's disk is full, and /health says {reasons}")
            time.sleep(0.2)
        filler.unlink()
        began = time.monotonic()
        with load.held():
            for key, row in self._rows(client).items():
                if row["state"] == "error" and self._runs(key):
                    client.ok("PUT", f"/v1/sessions/{key[0]}/torrents/{key[1]}", pause=0)
            until(lambda: not self._in_error(client), "torrents to run again", 30)
        self.healed.append(Healed("payload", erring, time.monotonic() - began))
        client.close()
        time.sleep(seconds / 3)
        return faults

    def _runs(self, key: Key) -> bool:
        """Whether it is there, and not stopped: one that was stopped keeps its error until it runs."""
        journal = self._ordeal.journal
        settled = journal.settled(key)
        return settled is not None and not settled.stopped and bool(journal.free([key]))

    def _in_error(self, client: Client) -> list[Key]:
        return [key for key, row in self._rows(client).items() if row["state"] == "error" and self._runs(key)]

    def _rows(self, client: Client) -> dict[Key, Any]:
        return {
            (session, row["infohash"]): row
            for session in self._ordeal.sessions
            for row in client.ok("GET", f"/v1/sessions/{session}/torrents", fields="infohash,state")[
                "torrents"
            ]
        }


def _reasons(client: Client) -> list[str]:
    return [reason["code"] for reason in client.ok("GET", "/health")["reasons"]]


def _bulky(number: int) -> tuple[bytes, str]:
    """A torrent whose description is large, and its info-hash."""
    first = hashlib.sha1(b"%d" % number).digest()
    info: dict[bytes, Any] = {
        b"name": b"bulky %d" % number,
        b"piece length": 16384,
        b"pieces": first * BULKY_PIECES,
        b"length": 16384 * BULKY_PIECES,
    }
    torrent = bytes(lt.bencode({b"info": info}))  # type: ignore[arg-type]
    return torrent, str(lt.load_torrent_buffer(torrent).info_hashes.v1)


def used_paths(home: Path) -> tuple[Path, Path]:
    """Where the disks of the state and of the payload are mounted, for a daemon of an ordeal in ``home``."""
    return home / "daemon" / "state", home / "daemon" / "root"
