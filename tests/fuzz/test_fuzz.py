"""A hundredth of what ``python -m tests.fuzz`` does, always the same; and that its judges judge."""

import random
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.callers import ADMIN, CALLERS, STRANGER
from tests.fuzz.frames import spoilt
from tests.fuzz.fuzzing import Fuzz, Look
from tests.fuzz.oracle import Told, Wrong, answers_in, check_shape
from tests.fuzz.seeds import Place, Seeds
from tests.fuzz.world import Call, World
from tests.socketio.wire import TEXT, masked_frame


class FuzzTests(SynchronousTestCase):
    """Threat table, *Anything that comes*: nothing takes the daemon down, or gets what it may not."""

    def test_mutants(self) -> None:
        fuzz = Fuzz(20141)
        fuzz.run(2000)
        # neither all refused nor all let in
        for door, caller, outcome in (
            ("http", "admin", "200"), ("http", "admin", "201"), ("http", "admin", "400"),
            ("http", "read", "403"), ("http", "stranger", "401"), ("http", "stranger", "200"),
            ("polling", "admin", "success"), ("polling", "read", "not_allowed"),
            ("polling", "stranger", "connect_error"), ("websocket", "control", "success"),
            ("websocket", "read", "not_allowed"), ("websocket", "admin", "close"),
            ("websocket", "stranger", "connect_error"),
        ):  # fmt: skip
            self.assertGreater(fuzz.seen[door, caller, outcome], 0, (door, caller, outcome))

    def test_nobody_has_anothers_token(self) -> None:
        for caller in CALLERS:
            seeds = Seeds(caller, Place())
            for raw in (*seeds.requests, *seeds.posts, caller.connect, seeds.target("polling", 3)):
                for other in CALLERS:
                    self.assertFalse(other.token and other is not caller and other.token.encode() in raw)

    def test_what_is_right_is_among_it(self) -> None:
        """The seeds themselves are let in, so that a mutant is one accident away from that."""
        world, seeds = World(), Seeds(ADMIN, Place())
        for raw in seeds.requests:
            wire = world.connect()
            wire.send(raw)
            world.settle()
            wire.lose()
        done = {call.name for call in world.calls}
        self.assertLessEqual({"add_torrent", "delete_session", "create_token", "subscribe", "login"}, done)

    def test_frames_are_of_all_kinds(self) -> None:
        chance = random.Random(1)
        packet = b'42["v1",{}]'
        firsts = {b"".join(spoilt(chance, packet))[0] for _ in range(500)}
        self.assertGreater(len(firsts), 20)


class JudgeTests(SynchronousTestCase):
    def test_shape(self) -> None:
        check_shape(400, b'{"status":"fail","message":"no","code":"bad_request"}')
        check_shape(400, b'{"code":1,"message":"Session ID unknown"}')
        for body in (
            b"x",
            b'{"status":"success"}',
            b'{"status":"fail","message":"","code":"x"}',
            b'{"status":"fail","message":"m","code":"x","trace":"y"}',
            b'{"status":"fail","message":"m","code":"internal_error"}',
        ):
            self.assertRaises(Wrong, check_shape, 500, body)

    def test_answers(self) -> None:
        answers, rest = answers_in(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 101 Up\r\n\r\n\x81\x00"
        )
        self.assertEqual(([answer.status for answer in answers], rest), ([200, 101], b"\x81\x00"))
        self.assertRaises(Wrong, answers_in, b"<html>")
        self.assertRaises(Wrong, answers_in, b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops")

    def test_frames(self) -> None:
        told = Told()
        event = b'42["v1",{"status":"success"}]'
        told.framed(b"\x81%c%b" % (len(event), event))
        self.assertEqual(told.successes, 1)
        for raw in (
            masked_frame(TEXT, event),
            b"\x01\x00",
            b"\x81\x02x",
            b"\x819" + b'42["v1",{"status":"no"}]',
        ):
            self.assertRaises(Wrong, told.framed, raw)

    def test_what_was_done(self) -> None:
        for call, caller, successes, changes in (
            (Call("get_session_list", "read", is_safe=True), STRANGER, 1, 0),
            (Call("get_session_list", "read", is_safe=True), ADMIN, 0, 0),
            (Call("get_session_list", "read", is_safe=True), ADMIN, 1, 1),
            (None, ADMIN, 0, 1),
        ):
            world: Any = SimpleNamespace(calls=[], changes=0)
            world.state = lambda world=world: world.changes
            look = Look(world, caller)
            world.calls += [] if call is None else [call]
            world.changes = changes
            self.assertRaises(Wrong, look.judge, successes)

    def test_what_stays(self) -> None:
        world = World()
        self.assertEqual(world.left_behind(), {})
        wire = world.connect()
        self.assertEqual(world.left_behind()["connections"], 1)
        wire.lose()
        self.assertEqual(world.left_behind(), {})
