"""
Commands from Socket.IO clients of every age: by polling, by WebSocket and by the upgrade.

One test has one daemon, and a client for each transport.
"""

import base64
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.clients.case import NAME, TEXT, ClientTestCase, magnet
from tests.clients.drivers import Socket
from tests.harness import tiny_torrent

if TYPE_CHECKING:
    Base = ClientTestCase
else:
    Base = object
FLOOD = 500
FLOOD_BY_POLLING = 100
# Bytes on the wire.
LONG_POLL, LONG_FRAME = 600_000, 2**19
ON_THE_WIRE = {"node 1": 18, "python sync": 24, "python async": 24}
"""Bytes that TEXT becomes: some clients write \\ud834\\udd1e, and the oldest encodes twice when it polls."""


class Calls(Base):
    """Each kind of client inherits these tests."""

    session = ""

    def test_calls(self) -> None:
        self.session = self.rest.session()
        for number, socket in enumerate(self.sockets()):
            self.check_call(socket)
            self.check_ids(socket)
            self.check_errors(socket)
            self.check_names(socket, number)
            self.check_files(socket, number)
            self.check_long_text(socket)
            self.check_flood(socket)
        # before it has connected, and while it changes over
        self.check_flood(Socket(self.driver, self.daemon.port, "upgrade", settled=False))

    def answers(self, socket: Socket, t_id: Any) -> list[Any]:
        """The events that answer one call."""
        return [answer for answer in socket.said("v1") if answer.get("t_id") == t_id]

    def answer(self, socket: Socket, t_id: Any) -> Any:
        (answer,) = socket.wait(lambda: self.answers(socket, t_id), f"the answer to {t_id!r:.40}")
        return answer

    def check_call(self, socket: Socket) -> None:
        """The acknowledgement and the event are the same; without a callback there is the event."""
        call = {"t_id": "1", "command": "create_session", "ports": [20000, 40000]}
        created = socket.call(**call)
        self.assertEqual((created["status"], created["t_id"]), ("success", "1"))
        self.assertEqual(self.answer(socket, "1"), created)
        self.assertEqual(
            self.rest.ok("GET", f"/v1/sessions/{created['session']['id']}")["ports"], [20000, 40000]
        )

        socket.emit(t_id="2", command="get_session", session_id=created["session"]["id"])
        self.assertEqual(self.answer(socket, "2")["id"], created["session"]["id"])

    def check_ids(self, socket: Socket) -> None:
        """A t_id comes back as what it was, and may be missing."""
        for t_id in (7, 0, "7", "", -1.5, 2**53 - 1):
            answer = socket.call(t_id=t_id, command="get_session_list")
            self.assertEqual((answer["status"], answer["t_id"]), ("success", t_id))
            self.assertIs(type(answer["t_id"]), type(t_id))
        answer = socket.call(command="get_session_list")
        self.assertEqual(answer["status"], "success")
        self.assertNotIn("t_id", answer)
        socket.wait(lambda: answer in socket.said("v1"), "the answer without t_id")

    def check_errors(self, socket: Socket) -> None:
        """Failures are REST's, and are told both ways."""
        wrong = {"ports": "no port"}
        failure = self.rest.call("POST", "/v1/sessions", **wrong).json
        self.assertEqual((failure["code"], failure["field"]), ("bad_parameter", "port_range"))
        answer = socket.call(t_id="wrong", command="create_session", **wrong)
        self.assertEqual(answer, {**failure, "t_id": "wrong"})
        self.assertEqual(self.answer(socket, "wrong"), answer)

        answer = socket.call(t_id="unknown", command="get_sesion_list")
        self.assertEqual((answer["status"], answer["code"]), ("fail", "not_found"))
        self.assertIn("get_session_list", answer["message"])
        self.assertEqual(self.answer(socket, "unknown"), answer)

    def check_flood(self, socket: Socket) -> None:
        """Many calls in flight: each is answered once, as its own."""
        count = FLOOD_BY_POLLING if socket.transport == "polling" else FLOOD
        before = len(socket.said("v1"))
        commands = ("get_session_list", "get_sesion_list")
        calls = [{"t_id": n, "command": commands[n % 2]} for n in range(count)]
        expected = [(n, "fail" if n % 2 else "success") for n in range(count)]
        answers = socket.call_all(calls)
        self.assertEqual([(answer["t_id"], answer["status"]) for answer in answers], expected)

        socket.emit(t_id="after the flood", command="get_session_list")
        self.answer(socket, "after the flood")
        socket.wait(lambda: len(socket.said("v1")) > before + count, "the events of all calls")
        told = socket.said("v1")[before:]
        counted = Counter((answer["t_id"], answer["status"]) for answer in told)
        self.assertEqual(counted, Counter([*expected, ("after the flood", "success")]))

    def check_names(self, socket: Socket, number: int) -> None:
        """The daemon understands what it is sent, and a client what the daemon has from elsewhere."""
        parameters = {"session_id": self.session, "save_path": ".", "autostart": 0}
        added = socket.call(command="add_torrent", magnet=magnet(2 * number + 1, NAME), **parameters)
        self.assertEqual((added["status"], added["torrent"]["name"]), ("success", NAME))
        path = f"/v1/sessions/{self.session}/torrents"
        self.assertEqual(self.rest.ok("GET", f"{path}/{added['infohash']}")["torrent"]["name"], NAME)

        theirs = self.rest.ok("POST", path, magnet=magnet(2 * number + 2, NAME), save_path=".", autostart=0)
        shown = socket.call(command="get_torrent", session_id=self.session, infohash=theirs["infohash"])
        self.assertEqual(shown["torrent"]["name"], NAME)

    def check_long_text(self, socket: Socket) -> None:
        size = LONG_POLL if socket.transport == "polling" else LONG_FRAME
        text = TEXT * (size // ON_THE_WIRE.get(self.kind, len(TEXT.encode())))
        answer = socket.call(t_id=text, command="get_session_list")
        self.assertTrue(answer["t_id"] == text, "the acknowledgement")
        self.assertEqual(self.answer(socket, text), answer)

    def check_files(self, socket: Socket, number: int) -> None:
        """A .torrent as binary data, and as base64."""
        for form in ("$bytes", "base64"):
            torrent = tiny_torrent(2 * number + (form == "base64"))
            file = {form: base64.b64encode(torrent).decode()}
            parameters = {"session_id": self.session, "save_path": ".", "autostart": 0}
            added = socket.call(t_id=form, command="add_torrent", file=file, **parameters)
            self.assertEqual((added["status"], added["t_id"]), ("success", form))
            self.assertEqual(added["torrent"]["name"], f"tiny {2 * number + (form == 'base64')}")
            self.assertEqual(self.answer(socket, form), added)


class Node1CallTests(Calls, ClientTestCase):
    kind = "node 1"


class Node2CallTests(Calls, ClientTestCase):
    kind = "node 2"


class Node3CallTests(Calls, ClientTestCase):
    kind = "node 3"


class Node4CallTests(Calls, ClientTestCase):
    kind = "node 4"


class PythonCallTests(Calls, ClientTestCase):
    kind = "python sync"


class PythonAsyncCallTests(Calls, ClientTestCase):
    kind = "python async"
