"""
What clients asked of a daemon and what it answered, and so which states it may be in after a kill.

Each torrent and session has what is *settled* (answered) and what was *asked* since. After a kill it must be
as settled, or as one of the asked changes leaves it; an answer settles, a refusal takes the question back.
"""

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

Key = tuple[str, str]
"""(session id, info-hash)"""
Ports = tuple[int, int]
"""A session's range, by which one whose id was never answered is known: each is asked for once."""


@dataclass(frozen=True, slots=True)
class TorrentState:
    """
    What must survive of a torrent.

    :ivar save_path: absolute.
    :ivar lasting: not memory_only; what is not lasting is gone after a kill.
    """

    save_path: str
    storage_mode: str
    stopped: bool
    lasting: bool = True


S = TypeVar("S")


@dataclass(slots=True)
class Fact(Generic[S]):
    """One thing; ``None`` stands for its absence."""

    settled: S | None = None
    asked: list[S | None] = field(default_factory=list)

    @property
    def possible(self) -> list[S | None]:
        return [self.settled, *self.asked]


@dataclass(frozen=True, slots=True)
class Found:
    """What a daemon shows: the torrents of each session, and each session's range."""

    ports: Mapping[str, Ports]
    torrents: Mapping[str, Mapping[str, TorrentState]]


class Journal:
    """
    The clients' side of the story; they share it, each asks only of torrents of its own.

    :ivar deleted: files of torrents whose removal with ``delete_files`` was answered.
    :ivar deleting: files of those whose removal may not have been.
    :ivar kept: SHA-256 of files whose complete torrents were removed without them.
    :ivar answers: how many changes were answered.
    :ivar open: how many were asked and not answered at the last ``died``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._torrents: dict[Key, Fact[TorrentState]] = {}
        self._sessions: dict[str, Fact[Ports]] = {}
        self._creations: set[Ports] = set()
        self._versions: dict[Key, int] = {}
        self._complete: dict[Key, float] = {}
        self.deleted: set[Path] = set()
        self.deleting: dict[Key, Collection[Path]] = {}
        self.kept: dict[Path, bytes] = {}
        self.answers = 0
        self.open = 0

    # -- torrents --------------------------------------------------------

    def ask(self, changes: Mapping[Key, TorrentState | None]) -> None:
        """These torrents are to become as given."""
        with self._lock:
            for key, state in changes.items():
                self._torrents.setdefault(key, Fact()).asked.append(state)
                self._versions[key] = self._versions.get(key, 0) + 1
                if state is None:
                    self._complete.pop(key, None)

    def answered(self, key: Key, state: TorrentState | None) -> None:
        with self._lock:
            fact = self._torrents[key]
            fact.settled, fact.asked = state, []
            self.deleted.update(self.deleting.pop(key, ()))
            self.answers += 1

    def refused(self, key: Key) -> None:
        """The daemon said that nothing was changed."""
        with self._lock:
            self._torrents[key].asked.pop()
            self.deleting.pop(key, None)

    def found_out(self, key: Key, *, present: bool) -> None:
        """An addition or a removal was asked for and not waited for; it is seen now whether it is there."""
        with self._lock:
            fact = self._torrents[key]
            states = [state for state in fact.possible if (state is not None) == present]
            fact.settled, fact.asked = states[0], []

    def settled(self, key: Key) -> TorrentState | None:
        with self._lock:
            return self._torrents.get(key, Fact()).settled

    def free(self, keys: Iterable[Key]) -> list[Key]:
        """Those about which nothing is asked."""
        with self._lock:
            return [key for key in keys if not self._torrents.get(key, Fact()).asked]

    # -- files -----------------------------------------------------------

    def ask_files(self, key: Key, files: Collection[Path]) -> None:
        """The torrent's removal, asked for next, is to delete these."""
        with self._lock:
            self.deleting[key] = files

    def keep(self, files: Mapping[Path, bytes]) -> None:
        """Nobody is to touch these any more."""
        with self._lock:
            self.kept.update(files)

    def disown(self, files: Collection[Path]) -> None:
        """A torrent is to write these again."""
        with self._lock:
            self.deleted.difference_update(files)
            for path in files:
                self.kept.pop(path, None)

    # -- sessions --------------------------------------------------------

    def ask_session(self, ports: Ports) -> None:
        with self._lock:
            self._creations.add(ports)

    def created(self, ports: Ports, session_id: str, *, lasting: bool = True) -> None:
        with self._lock:
            self._creations.discard(ports)
            # one that is not lasting may not be there after a kill, with whatever it holds
            self._sessions[session_id] = Fact(ports if lasting else None)
            self.answers += 1

    def ask_deletion(self, session_id: str) -> None:
        with self._lock:
            self._sessions[session_id].asked.append(None)

    def deleted_session(self, session_id: str) -> None:
        with self._lock:
            self._sessions[session_id] = Fact(None)
            self.answers += 1

    # -- what was seen complete ------------------------------------------

    def versions(self) -> dict[Key, int]:
        """
        To be taken before a list is asked for, which then tells of the torrents that are named here.

        Not of those whose change is under way, nor of those that were changed since.
        """
        with self._lock:
            return {key: version for key, version in self._versions.items() if not self._torrents[key].asked}

    def saw_complete(self, keys: Iterable[Key], versions: Mapping[Key, int]) -> None:
        """Some torrents were shown complete by a list."""
        with self._lock:
            for key in keys:
                if key in versions and self._versions[key] == versions[key]:
                    self._complete.setdefault(key, time.monotonic())

    def is_complete(self, key: Key) -> bool:
        """Whether it was seen complete."""
        with self._lock:
            return key in self._complete

    def complete(self, *, before: float) -> set[Key]:
        """Torrents that are settled and were seen complete by then (monotonic seconds)."""
        with self._lock:
            return {
                key
                for key, seen in self._complete.items()
                if seen <= before and self._torrents[key].settled and not self._torrents[key].asked
            }

    # -- a death and after -----------------------------------------------

    def died(self) -> None:
        """The daemon is gone, and with it what was not to last."""
        # one that goes with the process may be gone before its removal was heard of: its files stay then
        self.deleting = {
            key: files for key, files in self.deleting.items() if _lasting(self._torrents[key].settled)
        }
        for fact in self._torrents.values():
            fact.settled = _lasting(fact.settled)
            fact.asked = [_lasting(state) for state in fact.asked]
        self.open = sum(bool(f.asked) for f in self._torrents.values())
        self.open += sum(bool(f.asked) for f in self._sessions.values()) + len(self._creations)

    def unexplained(self, found: Found) -> list[str]:
        """Sentences about whatever the daemon shows, or does not, that nobody asked for."""
        said = []
        for session_id in sorted({*self._sessions, *found.ports}):
            ports = found.ports.get(session_id)
            if session_id not in self._sessions:
                empty = not found.torrents[session_id]
                if ports not in self._creations or not empty:
                    said.append(f"session {session_id} {ports}: nobody asked for it")
            elif ports not in self._sessions[session_id].possible:
                said.append(f"session {session_id} is {ports}, not {self._sessions[session_id].possible}")
            if ports is not None:
                said.extend(self._unexplained_torrents(session_id, found.torrents[session_id]))
        return said

    def _unexplained_torrents(self, session_id: str, found: Mapping[str, TorrentState]) -> list[str]:
        known = {key[1] for key in self._torrents if key[0] == session_id}
        said = []
        for infohash in sorted(known | found.keys()):
            state = found.get(infohash)
            possible = self._torrents.get((session_id, infohash), Fact()).possible
            if state not in possible:
                said.append(f"{session_id[:8]}/{infohash} is {state}, not {possible}")
        return said

    def settle(self, found: Found, done: Collection[Key]) -> None:
        """
        Go on from what was found.

        :param done: what was stored as complete; the rest is checked again, and has to be seen complete anew.
        """
        self._creations.clear()
        self.deleting.clear()
        self._sessions = {session_id: Fact(ports) for session_id, ports in found.ports.items()}
        self._torrents = {
            (session_id, infohash): Fact(state)
            for session_id, torrents in found.torrents.items()
            for infohash, state in torrents.items()
        }
        self._versions = {key: version for key, version in self._versions.items() if key in self._torrents}
        self._complete = {
            key: seen for key, seen in self._complete.items() if key in done and key in self._torrents
        }

    def present(self) -> Collection[Key]:
        """Torrents that are settled to be there."""
        with self._lock:
            return [key for key, fact in self._torrents.items() if fact.settled]

    def settled_sessions(self) -> list[str]:
        """Sessions that are settled to be there."""
        with self._lock:
            return [key for key, fact in self._sessions.items() if fact.settled and not fact.asked]


def _lasting(state: TorrentState | None) -> TorrentState | None:
    return state if state is not None and state.lasting else None
