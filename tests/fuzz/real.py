"""
The same requests at a real daemon with real sessions and files: what was refused has changed nothing.

Only for a network namespace with nothing but loopback, where whatever a mutant makes the daemon call goes
nowhere; ``python -m tests.fuzz --real`` sees to that.
"""

import json
import random
import socket
import tempfile
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.engine.hostile import HASH
from tests.fuzz.callers import CALLERS, Caller
from tests.fuzz.fuzzing import ODD
from tests.fuzz.mutate import mutated
from tests.fuzz.oracle import Answer, Wrong, answers_in
from tests.fuzz.seeds import Place, Seeds
from tests.harness import Daemon, contents

PATIENCE = 10.0
MAGNET = f"magnet:?xt=urn:btih:{HASH}"
QUIET = 0.02
"""Seconds after which a client that was not answered hangs up: its request is not whole, or waits."""


class RealFuzz:
    """:ivar seen: how many answers there were of each status, by caller."""

    def __init__(self, seed: int, home: Path) -> None:
        self._chance = random.Random(seed)
        self.seen: Counter[tuple[str, str, str]] = Counter()
        self._daemon = Daemon(home, "--auth", "always")
        self._token = ""
        self._owes = False

    def run(self, count: int) -> None:
        """
        Try ``count`` cases.

        :raises Wrong: at the first that goes wrong.
        """
        self._daemon.start()
        try:
            self._token = (self._daemon.state / "token").read_text().strip()
            self._client = self._daemon.client()
            self._furnish()
            for number in range(count):
                self._case(number)
            if self._daemon.tracebacks():
                raise Wrong(f"{self._daemon.tracebacks()} in the log")
            self._client.close()
            if self._daemon.stop() != 0:
                raise Wrong("the daemon did not stop in order")
        finally:
            if self._daemon.is_running:
                self._daemon.kill()

    # -- the owner -------------------------------------------------------

    def _ask(self, method: str, path: str, **parameters: Any) -> Any:
        query, body, headers = "", None, {"Authorization": f"Bearer {self._token}"}
        if method == "GET" and parameters:
            query = "?" + urllib.parse.urlencode(parameters)
        elif parameters:
            body, headers["Content-Type"] = json.dumps(parameters).encode(), "application/json"
        answer = self._client.request(method, path + query, body, headers)
        if answer.status not in (200, 201):
            raise Wrong(f"the owner's {method} {path} is {answer.status} {answer.body[:300]!r}")
        return answer.json

    def _furnish(self) -> None:
        """Make what the cases are about, and read how all is."""
        tokens = {"admin": self._token}
        for scope in ("read", "control", "admin"):
            tokens[scope] = self._ask("POST", "/v1/tokens", name="fuzz", scopes=scope)["secret"]
        spare = self._ask("POST", "/v1/tokens", name="spare", scopes="read")["token"]["id"]
        session = self._ask("POST", "/v1/sessions", port_range="20000,40000", memory_only=0)["session"]["id"]
        (self._daemon.root / "payload").mkdir(exist_ok=True)
        (self._daemon.root / "payload" / "tiny 1").write_bytes(b"x" * 1000)
        self._ask("POST", f"/v1/sessions/{session}/torrents", magnet=MAGNET, save_path="payload", autostart=0)
        place = Place(session, HASH, spare)
        callers = [Caller(one.scope, tokens.get(one.scope, ""), one.may) for one in CALLERS]
        self._seeds = {caller.scope: Seeds(caller, place) for caller in callers}
        self._state = self._look()

    def _look(self) -> Mapping[str, object]:
        """All that is kept, but for what the daemon counts and for when a token was used."""
        sessions = self._ask("GET", "/v1/sessions")["sessions"]
        tokens = self._ask("GET", "/v1/tokens")["tokens"]
        fields = "infohash,name,state,save_path,added_time"
        return {
            "sessions": [{name: row[name] for name in ("id", "port", "torrents")} for row in sessions],
            "torrents": [
                self._ask("GET", f"/v1/sessions/{row['id']}/torrents", fields=fields)["torrents"]
                for row in sessions
            ],
            "tokens": sorted((row["id"], row["name"], tuple(row["scopes"])) for row in tokens),
            "files": contents(self._daemon.root),
        }

    # -- a case ----------------------------------------------------------

    def _case(self, number: int) -> None:
        scope = self._chance.choice(CALLERS).scope
        seeds = self._seeds[scope]
        if self._chance.random() < ODD:
            raw = seeds.odd_request(self._chance)
        else:
            raw = mutated(self._chance, self._chance.choice(seeds.requests), seeds.requests)
        try:
            answers = self._answers(raw)
            self.seen.update(("real", scope or "stranger", str(answer.status)) for answer in answers)
            state = self._look()
            done = any(answer.is_success for answer in answers)
            may = scope in ("control", "admin")
            if state != self._state and not (done and may) and not self._owes:
                raise Wrong(f"{self._state} became {state}")
            # what it asked for may be done after it has hung up
            self._owes = may and not answers
            if state != self._state:
                self._begin_anew()
        except Exception as error:
            raise Wrong(f"case {number}, {scope or 'a stranger'}: {error!r} after {raw!r}") from error

    def _answers(self, raw: bytes) -> list[Answer]:
        with socket.create_connection(("127.0.0.1", self._daemon.port), PATIENCE) as wire:
            received = b""
            with suppress(ConnectionError, TimeoutError):
                wire.sendall(raw)
                wire.settimeout(QUIET)
                while piece := wire.recv(65536):
                    received += piece
        return answers_in(received)[0]

    def _begin_anew(self) -> None:
        """Something was done, as it should be: take it back, so that the next case finds what it is about."""
        for row in self._ask("GET", "/v1/sessions")["sessions"]:
            self._ask("DELETE", f"/v1/sessions/{row['id']}")
        for row in self._ask("GET", "/v1/tokens")["tokens"]:
            if row["name"] != "first":
                self._ask("DELETE", f"/v1/tokens/{row['id']}")
        self._furnish()


def fuzz_real(seed: int, count: int) -> RealFuzz:
    """
    Run in a folder that is gone afterwards.

    :raises Wrong: as ``RealFuzz.run``.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as home:
        fuzz = RealFuzz(seed, Path(home))
        fuzz.run(count)
    return fuzz
