"""Threat table, *XSS by names*: what strangers wrote is text in our pages, which nobody may frame."""

import re

import libtorrent as lt

from tests.harness import until
from tests.web.test_live_example import PAGE, PageCase, text

NAMES = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    "</span><svg onload=alert(3)>",
    "\"'><iframe srcdoc='<script>alert(4)</script>'>",
    "javascript:alert(5)",
    "${alert(6)}{{alert(7)}}",
)


def torrent_named(name: str, number: int) -> bytes:
    """A .torrent of one file that nobody has."""
    info = {b"name": name.encode(), b"piece length": 16384, b"pieces": bytes([number]) * 20, b"length": 10}
    return bytes(lt.bencode({b"info": info}))  # type: ignore[arg-type]


class XssTests(PageCase):
    def test_names_are_text(self) -> None:
        """In the table, in the log and in messages; a script in one of them would have to be let in by us."""
        self.prepare()
        self.open(self.daemon.port)
        self.browser.ask(
            "Page.addScriptToEvaluateOnNewDocument", source="window.alert = () => window.hit = 1"
        )
        self.open(self.daemon.port)
        shown = {}
        for number, name in enumerate(NAMES):
            added = self.rest.upload(self.path, torrent_named(name, number), save_path=".", autostart="0")
            self.assertEqual(added.status, 201)
            shown[added.json["infohash"]] = added.json["torrent"]["name"]
        magnet = f"magnet:?xt=urn:btih:{1:040x}&dn=%3Cimg src=x onerror=alert(8)%3E"
        self.rest.ok("POST", self.path, magnet=magnet, save_path=".", autostart=0)
        shown[f"{1:040x}"] = "<img src=x onerror=alert(8)>"
        self.assertIn(NAMES[0], shown.values())
        rows = self.rows(**{f"t{infohash}": "stopped" for infohash in shown})
        self.assertEqual({infohash: row["name"] for infohash, row in rows.items()}, shown)
        self.browser.until(text("log"), lambda log: all(name in log for name in shown.values()), "the log")
        self.assertEqual(self.browser.evaluate("document.images.length + document.scripts.length"), 1)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('iframe, main svg').length"), 0)
        # time for a script, if there were one: the browser has drawn what it has
        self.browser.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        self.assertEqual(self.browser.evaluate("typeof window.hit"), "undefined")
        self.check_quiet()

    def test_headers(self) -> None:
        page = self.rest.request("GET", PAGE)
        policy = page.headers["content-security-policy"]
        self.assertIn("default-src 'self'", policy)
        # sources other than our own, of whatever kind
        self.assertIsNone(re.search(r"\*|https?:|data:|unsafe-eval", policy), policy)
        self.assertEqual(page.headers["x-frame-options"], "DENY")
        for path in (PAGE, "/v1/sessions", "/health", "/v1/nothing", "/examples/nothing"):
            answer = self.rest.request("GET", path)
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff", path)
            self.assertTrue(
                answer.headers["content-type"].startswith(("application/json", "text/html")), path
            )

    def test_name_in_an_answer(self) -> None:
        """JSON that a browser is led to is no page."""
        self.prepare()
        self.rest.upload(self.path, torrent_named(NAMES[0], 1), save_path=".", autostart="0")
        url = f"http://127.0.0.1:{self.daemon.port}{self.path}"
        self.browser.open(url)
        until(lambda: NAMES[0] in str(self.browser.evaluate("document.body.innerText")), "the answer")
        self.assertEqual(self.browser.evaluate("document.images.length"), 0)
