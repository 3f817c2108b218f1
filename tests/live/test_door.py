"""Commands by Socket.IO: what comes in, what runs, what is answered."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.live import door as door_module

from .house import House


class DoorCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.world = self.house.world
        self.visitor = self.house.visitor()

    def assertFails(self, answer: Any, code: str, field: str | None = None) -> None:
        self.assertEqual((answer["status"], answer["code"], answer.get("field")), ("fail", code, field))
        self.assertIsInstance(answer["message"], str)


class AnswerTests(DoorCase):
    def test_command(self) -> None:
        self.visitor.call("say", t_id="1", text="hello", number=7)
        self.assertEqual(
            self.visitor.told(), [{"status": "success", "text": "hello", "number": 7, "t_id": "1"}]
        )

    def test_acknowledgement_too(self) -> None:
        """The same object goes both ways, the event first."""
        self.visitor.call("say", t_id="1", text="é€𝄞", ack=12)
        answer = {"status": "success", "text": "é€𝄞", "number": 0, "t_id": "1"}
        self.assertEqual(self.visitor.told(), [answer, ["ack", 12, answer]])

    def test_acknowledgement_of_an_error(self) -> None:
        self.visitor.call("no_such_command", t_id="1", ack=0)
        event, (kind, number, acknowledged) = self.visitor.told()
        self.assertFails(event, "not_found", "command")
        self.assertEqual((kind, number, acknowledged), ("ack", 0, event))

    def test_kinds_of_t_id(self) -> None:
        """Text and numbers come back as they were."""
        for t_id in ("", "x" * 1000, "é€𝄞\x00", 0, -1, 7, 1.5, 2**53, 10**25, '"},"t_id":"'):
            answer = self.visitor.answer("say", text="x", t_id=t_id)
            self.assertEqual((answer["t_id"], type(answer["t_id"])), (t_id, type(t_id)))

    def test_no_t_id(self) -> None:
        """None is fine, and what is neither text nor a number counts as none."""
        self.assertNotIn("t_id", self.visitor.answer("say", text="x"))
        for t_id in (None, True, [1], {"a": 1}):
            answer = self.visitor.answer("say", text="x", t_id=t_id)
            self.assertEqual((answer["status"], "t_id" in answer), ("success", False))

    def test_tagged(self) -> None:
        self.assertEqual(self.visitor.answer("say_tagged")["text"], "tagged")

    def test_former_name(self) -> None:
        self.assertEqual(self.visitor.answer("tell", text="x")["text"], "x")

    def test_file(self) -> None:
        """As an attachment, and as base64 in text."""
        head = '451-["v1",{"command":"weigh","t_id":1,"file":{"_placeholder":true,"num":0}}]'
        self.visitor.channel.send(head, bytes(range(256)))
        self.assertEqual(
            self.visitor.told(), [{"status": "success", "text": "00010203", "number": 256, "t_id": 1}]
        )
        answer = self.visitor.answer("weigh", file={"base64": "AAECAw=="})
        self.assertEqual((answer["text"], answer["number"]), ("00010203", 4))


class ErrorTests(DoorCase):
    def test_unknown_command(self) -> None:
        answer = self.visitor.answer("sya", t_id="1")
        self.assertFails(answer, "not_found", "command")
        self.assertIn("did you mean say?", answer["message"])
        self.assertEqual(answer["t_id"], "1")

    def test_no_command(self) -> None:
        for message in ({}, {"command": None}, {"command": 1}, {"command": ["say"]}, {"t_id": "1"}):
            self.visitor.say(message)
            (answer,) = self.visitor.told()
            self.assertFails(answer, "bad_parameter", "command")

    def test_unknown_event(self) -> None:
        for name in ("v2", "", "V1", "x" * 100_000):
            self.visitor.say({"command": "say", "text": "x"}, name=name, ack=1)
            answer, (_, _, acknowledged) = self.visitor.told()
            self.assertFails(answer, "not_found", "event")
            self.assertLess(len(answer["message"]), 200)
            self.assertEqual(acknowledged, answer)

    def test_event_named_by_a_number(self) -> None:
        self.visitor.channel.send("42[1,{}]")
        self.assertFails(self.visitor.told()[0], "not_found", "event")

    def test_other_arguments(self) -> None:
        """One object, nothing else."""
        cases: tuple[list[Any], ...] = ([], [1], [None], ["say"], [[{}]], [{}, {}], [{"command": "say"}, 1])
        for arguments in cases:
            self.visitor.channel.send(f"42{json.dumps(['v1', *arguments])}")
            self.assertFails(self.visitor.told()[0], "bad_parameter")

    def test_parameters(self) -> None:
        self.assertFails(self.visitor.answer("say"), "bad_parameter", "text")
        self.assertFails(self.visitor.answer("say", text="x", number=100), "bad_parameter", "number")
        self.assertFails(self.visitor.answer("say", text="x", nmber=1), "unknown_parameter", "nmber")

    def test_error_of_a_command(self) -> None:
        """What can't be written in UTF-8 is replaced."""
        answer = self.visitor.answer("miss", t_id=1)
        self.assertFails(answer, "session_not_found", "session_id")
        self.assertEqual((answer["message"], answer["t_id"]), ("no such session ?", 1))

    def test_unexpected_error(self) -> None:
        """It is logged with the command's name, the client gets an answer, and the next one too."""
        self.visitor.call("divide", t_id="1", ack=3)
        answer, (_, _, acknowledged) = self.visitor.told()
        self.assertFails(answer, "internal_error")
        self.assertEqual((answer["t_id"], acknowledged), ("1", answer))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.visitor.answer("say", text="x")["status"], "success")


class SideBySideTests(DoorCase):
    def test_answered_as_ready(self) -> None:
        for name in ("a", "b", "c"):
            self.visitor.call("look", name=name, t_id=name)
        self.assertEqual(self.visitor.told(), [])
        self.assertEqual(self.visitor.answer("say", text="x")["text"], "x")
        for name in ("b", "c", "a"):
            self.world.waiting[name].callback(None)
            self.assertEqual([answer["t_id"] for answer in self.visitor.told()], [name])

    def test_client_leaves(self) -> None:
        """Who looked is no longer served; what changes something is done to its end."""
        other = self.house.visitor()
        other.call("look", name="other")
        self.visitor.call("look", name="look")
        self.visitor.call("change", name="change")
        self.visitor.leave()
        self.assertEqual(self.world.ended, {"look": "broken off"})
        self.world.waiting["change"].callback(None)
        self.assertEqual(self.world.ended, {"look": "broken off", "change": "done"})
        self.assertEqual(list(self.world.waiting), ["other"])
        self.assertEqual(self.visitor.told(), [])
        other.leave()
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_client_leaves_its_namespace(self) -> None:
        self.visitor.call("look", name="look")
        self.visitor.channel.send("41")
        self.assertEqual(self.world.ended, {"look": "broken off"})
        self.assertEqual(self.visitor.told(), [])

    def test_most_running(self) -> None:
        self.patch(door_module, "MOST_RUNNING", 3)
        for number in range(3):
            self.visitor.call("look", name=str(number))
        self.assertFails(self.visitor.answer("say", text="x"), "too_many")
        self.assertEqual(self.house.visitor().answer("say", text="x")["text"], "x")
        self.world.waiting["1"].callback(None)
        self.visitor.told()
        self.assertEqual(self.visitor.answer("say", text="x")["text"], "x")

    def test_many_at_once(self) -> None:
        """When a turn has lasted long, the rest waits for the next."""
        self.house.busy = 1.0
        for number in range(3):
            self.visitor.call("say", text=str(number))
        self.assertEqual(self.visitor.told(), [])
        self.house.clock.advance(0)
        self.assertEqual([answer["text"] for answer in self.visitor.told()], ["0", "1", "2"])

    def test_client_leaves_before_its_turn(self) -> None:
        self.house.busy = 1.0
        self.visitor.call("change", name="a")
        self.visitor.call("say", text="x")
        self.visitor.leave()
        self.house.clock.advance(0)
        self.assertEqual(list(self.world.waiting), ["a"])
        self.world.waiting["a"].callback(None)
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_answer_that_nobody_reads(self) -> None:
        """A client that asks for more than it reads is put out; the command is not disturbed."""
        assert self.visitor.channel.connection is not None
        self.visitor.channel.connection.pause(self.visitor.channel)
        self.patch(door_module, "encoded", lambda answer, t_id: b'"%b"' % (b"x" * 40_000_000))
        self.visitor.call("say", text="x")
        self.assertEqual(self.visitor.channel.dropped, 0)
        self.visitor.call("say", text="x")
        self.assertEqual(self.visitor.channel.dropped, 1)
        self.assertEqual(self.house.clock.getDelayedCalls(), [])


class DrainTests(DoorCase):
    def test_nothing_runs(self) -> None:
        self.house.door.drain()
        self.assertIsNone(self.successResultOf(self.house.door.drained()))

    def test_running(self) -> None:
        """Who looks is told that the daemon stops; what changes something is waited for."""
        for name in ("look", "change"):
            self.visitor.call(name, name=name, t_id=name)
        self.house.door.drain()
        (answer,) = self.visitor.told()
        self.assertFails(answer, "stopping")
        self.assertEqual(answer["t_id"], "look")
        first, second = self.house.door.drained(), self.house.door.drained()
        self.assertNoResult(first)
        self.assertFails(self.visitor.answer("say", text="x"), "stopping")
        self.world.waiting["change"].callback(None)
        self.assertEqual(self.visitor.told()[0]["status"], "success")
        self.successResultOf(first)
        self.successResultOf(second)

    def test_waiting_no_longer(self) -> None:
        self.visitor.call("change", name="change")
        waiting = self.house.door.drained()
        waiting.addErrback(lambda failure: None)
        waiting.cancel()
        self.world.waiting["change"].callback(None)
        self.assertEqual(self.visitor.told()[0]["status"], "success")

    def test_clients_gone(self) -> None:
        """What a client that has left began is waited for as well."""
        self.visitor.call("change", name="change")
        self.visitor.leave()
        drained = self.house.door.drained()
        self.assertNoResult(drained)
        self.world.waiting["change"].callback(None)
        self.successResultOf(drained)

    def test_new_clients(self) -> None:
        self.house.door.drain()
        self.assertFails(self.house.visitor().answer("say", text="x"), "stopping")
