"""An environ becomes the request that the client sent."""

from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import BadParameter, TooLarge
from resttorrent.wsgi.incoming import Incoming, body_of

from .support import environ


def target(**more: Any) -> bytes:
    return Incoming.of(environ(**more)).target


def spelt(octets: bytes, escaped: list[bool]) -> str:
    """A path in one of its spellings: what must be escaped is, what may be is when ``escaped`` says so."""
    return "".join(
        chr(octet) if chr(octet) in "/-._~!$&'()*+,;=:@" or (chr(octet).isalnum() and octet < 128 and not e)
        else f"%{octet:02x}"
        for octet, e in zip(octets, escaped, strict=True)
    )  # fmt: skip


class TargetTests(SynchronousTestCase):
    """Path and query."""

    def test_path_as_sent(self) -> None:
        for name in ("RAW_URI", "REQUEST_URI"):
            self.assertEqual(
                target(path="/v1/a/b c", QUERY_STRING="x=%20", **{name: "/v1/a%2Fb%20c?x=%20"}),
                b"/v1/a%2Fb%20c?x=%20",
            )

    def test_path_decoded(self) -> None:
        self.assertEqual(target(path="/v1/\xc3\xa9 %?#[]"), b"/v1/%C3%A9%20%25%3F%23%5B%5D")
        self.assertEqual(target(path=""), b"/")

    def test_rewritten_path(self) -> None:
        self.assertEqual(target(path="/v1/things", RAW_URI="/old/things", REQUEST_URI=""), b"/v1/things")

    def test_whole_url(self) -> None:
        self.assertEqual(target(path="/v1/a/b", RAW_URI="http://h:1/v1/a%2fb#f"), b"/v1/a%2fb")
        self.assertEqual(target(path="", RAW_URI="http://h"), b"/")

    def test_asterisk(self) -> None:
        self.assertEqual(target(method="OPTIONS", path="*", RAW_URI="*"), b"*")

    def test_mounted(self) -> None:
        mounted: dict[str, Any] = {"SCRIPT_NAME": "/a b", "path": "/v1/x/y"}
        self.assertEqual(target(**mounted, RAW_URI="/%61%20b/v1/x%2Fy"), b"/v1/x%2Fy")
        self.assertEqual(target(**mounted), b"/v1/x/y")
        self.assertEqual(target(SCRIPT_NAME="/rt", path="", RAW_URI="/rt"), b"/")
        self.assertEqual(Incoming.of(environ(**mounted)).mount, b"/a%20b")

    @given(st.binary(), st.data())
    def test_any_path(self, octets: bytes, data: st.DataObject) -> None:
        path = b"/" + octets
        raw = spelt(path, data.draw(st.lists(st.booleans(), min_size=len(path), max_size=len(path))))
        text = path.decode("latin-1")
        self.assertEqual(unquote_to_bytes(target(path=text)), path)
        self.assertEqual(target(path=text, RAW_URI=raw), raw.encode("ascii"))
        self.assertEqual(
            target(SCRIPT_NAME=text, path="/v1", RAW_URI=raw + "/%761"),
            b"/%761",
        )


class HeaderTests(SynchronousTestCase):
    """Headers, addresses."""

    def test_headers(self) -> None:
        asked = environ(
            CONTENT_TYPE="text/plain",
            CONTENT_LENGTH="3",
            HTTP_IF_NONE_MATCH='"\xe9"',
            HTTP_CONNECTION="close",
            HTTP_TRANSFER_ENCODING="chunked",
            HTTP_CONTENT_LENGTH="7",
        )
        self.assertEqual(
            sorted(Incoming.of(asked).headers),
            [
                (b"Content-Length", b"3"),
                (b"Content-Type", b"text/plain"),
                (b"Host", b"127.0.0.1:8080"),
                (b"If-None-Match", b'"\xe9"'),
            ],
        )

    def test_addresses(self) -> None:
        for host, port, expected in (
            ("192.0.2.1", "80", IPv4Address("TCP", "192.0.2.1", 80)),
            ("2001:db8::1", "", IPv6Address("TCP", "2001:db8::1", 0)),
            ("", "", UNIXAddress(None)),
            ("waitress.invalid", "80", UNIXAddress(None)),
            ("192.0.2.1", "http", UNIXAddress(None)),
        ):
            incoming = Incoming.of(
                environ(REMOTE_ADDR=host, REMOTE_PORT=port, SERVER_NAME=host, SERVER_PORT=port)
            )
            self.assertEqual((incoming.client, incoming.server), (expected, expected))

    def test_scheme(self) -> None:
        self.assertFalse(Incoming.of(environ()).secure)
        https: dict[str, Any] = {"wsgi.url_scheme": "https"}
        self.assertTrue(Incoming.of(environ(**https)).secure)


class Unread(BytesIO):
    """A body that must not be read."""

    def read(self, size: int | None = -1) -> bytes:
        raise AssertionError(f"read {size}")


class Drip(BytesIO):
    """A body of which each read gives less than was asked for."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None and size > 0, "the end may be read only where the server marks it"
        return super().read(min(size, 3))


class BodyTests(SynchronousTestCase):
    """How much is read of ``wsgi.input``."""

    def body(self, stream: BytesIO, length: str | None = None, limit: int = 10, **more: Any) -> bytes:
        return body_of({"wsgi.input": stream, "CONTENT_LENGTH": length, **more}, limit)

    def test_by_length(self) -> None:
        stream = Drip(b"0123456789next")
        self.assertEqual(self.body(stream, "10"), b"0123456789")
        self.assertEqual(stream.read(4), b"nex")

    def test_none(self) -> None:
        for length in (None, "", "0"):
            self.assertEqual(self.body(Unread(), length), b"")

    def test_too_long_is_not_read(self) -> None:
        for length in ("11", "9" * 5000):
            self.assertIn("10 bytes", str(self.assertRaises(TooLarge, self.body, Unread(), length)))

    def test_no_length(self) -> None:
        for length in ("-1", "+1", "1_0", " 1", "\u0661", "x"):
            self.assertRaises(BadParameter, self.body, Unread(), length)

    def test_cut_off(self) -> None:
        self.assertRaises(BadParameter, self.body, Drip(b"012345678"), "10")

    def test_chunked(self) -> None:
        ends: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        for length in (None, "3"):  # a Content-Length beside the chunks means nothing (RFC 9112 §6.3)
            self.assertEqual(self.body(Drip(b"0123456789"), length, **ends), b"0123456789")
            self.assertRaises(TooLarge, self.body, Drip(b"01234567890"), length, **ends)

    def test_endless_chunks(self) -> None:
        class Endless(BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                return b"x"

        ends: dict[str, Any] = {"wsgi.input_terminated": True}
        self.assertRaises(TooLarge, self.body, Endless(), **ends)

    def test_chunked_without_end(self) -> None:
        self.assertRaises(BadParameter, self.body, Unread(), HTTP_TRANSFER_ENCODING="chunked")
