"""The two phases: first a long life in peace, then many short ones."""

import base64
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.load import Force, Load
from tests.crash.ordeal import Meanwhile, Ordeal, Round
from tests.crash.ordeal import sleep as do_nothing
from tests.harness import Client, tiny_torrent, until
from tests.soak.crowd import Crowd
from tests.soak.disks import Disks, Healed
from tests.soak.ground import Ground
from tests.soak.leech import Leech
from tests.soak.samples import Growth, Sampler, growth
from tests.soak.tally import CountedClient, Tally

PEACE, KILL, TERM, STATE, PAYLOAD = "peace", "kill -9", "SIGTERM", "full state disk", "full payload disk"


@dataclass(frozen=True, slots=True)
class Measure:
    """
    How large all is.

    :ivar share: of the crowd; :ivar adders: REST clients with journals; :ivar pace: seconds that they think.
    :ivar longest: seconds of a life of the second phase, at most; :ivar full_for: of a full disk, at least.
    :ivar up_within: seconds in which the daemon must be up again.
    :ivar least_warm_up: seconds; a fifth of the first phase, if that is more; half of it at most.
    :ivar passing: torrents that pass through the daemon at first: of so many it remembers that they were
        there, and memory that only fills what is bounded is no growth.
    :ivar deaf: with clients that do not read, for which the daemon's end waits 10 s.
    """

    share: float
    adders: int
    pace: float
    longest: float
    full_for: float
    up_within: float
    least_warm_up: float
    deaf: bool = True
    passing: int = 0


AT_A_TIME = 200
FIRST_PASSING = 10**6
TINY = 8
"""Torrents of an adder that nobody seeds: few, so that their number soon stays what it is."""
FULL = Measure(1.0, 8, 0.25, 8.0, 4.0, 5.0, 180.0, passing=10_000)
QUICK = Measure(0.2, 3, 0.1, 1.0, 0.5, 30.0, 0.0, deaf=False)


def pass_through(client: Client, count: int) -> None:
    """Add so many torrents and remove them, a few at a time; nothing is left but what is told of them."""
    session = client.session(memory_only=1)
    for first in range(0, count, AT_A_TIME):
        numbers = range(FIRST_PASSING + first, FIRST_PASSING + first + AT_A_TIME)
        files = [{"file": {"base64": base64.b64encode(tiny_torrent(number)).decode()}} for number in numbers]
        path = f"/v1/sessions/{session}/torrents"
        added = client.ok("POST", f"{path}/batch", save_path="passing", autostart=0, torrents=files)
        for result in added["results"]:
            client.ok("DELETE", f"{path}/{result['torrent']['infohash']}")
    client.ok("DELETE", f"/v1/sessions/{session}")


@dataclass
class Deed:
    """A life and how it ended."""

    kind: str
    result: Round


@dataclass
class Outcome:
    """
    All that is to be told.

    :ivar clients: how many there are by REST, and by Socket.IO. :ivar compared: tables that were.
    :ivar faults: sentences.
    """

    tally: Tally
    clients: tuple[int, int] = (0, 0)
    growth: Growth | None = None
    warm_up: float = 0.0
    seconds: list[float] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    healed: list[Healed] = field(default_factory=list)
    compared: int = 0
    downloads: int = 0
    tracebacks: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def lost(self) -> list[str]:
        return [sentence for deed in self.deeds for sentence in deed.result.lost]

    def of_kind(self, *kinds: str) -> Sequence[Round]:
        return [deed.result for deed in self.deeds if deed.kind in kinds]


class Course:
    """
    One soak.

    :param disks: whether the folders of state and payload are disks that may be filled.
    """

    def __init__(self, home: Path, seed: int, measure: Measure, *, disks: bool) -> None:
        self._rng = random.Random(seed)
        self._measure = measure
        self.outcome = Outcome(Tally())
        self._ordeal = Ordeal(
            home,
            self._rng,
            up_within=measure.up_within,
            force=Force(measure.adders, measure.pace, founders=2, tiny=TINY),
            client=self._client,
            largest=1_000_000,
        )
        self._disks = Disks(self._ordeal, measure.full_for) if disks else None
        self._leech_folder = home / "leech"
        self._said = 0

    def _client(self, port: int) -> Client:
        return CountedClient(port, self.outcome.tally)

    def begin(self) -> None:
        ordeal = self._ordeal
        ordeal.begin()
        if self._measure.passing:
            client = ordeal.daemon.client()
            pass_through(client, self._measure.passing)
            client.close()
        self._ground = Ground(ordeal.daemon, ordeal.weather, self.outcome.tally, ordeal.sessions)
        crowd_rng = random.Random(self._rng.random())
        self._crowd = Crowd(self._ground, crowd_rng, self._measure.share, deaf=self._measure.deaf)
        rest = sum(visitor.who.startswith("REST") for visitor in self._crowd.visitors)
        self.outcome.clients = rest + self._measure.adders, len(self._crowd.visitors) - rest
        self._leech = Leech(self._ground, ordeal.swarm.payloads[0], self._leech_folder)
        self._crowd.start()
        self._leech.start()

    def end(self) -> None:
        """All go, and the daemon with them."""
        if hasattr(self, "_leech"):
            self._leech.end()
            self._crowd.end()
            self.outcome.downloads = self._leech.downloads
        self.outcome.tracebacks = len(self._ordeal.daemon.tracebacks()) if self._ordeal.daemon.port else 0
        self._ordeal.end()

    # -- the first phase -------------------------------------------------

    def peace(self, seconds: float) -> Deed:
        """One life, and an orderly end, after which all is as it was answered."""
        began = time.monotonic()

        def watch(lived: float, load: Load) -> list[str]:
            sampler = Sampler(self._ordeal.daemon)
            sampler.start()
            time.sleep(lived)
            sampler.end()
            self.outcome.warm_up = min(max(lived / 5, self._measure.least_warm_up), lived / 2)
            self.outcome.growth = growth(sampler.samples, self.outcome.warm_up)
            return self._compare(lived, load)

        return self._note(PEACE, self._ordeal.stop(seconds, meanwhile=watch), began)

    def _compare(self, lived: float, load: Load) -> list[str]:
        until(lambda: self._ground.keepers, "somebody to have a table")
        with load.held():
            compared = self._crowd.compare()
        self.outcome.compared += compared
        return [] if compared else ["nobody has a table to compare"]

    def _live_and_compare(self, lived: float, load: Load) -> list[str]:
        time.sleep(lived)
        return self._compare(lived, load)

    # -- the second phase ------------------------------------------------

    def war(self, seconds: float) -> "list[Deed]":
        """Lives and deaths by turns, each kind once at least; an orderly end comes after a comparison."""
        began = time.monotonic()
        kinds = [KILL, TERM, *([STATE, PAYLOAD] if self._disks else [])]
        self._rng.shuffle(kinds)
        deeds = []
        while kinds or time.monotonic() - began < seconds:
            kind = kinds.pop() if kinds else self._choose()
            deeds.append(self._live(kind))
        self.outcome.seconds.append(time.monotonic() - began)
        self.outcome.healed = self._disks.healed if self._disks else []
        return deeds

    def _choose(self) -> str:
        weights = {KILL: 4, TERM: 2, **({STATE: 2, PAYLOAD: 2} if self._disks else {})}
        (kind,) = self._rng.choices(list(weights), list(weights.values()))
        return kind

    def _live(self, kind: str) -> Deed:
        meanwhile: Meanwhile = self._live_and_compare if kind == TERM else do_nothing
        if self._disks is not None:
            meanwhile = {STATE: self._disks.fill_state, PAYLOAD: self._disks.fill_payload}.get(
                kind, meanwhile
            )
        if kind == KILL or (kind != TERM and self._rng.random() < 0.5):
            result = self._ordeal.kill(self._measure.longest, meanwhile=meanwhile)
        else:
            result = self._ordeal.stop(self._rng.uniform(0, self._measure.longest), meanwhile=meanwhile)
        return self._note(kind, result)

    def _note(self, kind: str, result: Round, began: float | None = None) -> Deed:
        ground = self._ground
        result.faults += ground.faults[self._said :]
        self._said = len(ground.faults)
        deed = Deed(kind, result)
        self.outcome.deeds.append(deed)
        self.outcome.faults += [f"{kind}: {fault}" for fault in result.faults]
        if began is not None:
            self.outcome.seconds.append(time.monotonic() - began)
        return deed
