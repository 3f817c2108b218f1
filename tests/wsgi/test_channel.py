"""Requests of WSGI, answered by the real site; the test is the reactor."""

import gzip
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import TooLarge
from resttorrent.wsgi.channel import Outgoing, deliver, refusal
from resttorrent.wsgi.incoming import Incoming
from tests.rest.wire import World

from .support import environ


class DeliverTests(SynchronousTestCase):
    """From environ to answer."""

    def setUp(self) -> None:
        self.world = World()
        self.answers: list[Outgoing] = []

    def deliver(self, method: str = "GET", path: str = "/v1/things", body: bytes = b"", **more: Any) -> None:
        incoming = Incoming.of(environ(method, path, body, **more))
        deliver(self.world.site, incoming, body, self.answers.append)

    def ask(self, *args: Any, **more: Any) -> tuple[str, dict[str, str], bytes]:
        self.deliver(*args, **more)
        answer = self.answers.pop()
        self.assertEqual(self.answers, [])
        self.assertEqual(self.world.site.connections, {self.world.wire.protocol})
        return answer.status, {name.lower(): value for name, value in answer.headers}, answer.body

    def test_get(self) -> None:
        status, headers, body = self.ask()
        over_tcp = self.world.ask("GET", "/v1/things")
        self.assertEqual((status, body), ("200 OK", over_tcp.body))
        self.assertEqual(headers["content-length"], str(len(body)))
        own = {name: value for name, value in over_tcp.headers.items() if name not in ("server", "date")}
        self.assertEqual(headers, own)

    def test_head(self) -> None:
        _, like_get, body = self.ask()
        status, headers, nothing = self.ask("HEAD")
        self.assertEqual((status, headers, nothing), ("200 OK", like_get, b""))
        self.assertEqual(headers["content-length"], str(len(body)))

    def test_not_modified(self) -> None:
        _, headers, _ = self.ask()
        status, _, body = self.ask(HTTP_IF_NONE_MATCH=headers["etag"])
        self.assertEqual((status, body), ("304 Not Modified", b""))

    def test_body(self) -> None:
        status, headers, body = self.ask(
            "POST", body=b"note=n", CONTENT_TYPE="application/x-www-form-urlencoded"
        )
        self.assertEqual((status, headers["location"]), ("201 Created", "/v1/things/new"))
        self.assertIn(b'"note":"n"', body)

    def test_mounted(self) -> None:
        _, headers, _ = self.ask("POST", SCRIPT_NAME="/r t")
        self.assertEqual(headers["location"], "/r%20t/v1/things/new")

    def test_encoded_slash(self) -> None:
        status, _, body = self.ask(
            path="/v1/things/a/b", REQUEST_URI="/v1/things/a%2Fb?note=x", QUERY_STRING="note=x"
        )
        self.assertEqual(status, "200 OK")
        self.assertIn(b'"id":"a/b","note":"x"', body)

    def test_errors(self) -> None:
        self.assertEqual(self.ask(path="/nothing")[0], "404 Not Found")
        status, headers, _ = self.ask("DELETE")
        self.assertEqual((status, headers["allow"]), ("405 Method Not Allowed", "GET, HEAD, OPTIONS, POST"))

    def test_gzip(self) -> None:
        self.world.context.rows = 200
        _, headers, body = self.ask(HTTP_ACCEPT_ENCODING="gzip")
        self.assertEqual(headers["content-encoding"], "gzip")
        self.assertEqual(gzip.decompress(body), self.ask()[2])

    def test_no_hop_by_hop_header(self) -> None:
        self.world.door.drain()
        self.assertEqual(self.world.ask("GET", "/v1/things").headers["connection"], "close")
        status, headers, _ = self.ask()
        self.assertEqual(status, "503 Service Unavailable")
        self.assertNotIn("connection", headers)

    def test_later(self) -> None:
        self.deliver("POST", "/v1/work")
        self.assertEqual(self.answers, [])
        self.world.context.held[0].callback(None)
        self.assertEqual([answer.status for answer in self.answers], ["200 OK"])

    def test_given_up(self) -> None:
        self.deliver("POST", "/v1/work")
        self.deliver(path="/v1/wait")
        self.world.site.close_connections()
        self.assertEqual([answer.status[:3] for answer in self.answers], ["503", "503"])
        self.assertIn(b'"code":"stopping"', self.answers[0].body)
        self.assertEqual(self.world.site.connections, {self.world.wire.protocol})
        # what only waits ends now, what changes something goes on without its client
        self.assertEqual(self.world.context.cancelled, 1)
        for held in self.world.context.held:
            if not held.called:
                held.callback(None)
        self.assertEqual(len(self.answers), 2)

    def test_limit_of_the_site(self) -> None:
        self.world = World(body_limit=5)
        status, headers, body = self.ask("POST", body=b"note=n")
        self.assertEqual(status[:3], "413")
        self.assertIn(b'"code":"too_large"', body)
        self.assertNotIn("connection", headers)

    def test_mistake(self) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        self.patch(self.world.site, "requestFactory", broken)
        status, _, body = self.ask()
        self.assertEqual(status[:3], "500")
        self.assertIn(b'"status":"fail"', body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_client(self) -> None:
        seen: list[Any] = []
        render = self.world.door.render

        def look(request: Any) -> int:
            seen.append((request.getClientAddress().host, request.getHost().port, request.isSecure()))
            return render(request)

        self.patch(self.world.door, "render", look)
        self.ask(REMOTE_ADDR="192.0.2.7", **{"wsgi.url_scheme": "https"})
        self.assertEqual(seen, [("192.0.2.7", 8080, True)])


class RefusalTests(SynchronousTestCase):
    """Answers that no daemon made."""

    def test_shape(self) -> None:
        error = TooLarge("a sentence")
        get, head = (refusal(error, Incoming.of(environ(method))) for method in ("GET", "HEAD"))
        self.assertEqual(get.body, b'{"status":"fail","message":"a sentence","code":"too_large"}')
        self.assertEqual((head.status, head.headers, head.body), (get.status, get.headers, b""))
        self.assertEqual(dict(get.headers)["Content-Length"], str(len(get.body)))
