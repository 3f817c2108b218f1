"""Requests in, commands run, answers out, over the real site and an in-memory wire."""

import json
import zlib

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import PortInUse, TorrentExists
from resttorrent.rest.compression import LARGEST_INLINE

from .wire import Response, World, head

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.context = self.world.context
        self.ask = self.world.ask

    def assertFails(self, response: Response, status: int, code: str, field: str | None = None) -> None:
        self.assertEqual((response.status, response.json["code"]), (status, code))
        self.assertEqual(response.json["status"], "fail")
        self.assertIsInstance(response.json["message"], str)
        self.assertEqual(response.json.get("field"), field)
        self.assertEqual(response.headers["content-type"], "application/json")
        self.assertEqual(response.headers["content-length"], str(len(response.body)))


class ParameterTests(Case):
    def test_path_query_and_body(self) -> None:
        answer = self.ask("POST", "/v1/things?note=a+b&words=x", JSON, b'{"size":3,"words":"x"}')
        self.assertEqual(answer.json["thing"], {"id": "new", "note": "a b", "size": 3, "words": ["x"]})

    def test_body_of_a_get(self) -> None:
        self.assertEqual(self.ask("GET", "/v1/things/1", FORM, b"note=n").json["thing"]["note"], "n")

    def test_conflict_between_path_and_query(self) -> None:
        self.assertFails(self.ask("GET", "/v1/things/1?thing_id=2"), 400, "parameter_conflict", "thing_id")
        self.assertEqual(self.ask("GET", "/v1/things/1?thing_id=1").status, 200)

    def test_unknown_parameter(self) -> None:
        self.assertFails(self.ask("GET", "/v1/things/1?nota=2"), 400, "unknown_parameter", "nota")

    def test_empty_body(self) -> None:
        for headers in ({}, JSON, FORM, {"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}):
            self.world.wire.send(head("POST", "/v1/things", headers, 0))
            self.assertEqual(self.world.wire.answer().status, 201)

    def test_other_content_type(self) -> None:
        answer = self.ask("POST", "/v1/things", {"Content-Type": "text/plain"}, b"note=1")
        self.assertFails(answer, 415, "unsupported_media_type")
        self.assertEqual(self.context.called, [])

    def test_content_encoding(self) -> None:
        answer = self.ask("POST", "/v1/things", {**JSON, "Content-Encoding": "gzip"}, b"{}")
        self.assertFails(answer, 415, "unsupported_media_type")

    def test_multipart_upload(self) -> None:
        body = (
            b'--B\r\nContent-Disposition: form-data; name="checked"\r\n\r\n1\r\n'
            b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nd4:infoe\r\n--B--\r\n'
        )
        answer = self.ask(
            "POST", "/v1/things/7/file", {"Content-Type": "multipart/form-data; boundary=B"}, body
        )
        self.assertEqual(answer.status, 201)
        self.assertEqual(answer.json["thing"]["note"], "True b'd4:infoe'")

    def test_chunked_body(self) -> None:
        self.world.wire.send(head("POST", "/v1/things", {**JSON, "Transfer-Encoding": "chunked"}))
        self.world.wire.send(b'8\r\n{"note":\r\n4\r\n"x"}\r\n0\r\n\r\n')
        self.assertEqual(self.world.wire.answer().json["thing"]["note"], "x")

    def test_broken_query(self) -> None:
        self.assertFails(self.ask("GET", "/v1/things/1?note=%ff"), 400, "bad_parameter", "note")


class PathTests(Case):
    def test_variable_is_decoded_by_itself(self) -> None:
        for sent, seen in (
            ("%C3%A9", "é"),
            ("a%2Fb", "a/b"),
            ("a%2fb%2F", "a/b/"),
            ("%25", "%"),
            ("a+b", "a+b"),
        ):
            self.assertEqual(self.ask("GET", f"/v1/things/{sent}").json["thing"]["id"], seen)

    def test_bad_variable(self) -> None:
        for sent in ("%FF", "%C3", "%zz", "%", "a%2"):
            self.assertFails(self.ask("GET", f"/v1/things/{sent}"), 400, "bad_parameter", "thing_id")

    def test_needless_escapes_in_the_fixed_part(self) -> None:
        self.assertEqual(self.ask("GET", "/v1/%74hings/1").json["thing"]["id"], "1")

    def test_nothing_there(self) -> None:
        for path in (
            "/",
            "/v2",
            "/v1/thing",
            "/v1/things/1/2",
            "/v1/things/",
            "/v1//things",
            "/v1/things%2F1",
        ):
            self.assertFails(self.ask("GET", path), 404, "not_found")
        self.assertFails(self.ask("OPTIONS", "/v2"), 404, "not_found")

    def test_wrong_method(self) -> None:
        for method in ("DELETE", "PATCH", "BREW"):
            answer = self.ask(method, "/v1/things")
            self.assertFails(answer, 405, "method_not_allowed")
            self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS, POST")
        self.assertEqual(self.ask("GET", "/v1/work").headers["allow"], "OPTIONS, POST")

    def test_options(self) -> None:
        answer = self.ask("OPTIONS", "/v1/things/1")
        self.assertEqual((answer.status, answer.headers["allow"]), (204, "GET, HEAD, OPTIONS"))
        self.assertEqual(answer.body, b"")
        self.assertNotIn("content-length", answer.headers)

    def test_options_of_the_server(self) -> None:
        answer = self.ask("OPTIONS", "*")
        self.assertEqual((answer.status, answer.headers["allow"]), (204, "GET, HEAD, OPTIONS, POST"))

    def test_head(self) -> None:
        got = self.ask("GET", "/v1/things/1")
        self.world.wire.send(head("HEAD", "/v1/things/1"))
        raw = self.world.wire.received()
        self.assertTrue(raw.endswith(b"\r\n\r\n"))
        self.assertIn(b"Content-Length: %d\r\n" % len(got.body), raw)


class TransactionTests(Case):
    def test_echoed(self) -> None:
        for t_id in ("x", "", 'q"\\\u2028é', 7, -1.5, 10**30):
            body = json.dumps({"t_id": t_id, "command": "get_thing"}).encode()
            self.assertEqual(self.ask("GET", "/v1/things/1", JSON, body).json["t_id"], t_id)

    def test_from_query_and_form(self) -> None:
        self.assertEqual(self.ask("GET", "/v1/things/1?t_id=5&command=no").json["t_id"], "5")
        self.assertEqual(self.ask("POST", "/v1/things", FORM, b"t_id=a&command=b").json["t_id"], "a")

    def test_first_one_wins(self) -> None:
        self.assertEqual(self.ask("POST", "/v1/things?t_id=1&t_id=2", FORM, b"t_id=3").json["t_id"], "1")

    def test_neither_string_nor_number(self) -> None:
        for t_id in (b"true", b"null", b"[1]", b"{}"):
            answer = self.ask("POST", "/v1/things", JSON, b'{"t_id":%s}' % t_id)
            self.assertEqual((answer.status, "t_id" in answer.json), (201, False))

    def test_in_failures(self) -> None:
        for method, target in (
            ("GET", "/v1/things/1?t_id=5&nota=1"),
            ("GET", "/v1/things/1?t_id=5&note=%"),
            ("GET", "/v2?t_id=5"),
            ("DELETE", "/v1/things?t_id=5"),
        ):
            answer = self.ask(method, target)
            self.assertEqual((answer.json["status"], answer.json["t_id"]), ("fail", "5"))
        self.assertEqual(self.ask("POST", "/v1/things?t_id=5", JSON, b"{").json["t_id"], "5")

    def test_absent(self) -> None:
        self.assertEqual(self.ask("GET", "/v1/things/1").json.keys(), {"status", "thing"})


class AnswerTests(Case):
    def test_headers(self) -> None:
        answer = self.ask("GET", "/v1/things/1")
        self.assertEqual(answer.json["status"], "success")
        del answer.headers["date"]
        self.assertEqual(
            answer.headers,
            {
                "server": "RestTorrent",
                "content-type": "application/json",
                "content-length": str(len(answer.body)),
                "x-content-type-options": "nosniff",
                "cache-control": "no-store",
                "vary": "Accept-Encoding",
            },
        )
        self.assertEqual(len(answer.names), len(set(answer.names)))

    def test_created(self) -> None:
        answer = self.ask("POST", "/v1/things")
        self.assertEqual((answer.status, answer.headers["location"]), (201, "/v1/things/new"))

    def test_location_names_path_and_answer(self) -> None:
        answer = self.ask("POST", "/v1/things/a%20%2F%C3%A9%0D/file", JSON, b'{"file":{"base64":"AAAA"}}')
        self.assertEqual(answer.headers["location"], "/v1/things/a%20%2F%C3%A9%0D/file/3")

    def test_command_error(self) -> None:
        self.context.error = PortInUse()
        answer = self.ask("GET", "/v1/things/1")
        self.assertFails(answer, 409, "port_in_use", "port_range")
        self.assertEqual(answer.json["message"], "bind failed address already in use")
        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_error_with_lone_surrogates(self) -> None:
        self.context.error = TorrentExists("\udcff is there", field="\udcff")
        self.assertFails(self.ask("GET", "/v1/things/1"), 409, "torrent_exists", "?")

    def test_unexpected_exception(self) -> None:
        self.context.error = ZeroDivisionError("secret of /home/me")
        answer = self.ask("GET", "/v1/things/1?t_id=9")
        self.assertFails(answer, 500, "internal_error")
        self.assertEqual(answer.json["t_id"], "9")
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.context.error = None
        self.assertEqual(self.ask("GET", "/v1/things/1").status, 200)


class TagTests(Case):
    def test_tag(self) -> None:
        answer = self.ask("GET", "/v1/things")
        self.assertEqual(answer.headers["etag"], 'W/"7-all"')
        self.assertEqual(answer.headers["cache-control"], "no-cache")
        self.assertEqual(len(answer.json["things"]), 3)

    def test_not_modified(self) -> None:
        for method in ("GET", "HEAD"):
            answer = self.ask(method, "/v1/things", {"If-None-Match": '"x", "7-all"'})
            self.assertEqual((answer.status, answer.body), (304, b""))
            self.assertEqual(answer.headers["etag"], 'W/"7-all"')
            self.assertEqual(answer.headers["cache-control"], "no-cache")
            self.assertEqual(answer.headers["vary"], "Accept-Encoding")
            self.assertNotIn("content-type", answer.headers)

    def test_modified(self) -> None:
        self.context.rev = 8
        self.assertEqual(self.ask("GET", "/v1/things", {"If-None-Match": 'W/"7-all"'}).status, 200)

    def test_untagged_answers_ignore_it(self) -> None:
        self.assertEqual(self.ask("GET", "/v1/things/1", {"If-None-Match": "*"}).status, 200)


class GzipTests(Case):
    GZIP = {"Accept-Encoding": "deflate, gzip;q=0.8"}

    def test_compressed(self) -> None:
        self.context.rows = 100
        plain = self.ask("GET", "/v1/things")
        self.assertNotIn("content-encoding", plain.headers)
        answer = self.ask("GET", "/v1/things", self.GZIP)
        self.assertEqual(answer.headers["content-encoding"], "gzip")
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
        self.assertEqual(answer.headers["vary"], "Accept-Encoding")
        self.assertLess(len(answer.body), len(plain.body))
        self.assertEqual(zlib.decompress(answer.body, 31), plain.body)
        self.assertEqual(self.world.reactor.pool.jobs, [])

    def test_small_or_not_asked(self) -> None:
        self.assertNotIn("content-encoding", self.ask("GET", "/v1/things", self.GZIP).headers)
        self.context.rows = 100
        refused = self.ask("GET", "/v1/things", {"Accept-Encoding": "gzip;q=0, *"})
        self.assertNotIn("content-encoding", refused.headers)

    def test_large_in_a_thread(self) -> None:
        self.context.rows = 10_000
        plain = self.ask("GET", "/v1/things")
        self.assertGreater(len(plain.body), LARGEST_INLINE)
        self.world.wire.send(head("GET", "/v1/things", self.GZIP))
        self.assertEqual(self.world.wire.received(), b"")
        self.assertEqual(len(self.world.reactor.pool.jobs), 1)
        self.world.reactor.pool.run()
        answer = self.world.wire.answer()
        self.assertEqual(zlib.decompress(answer.body, 31), plain.body)
        self.assertEqual(answer.headers["etag"], plain.headers["etag"])

    def test_client_gone_while_compressing(self) -> None:
        self.context.rows = 10_000
        self.world.wire.send(head("GET", "/v1/things", self.GZIP))
        self.world.wire.lose()
        self.world.reactor.pool.run()
        self.assertEqual(self.world.wire.received(), b"")
        self.successResultOf(self.world.door.drained())

    def test_head_has_the_length_of_get(self) -> None:
        self.context.rows = 100
        answer = self.ask("GET", "/v1/things", self.GZIP)
        asked = self.ask("HEAD", "/v1/things", self.GZIP)
        self.assertEqual(asked.headers["content-length"], answer.headers["content-length"])
        self.assertEqual(asked.body, b"")


class GoneTests(Case):
    def test_client_gone(self) -> None:
        self.world.wire.send(head("GET", "/v1/wait"))
        self.assertNoResult(self.context.held[-1])
        self.world.wire.lose()
        self.assertEqual(self.context.cancelled, 1)
        self.assertEqual(self.world.wire.received(), b"")
        self.successResultOf(self.world.door.drained())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_change_is_never_broken_off(self) -> None:
        self.world.wire.send(head("POST", "/v1/work"))
        self.world.wire.lose()
        self.assertEqual(self.context.cancelled, 0)
        self.assertNoResult(self.world.door.drained())
        self.context.held[-1].callback(None)
        self.successResultOf(self.world.door.drained())
        self.assertEqual(self.world.wire.received(), b"")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_answered_when_done(self) -> None:
        self.world.wire.send(head("GET", "/v1/wait"))
        self.assertEqual(self.world.wire.received(), b"")
        self.context.held[0].callback(None)
        self.assertEqual(self.world.wire.answer().json, {"status": "success"})

    def test_a_commands_own_cancellation_is_a_mistake(self) -> None:
        self.world.wire.send(head("GET", "/v1/wait"))
        self.context.held[0].cancel()
        self.assertFails(self.world.wire.answer(), 500, "internal_error")
        self.assertEqual(len(self.flushLoggedErrors()), 1)


class DrainTests(Case):
    def test_new_requests(self) -> None:
        self.world.door.drain()
        answer = self.ask("GET", "/v1/things/1?t_id=4")
        self.assertFails(answer, 503, "stopping")
        self.assertEqual(answer.json["t_id"], "4")
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(self.world.wire.transport.disconnecting)

    def test_waiting_is_ended_with_an_answer(self) -> None:
        self.world.wire.send(head("GET", "/v1/wait?t_id=w"))
        self.world.door.drain()
        answer = self.world.wire.answer()
        self.assertFails(answer, 503, "stopping")
        self.assertEqual((answer.json["t_id"], answer.headers["connection"]), ("w", "close"))
        self.assertEqual(self.context.cancelled, 1)
        self.successResultOf(self.world.door.drained())
        self.assertTrue(self.world.wire.transport.disconnecting)

    def test_changes_may_finish(self) -> None:
        self.world.wire.send(head("POST", "/v1/work"))
        self.world.door.drain()
        drained = self.world.door.drained()
        self.assertNoResult(drained)
        self.assertEqual(self.context.cancelled, 0)
        self.context.held[0].callback(None)
        self.successResultOf(drained)
        answer = self.world.wire.answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))

    def test_waiting_for_it_has_an_end(self) -> None:
        self.world.wire.send(head("POST", "/v1/work"))
        self.world.door.drain()
        impatient: Deferred[None] = self.world.door.drained().addTimeout(5, self.world.reactor)
        patient = self.world.door.drained()
        self.world.reactor.advance(5)
        self.failureResultOf(impatient)
        self.assertNoResult(patient)
        self.context.held[0].callback(None)
        self.successResultOf(patient)

    def test_nothing_runs(self) -> None:
        self.successResultOf(self.world.door.drained())
