"""The upgrade at every interleaving: nothing lost, nothing twice, in order."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio.eio_packet import EioVersion

from .upgrading import World


class AnyOrder(RuleBasedStateMachine):
    """Long walks through the world, all steps allowed."""

    world: World | None = None

    @initialize(eio=st.sampled_from((3, 4)))
    def begin(self, eio: EioVersion) -> None:
        self.world = World(eio, {})

    @precondition(lambda self: self.world is not None)
    @rule(data=st.data())
    def step(self, data: Any) -> None:
        assert self.world is not None
        self.world.take(data.draw(st.sampled_from(self.world.steps())))

    def teardown(self) -> None:
        if self.world is not None:
            self.world.finish()


class UpgradeTests(SynchronousTestCase):
    def test_walks(self) -> None:
        """Any steps, in any order, any number of them."""
        run_state_machine_as_test(
            AnyOrder, settings=settings(deadline=None, max_examples=150, stateful_step_count=60)
        )

    def assertAllWalks(self, eio: EioVersion, budget: dict[str, int]) -> int:
        """Take every walk that a budget allows, to its end; how many there are."""
        walks = 0
        choices: list[tuple[int, int]] = []
        while True:
            choices = self._walk(eio, budget, [choice for choice, _ in choices])
            walks += 1
            while choices and choices[-1][0] + 1 == choices[-1][1]:
                choices.pop()
            if not choices:
                return walks
            choices[-1] = (choices[-1][0] + 1, choices[-1][1])

    def _walk(self, eio: EioVersion, budget: dict[str, int], prefix: list[int]) -> list[tuple[int, int]]:
        """One walk: as told, then always the first step; each choice with how many there were."""
        world = World(eio, budget)
        choices: list[tuple[int, int]] = []
        while steps := world.steps():
            choice = prefix[len(choices)] if len(choices) < len(prefix) else 0
            choices.append((choice, len(steps)))
            world.take(steps[choice])
        world.finish()
        return choices

    NEVER = (
        "pause",
        "resume",
        "tick",
        "lose_probe",
        "intrude",
        "client_pings",
        "client_sends",
        "server_sends",
    )

    def budget(self, **some: int) -> dict[str, int]:
        """Each request and each step of the upgrade once, and what else is given."""
        once = dict.fromkeys(("get", "begin_post", "open_channel", "say_probe", "say_upgrade"), 1)
        return {**dict.fromkeys(self.NEVER, 0), **once, **some}

    def test_server_sends(self) -> None:
        self.assertGreater(self.assertAllWalks(3, self.budget(server_sends=2)), 200)
        self.assertGreater(self.assertAllWalks(4, self.budget(server_sends=2, get=2)), 800)

    def test_client_sends(self) -> None:
        self.assertGreater(self.assertAllWalks(4, self.budget(client_sends=2, get=0)), 100)
        self.assertGreater(self.assertAllWalks(3, self.budget(client_pings=1, client_sends=1, get=0)), 300)

    def test_back_pressure(self) -> None:
        self.assertGreater(self.assertAllWalks(4, self.budget(server_sends=1, pause=1, resume=1)), 1000)

    def test_second_probe(self) -> None:
        budget = self.budget(server_sends=1, lose_probe=1, open_channel=2, say_probe=2, begin_post=0)
        self.assertGreater(self.assertAllWalks(4, budget), 700)

    def test_time(self) -> None:
        """A probe that takes too long, pings in between."""
        budget = self.budget(server_sends=1, tick=2, begin_post=0, get=0)
        self.assertGreater(self.assertAllWalks(4, budget), 300)
