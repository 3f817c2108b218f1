"""
A daemon that is killed under load, or stopped, again and again.

After each start every change that was answered is there, one that was asked but not answered is wholly there
or wholly absent, and nothing else is; no complete torrent is checked again; the database is sound.
"""

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.aftermath import Damage, Restarted, Stored, done_now, stored
from tests.crash.journal import Found, Journal, Key, TorrentState
from tests.crash.load import ANCHORS, DISK_FULL, FORCE, Force, Load, Target
from tests.crash.swarm import Payload, Swarm, differing
from tests.crash.weather import Weather
from tests.harness import PORTS, Client, Daemon, until

LONGEST = 4.0
"""Seconds of load before a kill, at most."""
SAVED_WITHIN = 3.0
"""Seconds after which a torrent that was seen complete must be stored so; it is saved at once."""
UP_WITHIN = 5.0
DELETED_WITHIN = 5.0
"""Seconds after a start in which files are deleted whose torrent's removal the kill cut short."""
SAVED_AFTER = 15.0
"""Seconds after which a torrent is stored as complete that could not be, for want of room."""
DOWN = "the daemon is down"
PAYLOADS = 13
RATE = 300_000


@dataclass
class Round:
    """
    What came of one death.

    :ivar faults: what should not be; sentences. :ivar lost: those of them about changes that were answered.
    :ivar ending: seconds that an orderly end took, ``None`` after a kill.
    :ivar damaged: how many complete torrents were damaged to see whether they are checked again.
    """

    faults: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    ending: float | None = None
    lived: float = 0.0
    killed_again: float | None = None
    answers: int = 0
    open: int = 0
    torrents: int = 0
    sessions: int = 0
    complete: int = 0
    damaged: int = 0
    up: float = 0.0

    def __str__(self) -> str:
        how = "killed" if self.ending is None else f"stopped in {self.ending:.2f} s"
        again = "" if self.killed_again is None else f" and {self.killed_again:.2f} s into the next start"
        return (
            f"{how} after {self.lived:.2f} s{again}; {self.answers} changes answered, {self.open} open; "
            f"up in {self.up:.2f} s with {self.torrents} torrents in {self.sessions} sessions, "
            f"{self.complete} complete, {self.damaged} damaged to see a recheck: "
            f"{'; '.join(self.faults) or 'ok'}"
        )


Meanwhile = Callable[[float, Load], list[str]]


def sleep(seconds: float, load: Load) -> list[str]:
    """Let the load be."""
    time.sleep(seconds)
    return []


class Ordeal:
    """
    One daemon's life and deaths.

    :param up_within: seconds in which it must be up again.
    :param client: makes a client for a port, of those that put load on it.
    :param largest: bytes of a file of the swarm, at most.
    :ivar weather: ``DOWN`` while it is being ended and started again.
    :ivar journal: what was asked and answered; :ivar sessions: ids of those that stay.
    :ivar root: the save root, resolved; :ivar swarm: what has the payload.
    """

    def __init__(
        self,
        home: Path,
        rng: random.Random,
        *,
        up_within: float = UP_WITHIN,
        force: Force = FORCE,
        client: Callable[[int], Client] = Client,
        largest: int = 150_000,
    ) -> None:
        self._force = force
        self._client = client
        self.weather = Weather()
        self._rng = rng
        self._up_within = up_within
        self._scratch = home / "copy"
        self.journal = Journal()
        self._tracebacks = 0
        (home / "swarm").mkdir(parents=True)
        self.swarm = Swarm(home / "swarm", PAYLOADS, rate=RATE, rng=rng, largest=largest)
        self._payloads = {payload.infohash: payload for payload in self.swarm.payloads}
        self.daemon = Daemon(home / "daemon")
        self.root = self.daemon.root.resolve()
        self.sessions: list[str] = []

    def begin(self) -> None:
        """Start the daemon; make the sessions that stay, and torrents that are complete from the start."""
        self.daemon.start()
        client = self.daemon.client()
        for _ in range(2):
            ports = (20000 + 5000 * len(self.sessions), int(PORTS.split(",")[1]))
            self.journal.ask_session(ports)
            session = client.session(memory_only=0, port_range=list(ports))
            self.journal.created(ports, session)
            self.sessions.append(session)
        for session in self.sessions:
            for payload in self.swarm.payloads[:ANCHORS]:
                self._add_anchor(client, session, payload)
        client.close()

    def _add_anchor(self, client: Client, session: str, payload: Payload) -> None:
        key = (session, payload.infohash)
        state = TorrentState(str(self.root / session[:8] / "anchor"), "sparse", stopped=False)
        self.journal.ask({key: state})
        client.ok(
            "POST", f"/v1/sessions/{session}/torrents", magnet=payload.magnet, save_path=state.save_path
        )
        self.journal.answered(key, state)
        until(lambda: key in done_now(self.daemon.state), "a complete torrent to be stored so")

    def keep_evidence(self, number: int) -> None:
        """Put the database of the last death aside."""
        shutil.copytree(self._scratch, self._scratch.with_name(f"database of round {number}"))

    def end(self) -> None:
        """Leave no process."""
        if self.daemon.port:
            self.daemon.kill()
        self.swarm.close()

    # -- a round ---------------------------------------------------------

    def kill(self, longest: float = LONGEST, *, at_least: int = 0, meanwhile: Meanwhile = sleep) -> Round:
        """
        Load, kill -9 at a random moment, start, compare.

        :param longest: seconds of load; :param at_least: so many changes are answered before they begin.
        :param meanwhile: called for the time of the load, with its seconds; it says what was at fault.
        """
        lived = self._rng.uniform(0.0, longest)
        return self._live_and_die(Round(lived=lived), meanwhile, at_least, in_order=False)

    def stop(self, lived: float, *, at_least: int = 0, meanwhile: Meanwhile = sleep) -> Round:
        """Load, SIGTERM, start, compare; the end must have been a clean one."""
        return self._live_and_die(Round(lived=lived), meanwhile, at_least, in_order=True)

    def _die(self, result: Round, *, in_order: bool) -> None:
        if not in_order:
            self.daemon.kill()
            return
        began = time.monotonic()
        try:
            code = self.daemon.stop()
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            result.faults.append("it did not end")
        else:
            if code != 0:
                result.faults.append(f"exit code {code}")
        result.ending = time.monotonic() - began

    def _live_and_die(self, result: Round, meanwhile: Meanwhile, at_least: int, *, in_order: bool) -> Round:
        answers = self.journal.answers
        target = Target(
            self.daemon.port, self.sessions, self.root, self.swarm, self.journal, self.weather, self._client
        )
        load = Load(target, self._rng, self._force)
        load.start()
        try:
            until(lambda: self.journal.answers >= answers + at_least, "changes to be answered")
            result.faults += meanwhile(result.lived, load)
        finally:
            load.end()
            self.weather.begin(DOWN)
            died = time.monotonic()
            self._die(result, in_order=in_order)
            load.join()
        self.journal.died()
        result.faults += load.surprises
        result.answers, result.open = self.journal.answers - answers, self.journal.open
        state = stored(self.daemon.state, self._scratch)
        result.faults += state.faults
        if state.clean != in_order:
            result.faults.append(f"the exit is marked {'clean' if state.clean else 'not clean'}")
        result.faults += self._not_saved(state, died)
        damages = self._damage(state, result)
        if not in_order and self._rng.random() < 0.4:
            self._kill_at_start(result)
        found = self._compare(result, damages)
        self.weather.end(DOWN)
        self.journal.settle(found, state.done)
        return result

    def _not_saved(self, state: Stored, died: float) -> list[str]:
        if self.weather.had(DISK_FULL, died - SAVED_AFTER):
            return []
        return [
            f"{key} was complete {SAVED_WITHIN} s before the end and is not stored so"
            for key in sorted(self.journal.complete(before=died - SAVED_WITHIN) - state.done)
            if key in self.journal.present()
        ]

    def _damage(self, state: Stored, result: Round) -> dict[Key, Damage]:
        """Damage what is complete and runs; what is complete must be whole until then."""
        damages = {}
        for key in sorted(state.done & set(self.journal.free(self.journal.present()))):
            settled = self.journal.settled(key)
            assert settled is not None
            payload = self._payloads[key[1]]
            files = payload.files_in(settled.save_path)
            result.complete += 1
            if differing(files):
                found = payload.compared(settled.save_path)
                result.faults.append(f"{key} is stored as complete, but {found}")
            elif not settled.stopped:
                damages[key] = Damage(self._rng.choice(list(files)))
        result.damaged = len(damages)
        return damages

    def _kill_at_start(self, result: Round) -> None:
        self.daemon.launch()
        result.killed_again = self._rng.uniform(0.0, 1.0)
        time.sleep(result.killed_again)
        self.daemon.kill()
        result.faults += stored(self.daemon.state, self._scratch).faults

    def _compare(self, result: Round, damages: dict[Key, Damage]) -> Found:
        began = time.monotonic()
        self.daemon.start()
        client = self.daemon.client()
        client.ok("GET", "/v1/sessions")
        result.up = time.monotonic() - began
        shown = Restarted(client)
        for damage in damages.values():
            damage.undo()
        client.close()
        if result.up > self._up_within:
            result.faults.append(f"up after {result.up:.1f} s")
        if not shown.listed_at_once:
            result.faults.append("not all was listed at once")
        result.lost = self.journal.unexplained(shown.found)
        result.faults += result.lost
        result.faults += [
            f"{key} was complete and is now {shown.rows.get(key)}"
            for key in damages
            if key not in shown.rows
            or shown.rows[key]["state"] != "seeding"
            or not shown.rows[key]["complete"]
        ]
        result.faults += [
            f"{key} is in state {row['state']}"
            for key, row in shown.rows.items()
            if row["state"] in ("error", "missing_files")
        ]
        result.faults += self._files_at_fault(shown)
        result.faults += self._log_at_fault()
        result.torrents, result.sessions = len(shown.rows), len(shown.found.ports)
        return shown.found

    def _files_at_fault(self, shown: Restarted) -> list[str]:
        faults = [f"{path} should be deleted" for path in sorted(self.journal.deleted) if path.exists()]
        # what the last process left is deleted in the background
        deadline = time.monotonic() + DELETED_WITHIN
        while (left := self._left_behind(shown)) and time.monotonic() < deadline:
            time.sleep(0.02)
        faults += [f"{key} is gone, but left files behind" for key in left]
        return faults + [f"{path} was not to be touched" for path in differing(self.journal.kept)]

    def _left_behind(self, shown: Restarted) -> list[Key]:
        """Torrents whose removal was not answered, that are gone, and whose files are not."""
        return [
            key
            for key, files in self.journal.deleting.items()
            if key not in shown.rows and any(path.exists() for path in files)
        ]

    def _log_at_fault(self) -> list[str]:
        seen, self._tracebacks = self._tracebacks, len(self.daemon.tracebacks())
        return ["a traceback in the log"] if self._tracebacks > seen else []
