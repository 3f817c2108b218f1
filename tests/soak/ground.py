"""Where the clients of a soak meet the daemon, and what they share."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.clients.table import Rows
from tests.crash.ordeal import DOWN
from tests.crash.weather import Weather
from tests.harness import Daemon
from tests.soak.tally import Tally

FIELDS = "infohash,name,state,save_path,memory_only,complete"
"""What tables are kept of: nothing that changes by itself once the swarm is at rest."""
MOST_FAULTS = 50


class Wrong(Exception):
    """An answer, or what came of one, that is not as it should be."""


@dataclass
class Ground:
    """
    :ivar sessions: ids of those that stay.
    :ivar faults: sentences; of those beyond ``MOST_FAULTS`` only the number is known.
    :ivar holding: while true those who keep tables stay, so that these can be compared.
    :ivar keepers: who has a table at the moment.
    :ivar founding: held by who looks for the memory-only session, and makes it.
    """

    daemon: Daemon
    weather: Weather
    tally: Tally
    sessions: Sequence[str]
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0
    holding: bool = False
    keepers: "set[Keeper]" = field(default_factory=set)
    founding: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def port(self) -> int:
        return self.daemon.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_down(self) -> bool:
        return self.weather.had(DOWN, float("inf"))

    def token(self) -> str:
        """The daemon's first one."""
        return (self.daemon.state / "token").read_text().strip()

    def complain(self, fault: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def failed(self, who: str, error: Exception, since: float) -> None:
        """
        A visit ended so; that is a fault, unless the daemon was down meanwhile.

        :param since: when it began, monotonic seconds.
        """
        if isinstance(error, Wrong) or not self.weather.had(DOWN, since):
            self.complain(f"{who}: {error!r}")


class Visitor:
    """A client that comes, does something, and goes, again and again."""

    who: ClassVar[str]

    def __init__(self, ground: Ground, rng: random.Random) -> None:
        self.ground = ground
        self.rng = rng

    async def visit(self) -> None:
        """
        Come, do it, go.

        :raises Wrong: if the daemon is to blame; whatever else is raised is its fault as well, if it is up.
        """
        raise NotImplementedError

    def count(self, answer: int | str, seconds: float | None = None) -> None:
        self.ground.tally.count(self.who, answer, seconds)


class Keeper(Visitor):
    """
    One that keeps a table of a session.

    :ivar rows: the table; :ivar rev: its revision, 0 before the first.
    """

    def __init__(self, ground: Ground, rng: random.Random) -> None:
        super().__init__(ground, rng)
        self.session = rng.choice(ground.sessions)
        self.rows: Rows = {}
        self.rev = 0

    async def stay(self, seconds: float) -> None:
        """Keep the table, for so long and as long as all are held, if the connection lasts."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        self.ground.keepers.add(self)
        try:
            while (loop.time() < end or self.ground.holding) and not self.is_cut:
                await asyncio.sleep(0.1)
        finally:
            self.ground.keepers.discard(self)

    @property
    def is_cut(self) -> bool:
        return False

    def check(self, status: int, answer: Any) -> Any:
        """
        An answer that must be a success.

        :raises Wrong: if it is not; :raises ConnectionError: if the daemon is being stopped.
        """
        if status in (200, 201):
            return answer
        if answer.get("code") in ("stopping", "loading"):
            raise ConnectionError(answer["code"])
        raise Wrong(f"{status} {answer}")
