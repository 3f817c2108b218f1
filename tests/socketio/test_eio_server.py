"""Who may open a session."""

import json

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio import Limits, Refused, Timing
from resttorrent.socketio.eio_server import EngineServer

from .stage import all_outputs

POLLING = {"EIO": "4", "transport": "polling"}
WEBSOCKET = {"EIO": "4", "transport": "websocket"}


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = EngineServer(Timing(), Limits())

    def refusal(self, query: dict[str, str], method: str = "GET", *, websocket: bool = False) -> int:
        with self.assertRaises(Refused) as raised:
            self.server.check(query, method=method, websocket=websocket)
        refused = raised.exception
        self.assertEqual((refused.status, refused.body()["code"]), (400, refused.code))
        code: int = refused.code
        return code

    def test_fine(self) -> None:
        for eio in ("3", "4"):
            self.server.check({**POLLING, "EIO": eio}, method="GET", websocket=False)
            self.server.check({**WEBSOCKET, "EIO": eio}, method="GET", websocket=True)
        self.server.check({**POLLING, "sid": "x", "t": "abc", "token": "y"}, method="POST", websocket=False)

    def test_transport(self) -> None:
        for transport in ("", "flashsocket", "Polling", "polling "):
            self.assertEqual(self.refusal({"EIO": "4", "transport": transport}), 0)
        self.assertEqual(self.refusal({"EIO": "4"}), 0)
        self.assertEqual(self.refusal({**POLLING, "j": "0"}), 0)

    def test_transport_of_the_other_kind(self) -> None:
        self.assertEqual(self.refusal(WEBSOCKET), 3)
        self.assertEqual(self.refusal(POLLING, websocket=True), 3)

    def test_method(self) -> None:
        for method in ("POST", "PUT", "HEAD", "DELETE"):
            self.assertEqual(self.refusal(POLLING, method), 2)

    def test_version(self) -> None:
        for version in ("", "2", "5", "04", "4.0", "four"):
            self.assertEqual(self.refusal({"EIO": version, "transport": "polling"}), 5)
        self.assertEqual(self.refusal({"transport": "polling"}), 5)

    def test_unknown_session(self) -> None:
        for sid in ("", "x"):
            with self.assertRaises(Refused) as raised:
                self.server.find({**POLLING, "sid": sid})
            self.assertEqual(raised.exception.body(), {"code": 1, "message": "Session ID unknown"})


class OpenTests(SynchronousTestCase):
    def test_greeting(self) -> None:
        server = EngineServer(Timing(0.3, 0.2), Limits(max_payload=1000))
        for query, channel, upgrades in ((POLLING, None, ["websocket"]), (WEBSOCKET, object(), [])):
            engine = server.open(query, "127.0.0.1", 0.0, channel=channel)
            if channel is None:
                engine.receive_poll()
            (output,) = all_outputs(engine)
            raw = output.body[1:] if channel is None else output.outgoing.packet.data  # type: ignore[union-attr]
            expected = {"sid": engine.sid, "upgrades": upgrades}
            limits = {"pingInterval": 300, "pingTimeout": 200, "maxPayload": 1000}
            self.assertEqual(json.loads(raw), {**expected, **limits})
            self.assertIs(server.find({"sid": engine.sid}), engine)

    def test_ids(self) -> None:
        """Nobody guesses one."""
        server = EngineServer(Timing(), Limits())
        sids = {server.open(POLLING, "a", 0.0).sid for _ in range(100)}
        self.assertEqual((len(sids), {len(sid) for sid in sids}), (100, {20}))

    def test_version_and_base64(self) -> None:
        server = EngineServer(Timing(), Limits())
        old = server.open({"EIO": "3", "transport": "polling", "b64": "1"}, "a", 0.0)
        new = server.open(POLLING, "a", 0.0)
        self.assertEqual((old.eio, old.base64, new.eio, new.base64), (3, True, 4, False))

    def test_limits(self) -> None:
        server = EngineServer(Timing(), Limits(sockets=3, per_address=2))
        first = server.open(POLLING, "a", 0.0)
        server.open(POLLING, "a", 0.0)
        self.assertRefused(server, "a")
        server.open(POLLING, "b", 0.0)
        self.assertRefused(server, "c")
        server.forget(first)
        server.forget(first)
        server.open(POLLING, "a", 0.0)
        self.assertRefused(server, "b")
        self.assertEqual(len(server), 3)

    def assertRefused(self, server: EngineServer, address: str) -> None:
        with self.assertRaises(Refused) as raised:
            server.open(POLLING, address, 0.0)
        self.assertEqual(raised.exception.status, 429)

    def test_nothing_stays(self) -> None:
        """An address that has left is forgotten."""
        server = EngineServer(Timing(), Limits())
        for engine in [server.open(POLLING, f"10.0.0.{n}", 0.0) for n in range(5)]:
            server.forget(engine)
        self.assertEqual((len(server), len(server.guests), server._addresses), (0, 0, {}))
