"""The examples as the daemon serves them."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.web.examples import Examples, Page, build_examples, packaged_examples, pages_in
from tests.rest.wire import World, head

LIVE = b"<!doctype html><title>live</title>"
FILES = {"live.html": LIVE, "a.js": b"1", "table.css": b"", "client.py": b"pass\n", "data": b"\0"}


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        for name, content in FILES.items():
            (self.directory / name).write_bytes(content)
        (self.directory / "deeper").mkdir()
        (self.directory / "deeper" / "x.html").write_bytes(b"x")
        self.directory.with_name("outside.html").write_bytes(b"secret")
        self.world = World(beside={b"examples": Examples(pages_in(self.directory))})
        self.ask = self.world.ask


class ServingTests(Case):
    def test_page(self) -> None:
        answer = self.ask("GET", "/examples/live.html?token=x")
        self.assertEqual((answer.status, answer.body), (200, LIVE))
        etag = answer.headers.pop("etag")
        self.assertRegex(etag, r'\A"[0-9a-f]{32}"\Z')
        del answer.headers["date"]
        self.assertEqual(
            answer.headers,
            {
                "server": "RestTorrent",
                "content-type": "text/html; charset=utf-8",
                "content-length": str(len(LIVE)),
                "content-security-policy": (
                    "default-src 'self'; script-src 'self' 'unsafe-inline'; "
                    "style-src 'self' 'unsafe-inline'; connect-src 'self'"
                ),
                "x-content-type-options": "nosniff",
                "x-frame-options": "DENY",
                "referrer-policy": "no-referrer",
                "cache-control": "no-cache",
                "vary": "Accept-Encoding",
            },
        )

    def test_content_types(self) -> None:
        for name, content_type in (
            ("a.js", "text/javascript; charset=utf-8"),
            ("client.py", "text/plain; charset=utf-8"),
            ("data", "application/octet-stream"),
        ):
            self.assertEqual(self.ask("GET", f"/examples/{name}").headers["content-type"], content_type)

    def test_empty_file(self) -> None:
        answer = self.ask("GET", "/examples/table.css")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["content-type"], "text/css; charset=utf-8")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")

    def test_head(self) -> None:
        self.world.wire.send(head("HEAD", "/examples/live.html"))
        raw = self.world.wire.received()
        self.assertTrue(raw.startswith(b"HTTP/1.1 200 "))
        self.assertIn(b"Content-Length: %d\r\n" % len(LIVE), raw)
        self.assertTrue(raw.endswith(b"\r\n\r\n"))

    def test_not_modified(self) -> None:
        etag = self.ask("GET", "/examples/live.html").headers["etag"]
        answer = self.ask("GET", "/examples/live.html", {"If-None-Match": f'"x", {etag}'})
        self.assertEqual((answer.status, answer.body, answer.headers["etag"]), (304, b"", etag))
        self.assertEqual(self.ask("GET", "/examples/live.html", {"If-None-Match": '"x"'}).status, 200)

    def test_tags_follow_the_content(self) -> None:
        self.assertNotEqual(Page.of("a", b"1").opaque_tag, Page.of("a", b"2").opaque_tag)

    def test_other_methods(self) -> None:
        for method in ("POST", "PUT", "DELETE", "BREW"):
            answer = self.ask(method, "/examples/live.html", None, b"x")
            self.assertEqual((answer.status, answer.json["code"]), (405, "method_not_allowed"))
            self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")
        answer = self.ask("OPTIONS", "/examples/live.html")
        self.assertEqual((answer.status, answer.headers["allow"]), (204, "GET, HEAD, OPTIONS"))


class NameTests(Case):
    def test_needless_escapes(self) -> None:
        self.assertEqual(self.ask("GET", "/examples/live%2Ehtml").body, LIVE)

    def test_nothing_there(self) -> None:
        for name in (
            "",
            "/",
            "/x.html",
            "/live.html/",
            "/LIVE.HTML",
            "/deeper",
            "/deeper/x.html",
            "/deeper%2Fx.html",
            "/.",
            "/./live.html",
            "/../outside.html",
            "/%2e%2e/outside.html",
            "/..%2foutside.html",
            "/..%5Coutside.html",
            "/live.html%00",
            "//live.html",
            "/%2Fetc%2Fpasswd",
            "/%",
            "/%ff",
        ):
            for method in ("GET", "POST", "OPTIONS"):
                answer = self.ask(method, f"/examples{name}")
                self.assertEqual((answer.status, answer.json["code"]), (404, "not_found"), name)

    def test_no_directory(self) -> None:
        self.assertEqual(pages_in(self.directory / "missing"), {})


class PackageTests(SynchronousTestCase):
    def test_all_that_is_packaged_is_served(self) -> None:
        world = World(beside={b"examples": build_examples()})
        directory = Path(str(packaged_examples()))
        self.assertEqual(directory.parts[-4:], ("resttorrent", "web", "static", "examples"))
        files = list(directory.iterdir()) if directory.is_dir() else []
        for file in files:
            self.assertEqual(world.ask("GET", f"/examples/{file.name}").body, file.read_bytes())
        self.assertEqual(world.ask("GET", "/examples/no.html").status, 404)
