"""
``python -m tests.crash.soak [--rounds 20] [--seed N]``: kill a daemon under load again and again.

After each start every change that was answered is there, one that was asked but not answered is wholly there
or wholly absent, and nothing else is; no complete torrent is checked again; the database is sound.
"""

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.aftermath import Damage, Restarted, Stored, done_now, stored
from tests.crash.journal import Found, Journal, Key, TorrentState
from tests.crash.load import ANCHORS, Load, Target
from tests.crash.swarm import Payload, Swarm, differing
from tests.harness import PORTS, Client, Daemon, until

LONGEST = 4.0
"""Seconds of load before a kill, at most."""
SAVED_WITHIN = 3.0
"""Seconds after which a torrent that was seen complete must be stored so; it is saved at once."""
UP_WITHIN = 5.0
DELETED_WITHIN = 5.0
"""Seconds after a start in which files are deleted whose torrent's removal the kill cut short."""
PAYLOADS = 13
RATE = 300_000


@dataclass
class Round:
    """
    What came of one death.

    :ivar faults: what should not be; sentences.
    :ivar damaged: how many complete torrents were damaged to see whether they are checked again.
    """

    faults: list[str] = field(default_factory=list)
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
        again = "" if self.killed_again is None else f" and {self.killed_again:.2f} s into the next start"
        return (
            f"killed after {self.lived:.2f} s{again}; {self.answers} changes answered, {self.open} open; "
            f"up in {self.up:.2f} s with {self.torrents} torrents in {self.sessions} sessions, "
            f"{self.complete} complete, {self.damaged} damaged to see a recheck: "
            f"{'; '.join(self.faults) or 'ok'}"
        )


class Ordeal:
    """
    One daemon's life and deaths.

    :param up_within: seconds in which it must be up again.
    """

    def __init__(self, home: Path, rng: random.Random, *, up_within: float = UP_WITHIN) -> None:
        self._rng = rng
        self._up_within = up_within
        self._scratch = home / "copy"
        self._journal = Journal()
        self._tracebacks = 0
        (home / "swarm").mkdir(parents=True)
        self._swarm = Swarm(home / "swarm", PAYLOADS, rate=RATE, rng=rng)
        self._payloads = {payload.infohash: payload for payload in self._swarm.payloads}
        self.daemon = Daemon(home / "daemon")
        self._root = self.daemon.root.resolve()
        self._sessions: list[str] = []

    def begin(self) -> None:
        """Start the daemon; make the sessions that stay, and torrents that are complete from the start."""
        self.daemon.start()
        client = self.daemon.client()
        for _ in range(2):
            ports = (20000 + 5000 * len(self._sessions), int(PORTS.split(",")[1]))
            self._journal.ask_session(ports)
            session = client.session(memory_only=0, port_range=list(ports))
            self._journal.created(ports, session)
            self._sessions.append(session)
        for session in self._sessions:
            for payload in self._swarm.payloads[:ANCHORS]:
                self._add_anchor(client, session, payload)
        client.close()

    def _add_anchor(self, client: Client, session: str, payload: Payload) -> None:
        key = (session, payload.infohash)
        state = TorrentState(str(self._root / session[:8] / "anchor"), "sparse", stopped=False)
        self._journal.ask({key: state})
        client.ok(
            "POST", f"/v1/sessions/{session}/torrents", magnet=payload.magnet, save_path=state.save_path
        )
        self._journal.answered(key, state)
        until(lambda: key in done_now(self.daemon.state), "a complete torrent to be stored so")

    def keep_evidence(self, number: int) -> None:
        """Put the database of the last death aside."""
        shutil.copytree(self._scratch, self._scratch.with_name(f"database of round {number}"))

    def end(self) -> None:
        """Leave no process."""
        if self.daemon.port:
            self.daemon.kill()
        self._swarm.close()

    # -- a round ---------------------------------------------------------

    def kill(self, longest: float = LONGEST, *, at_least: int = 0) -> Round:
        """
        Load, kill -9 at a random moment, start, compare.

        :param longest: seconds of load; :param at_least: so many changes are answered before they begin.
        """
        return self._live_and_die(self._rng.uniform(0.0, longest), self.daemon.kill, at_least=at_least)

    def stop(self, lived: float, *, at_least: int = 0) -> Round:
        """Load, SIGTERM, start, compare; the end must have been a clean one."""

        def stop() -> None:
            code = self.daemon.stop()
            if code != 0:
                raise AssertionError(f"exit code {code}")

        return self._live_and_die(lived, stop, at_least=at_least, in_order=True)

    def _live_and_die(
        self, lived: float, die: Callable[[], None], *, at_least: int, in_order: bool = False
    ) -> Round:
        result = Round(lived=lived)
        answers = self._journal.answers
        target = Target(self.daemon.port, self._sessions, self._root, self._swarm, self._journal)
        load = Load(target, self._rng)
        load.start()
        until(lambda: self._journal.answers >= answers + at_least, "changes to be answered")
        time.sleep(lived)
        load.end()
        died = time.monotonic()
        die()
        load.join()
        self._journal.died()
        result.faults += load.surprises
        result.answers, result.open = self._journal.answers - answers, self._journal.open
        state = stored(self.daemon.state, self._scratch)
        result.faults += state.faults
        if state.clean != in_order:
            result.faults.append(f"the exit is marked {'clean' if state.clean else 'not clean'}")
        result.faults += self._not_saved(state, died)
        damages = self._damage(state, result)
        if not in_order and self._rng.random() < 0.4:
            self._kill_at_start(result)
        found = self._compare(result, damages)
        self._journal.settle(found, state.done)
        return result

    def _not_saved(self, state: Stored, died: float) -> list[str]:
        return [
            f"{key} was complete {SAVED_WITHIN} s before the end and is not stored so"
            for key in sorted(self._journal.complete(before=died - SAVED_WITHIN) - state.done)
            if key in self._journal.present()
        ]

    def _damage(self, state: Stored, result: Round) -> dict[Key, Damage]:
        """Damage what is complete and runs; what is complete must be whole until then."""
        damages = {}
        for key in sorted(state.done & set(self._journal.free(self._journal.present()))):
            settled = self._journal.settled(key)
            assert settled is not None
            files = self._payloads[key[1]].files_in(settled.save_path)
            result.complete += 1
            if broken := differing(files):
                result.faults.append(f"{key} is stored as complete, but {broken} are not")
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
        result.faults += self._journal.unexplained(shown.found)
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
        faults = [f"{path} should be deleted" for path in sorted(self._journal.deleted) if path.exists()]
        # what the last process left is deleted in the background
        deadline = time.monotonic() + DELETED_WITHIN
        while (left := self._left_behind(shown)) and time.monotonic() < deadline:
            time.sleep(0.02)
        faults += [f"{key} is gone, but left files behind" for key in left]
        return faults + [f"{path} was not to be touched" for path in differing(self._journal.kept)]

    def _left_behind(self, shown: Restarted) -> list[Key]:
        """Torrents whose removal was not answered, that are gone, and whose files are not."""
        return [
            key
            for key, files in self._journal.deleting.items()
            if key not in shown.rows and any(path.exists() for path in files)
        ]

    def _log_at_fault(self) -> list[str]:
        seen, self._tracebacks = self._tracebacks, len(self.daemon.tracebacks())
        return ["a traceback in the log"] if self._tracebacks > seen else []


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="as a run printed it: the same dice again")
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    home = Path(tempfile.mkdtemp(prefix="resttorrent-soak-"))
    _say(f"seed {seed}, in {home}")
    ordeal = Ordeal(home, random.Random(seed))
    failed = 0
    try:
        ordeal.begin()
        for number in range(1, options.rounds + 1):
            result = ordeal.kill()
            if result.faults:
                failed += 1
                ordeal.keep_evidence(number)
            _say(f"{number:3d}. {result}")
    finally:
        ordeal.end()
    _say(f"{options.rounds - failed} of {options.rounds} rounds passed")
    if failed:
        _say(f"the daemon's state and log are left in {home}")
        return 1
    shutil.rmtree(home)
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
