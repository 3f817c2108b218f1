"""Connections: bounded bodies, odd heads, timeouts."""

import io

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.rest.site import LINGER

from .wire import Wire, World, head

JSON = {"Content-Type": "application/json"}
LIMIT = 100


class BodyLimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(body_limit=LIMIT)
        self.wire = self.world.wire

    def assertRefused(self) -> None:
        answer = self.wire.answer()
        self.assertEqual((answer.status, answer.json["code"]), (413, "too_large"))
        self.assertEqual(answer.json["status"], "fail")
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(answer.headers["server"], "RestTorrent")
        self.assertEqual(answer.rest, b"")
        self.world.reactor.advance(LINGER)
        self.assertTrue(self.wire.transport.disconnecting)
        self.assertEqual(self.world.context.called, [])

    def test_by_length_before_any_of_it_came(self) -> None:
        self.wire.send(head("POST", "/v1/things", JSON, LIMIT + 1))
        self.assertRefused()

    def test_the_client_may_send_the_rest(self) -> None:
        # closed with something unread, the connection would be reset and the answer lost
        self.wire.send(head("POST", "/v1/things", JSON, LIMIT * 3))
        for _ in range(2):
            self.wire.send(b"x" * LIMIT)
            self.assertFalse(self.wire.transport.disconnecting)
        [request] = self.wire.protocol.requests
        self.assertEqual(request.content.getvalue(), b"")
        self.wire.send(b"x" * LIMIT)
        self.assertTrue(self.wire.transport.disconnecting)
        self.assertRefused()

    def test_but_not_for_long(self) -> None:
        self.wire.send(head("POST", "/v1/things", JSON, LIMIT * 3))
        for _ in range(4):
            self.world.reactor.advance(LINGER / 4 - 0.01)
            self.wire.send(b"x")
        self.assertFalse(self.wire.transport.disconnecting)
        self.world.reactor.advance(0.04)
        self.assertTrue(self.wire.transport.disconnecting)

    def test_a_client_that_closes(self) -> None:
        self.wire.send(head("POST", "/v1/things", JSON, LIMIT * 3))
        self.wire.lose()
        self.assertEqual(self.world.reactor.getDelayedCalls(), [])

    def test_body_in_the_same_packet(self) -> None:
        self.wire.send(head("POST", "/v1/things", JSON, LIMIT + 1) + b" " * (LIMIT + 1))
        self.assertRefused()
        self.wire.send(head("GET", "/v1/things"))
        self.assertEqual(self.wire.received(), b"")

    def test_expectation_is_not_met_after_the_refusal(self) -> None:
        self.wire.send(head("POST", "/v1/things", {**JSON, "Expect": "100-continue"}, LIMIT + 1))
        # nothing will come
        self.assertTrue(self.wire.transport.disconnecting)
        self.assertRefused()

    def test_expectation_is_met(self) -> None:
        self.wire.send(head("POST", "/v1/things", {**JSON, "Expect": "100-continue"}, 2))
        self.assertEqual(self.wire.received(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wire.send(b"{}")
        self.assertEqual(self.wire.answer().status, 201)

    def test_just_at_the_limit(self) -> None:
        self.assertEqual(self.wire.ask("POST", "/v1/things", JSON, b"{}".ljust(LIMIT)).status, 201)

    def test_chunks_up_to_the_limit(self) -> None:
        self.wire.send(head("POST", "/v1/things", {**JSON, "Transfer-Encoding": "chunked"}))
        self.wire.send(b"32\r\n" + b"{}".ljust(50) + b"\r\n32\r\n" + b" " * 50 + b"\r\n0\r\n\r\n")
        self.assertEqual(self.wire.answer().status, 201)

    def test_chunks_beyond_it(self) -> None:
        self.wire.send(head("POST", "/v1/things", {**JSON, "Transfer-Encoding": "chunked"}))
        self.wire.send(b"65\r\n" + b" " * 60)
        self.assertEqual(self.wire.received(), b"")
        self.wire.send(b" " * 41)
        self.assertRefused()

    def test_all_chunks_in_one_packet(self) -> None:
        chunks = b"32\r\n" + b" " * 50 + b"\r\n"
        self.wire.send(
            head("POST", "/v1/things", {**JSON, "Transfer-Encoding": "chunked"}) + chunks * 4 + b"0\r\n\r\n"
        )
        self.assertRefused()

    def test_after_another_request(self) -> None:
        self.assertEqual(self.wire.ask("GET", "/v1/things").status, 200)
        self.wire.send(head("POST", "/v1/things", JSON, LIMIT + 1))
        self.assertRefused()
        self.wire.lose()
        self.assertEqual(self.world.reactor.getDelayedCalls(), [])

    def test_body_stays_in_memory(self) -> None:
        world = World()
        body = b'{"note":"x"}'.ljust(3_000_000)
        world.wire.send(head("POST", "/v1/things", JSON, len(body)) + body[:-1])
        [request] = world.wire.protocol.requests
        self.assertIsInstance(request.content, io.BytesIO)
        world.wire.send(body[-1:])
        self.assertEqual(world.wire.answer().status, 201)


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.wire = self.world.wire

    def test_forms_are_not_parsed_below_the_door(self) -> None:
        # Twisted's own parser would answer a bare 400 and close
        answer = self.wire.ask("POST", "/v1/things", {"Content-Type": "multipart/form-data"}, b"x")
        self.assertEqual((answer.status, answer.json["code"]), (400, "bad_parameter"))
        self.assertFalse(self.wire.transport.disconnecting)

    def test_pipelined(self) -> None:
        self.wire.send(head("GET", "/v1/things/1") + head("GET", "/v1/things/2"))
        first = self.wire.answer()
        self.assertEqual(first.json["thing"]["id"], "1")
        self.assertIn(b'"id":"2"', first.rest)

    def test_closed_when_asked(self) -> None:
        answer = self.wire.ask("GET", "/v1/things", {"Connection": "close"})
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(self.wire.transport.disconnecting)

    def test_kept_otherwise(self) -> None:
        self.wire.ask("GET", "/v1/things")
        self.assertFalse(self.wire.transport.disconnecting)

    def test_endless_content_length(self) -> None:
        for more in (b"", b"X: y\r\n"):
            wire = Wire(self.world.site)
            wire.send(
                b"POST /v1/things HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n" + more + b"\r\n"
            )
            self.assertTrue(wire.received().startswith(b"HTTP/1.1 400 "))
            self.assertTrue(wire.transport.disconnecting)

    def test_malformed_requests_end_the_connection(self) -> None:
        for raw in (
            b"GET\r\n\r\n",
            b"GET /v1/things HTTP/1.1\r\nHost : x\r\n\r\n",
            b"POST /v1/things HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
            b"POST /v1/things HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST /v1/things HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET /v1/things HTTP/1.1\r\nX: " + b"x" * 17000 + b"\r\n\r\n",
        ):
            wire = Wire(self.world.site)
            wire.send(raw)
            self.assertTrue(wire.transport.disconnecting, raw[:60])
            self.assertNotIn(b" 200 ", wire.received())
        self.assertEqual(self.world.context.called, [])

    def test_idle_connection_is_closed(self) -> None:
        self.wire.ask("GET", "/v1/things")
        self.world.reactor.advance(59)
        self.assertFalse(self.wire.transport.disconnecting)
        self.world.reactor.advance(1)
        self.assertTrue(self.wire.transport.disconnecting)

    def test_a_command_may_take_longer(self) -> None:
        self.wire.send(head("GET", "/v1/wait"))
        self.world.reactor.advance(600)
        self.assertFalse(self.wire.transport.disconnecting)
        self.world.context.held[0].callback(None)
        self.assertEqual(self.wire.answer().status, 200)

    def test_nothing_is_logged_and_no_timer_left(self) -> None:
        self.world.site.doStart()
        self.wire.ask("GET", "/v1/things")
        self.wire.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.world.reactor.getDelayedCalls(), [])
        self.world.site.doStop()

    def test_close_connections(self) -> None:
        other = Wire(self.world.site)
        other.lose()
        self.assertEqual(len(self.world.site.connections), 1)
        self.world.site.close_connections()
        self.assertTrue(self.wire.transport.disconnecting)
        self.assertFalse(other.transport.disconnecting)

    def test_tls_negotiates_http_1_only(self) -> None:
        self.assertEqual(self.world.site.acceptableProtocols(), [b"http/1.1"])
