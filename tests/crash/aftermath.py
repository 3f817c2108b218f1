"""What is looked at after a daemon died: its database, its payload, and what the next one makes of them."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.journal import Found, Key, TorrentState
from tests.harness import Client, until

_FIELDS = "infohash,state,save_path,storage_mode,memory_only,complete"


@dataclass(frozen=True, slots=True)
class Stored:
    """
    What a database holds.

    :ivar faults: what SQLite's own checks say against it.
    :ivar done: torrents of which it says that all that was wanted is there.
    :ivar clean: the daemon ended in order.
    """

    faults: list[str]
    done: frozenset[Key]
    clean: bool


def stored(state: Path, scratch: Path) -> Stored:
    """Read a dead daemon's database, on a copy: the next daemon shall find the files as they were left."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        if (state / name).exists():
            shutil.copy2(state / name, scratch / name)
    with closing(sqlite3.connect(scratch / "state.db")) as db:
        faults = [row[0] for row in db.execute("PRAGMA integrity_check") if row != ("ok",)]
        faults += [f"foreign key: {row}" for row in db.execute("PRAGMA foreign_key_check")]
        clean = db.execute("SELECT value FROM settings WHERE name = 'store.clean_exit'").fetchone() == ("1",)
        return Stored(faults, _done(db), clean)


def done_now(state: Path) -> frozenset[Key]:
    """Of which torrents a running daemon has stored that they are complete."""
    with closing(sqlite3.connect(f"file:{state / 'state.db'}?mode=ro", uri=True, timeout=30)) as db:
        return _done(db)


def _done(db: sqlite3.Connection) -> frozenset[Key]:
    return frozenset(db.execute("SELECT session_id, infohash FROM torrents WHERE done"))


class Damage:
    """One byte of a file turned over, size and times as they were: only a check of pieces would notice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._flip()

    def _flip(self) -> None:
        before = self._path.stat()
        with self._path.open("r+b") as file:
            file.seek(before.st_size // 2)
            byte = file.read(1)
            file.seek(before.st_size // 2)
            file.write(bytes([byte[0] ^ 0xFF]))
        os.utime(self._path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def undo(self) -> None:
        self._flip()


class Restarted:
    """
    What a daemon shows after a start, once it has loaded everything.

    :ivar found: in the journal's terms.
    :ivar rows: each torrent's row.
    :ivar listed_at_once: whether all was listed before it was loaded.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        first = self._rows()
        self.rows = first
        until(self._is_loaded, "everything to be loaded")
        self.listed_at_once = first.keys() == self.rows.keys()
        sessions = self._client.ok("GET", "/v1/sessions")["sessions"]
        torrents: dict[str, dict[str, TorrentState]] = {session["id"]: {} for session in sessions}
        for (session_id, infohash), row in self.rows.items():
            torrents[session_id][infohash] = TorrentState(
                save_path=row["save_path"],
                storage_mode=row["storage_mode"],
                stopped=row["state"] == "stopped",
                lasting=not row["memory_only"],
            )
        self.found = Found({s["id"]: (s["ports"][0], s["ports"][1]) for s in sessions}, torrents)

    def _rows(self) -> dict[Key, dict[str, Any]]:
        return {
            (session["id"], row["infohash"]): row
            for session in self._client.ok("GET", "/v1/sessions")["sessions"]
            for row in self._client.ok("GET", f"/v1/sessions/{session['id']}/torrents", fields=_FIELDS)[
                "torrents"
            ]
        }

    def _is_loaded(self) -> bool:
        self.rows = self._rows()
        return all(row["state"] != "checking_resume_data" for row in self.rows.values())
