"""Threat table, *Bombs* and *Socket.IO*: what may come at once, and what it may turn into."""

import zlib

from resttorrent.socketio import Limits, sio_server
from resttorrent.socketio.sio_packet import MOST_ATTACHMENTS

from .test_polling import SiteCase
from .test_websocket import Browser, WebSocketCase
from .wire import BINARY, CLOSE, TEXT, masked_frame

MiB = 1024 * 1024
FRAME = 50_000
PAYLOAD = 1000
OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


def compressed(size: int) -> bytes:
    """A text frame that says it is compressed, and inflates to ``size`` bytes (RFC 7692 §7.2)."""
    press = zlib.compressobj(9, wbits=-15)
    packed = press.compress(b"4" * size) + press.flush(zlib.Z_SYNC_FLUSH)
    frame = bytearray(masked_frame(TEXT, packed[:-4]))
    frame[0] |= 0x40
    return bytes(frame)


class SmallCase(WebSocketCase):
    limits = Limits(max_payload=PAYLOAD, max_frame=FRAME)

    def assertCutOff(self, browser: Browser) -> None:
        """Nothing of it was heard, and the connection is closed."""
        heard = list(self.recorder.heard)
        closed = browser.transport.disconnected or browser.transport.disconnecting
        self.assertTrue(closed or any(frame[0] == 0x80 | CLOSE for frame in browser.frames()))
        browser.lose()
        self.assertEqual([one for one in heard if one[0] == "event"], [])
        self.assertEqual(len(self.server), 0)


class BombTests(SmallCase):
    def test_compression_is_never_agreed_on(self) -> None:
        for offer in (OFFER["Sec-WebSocket-Extensions"], "permessage-deflate", "permessage-bzip2"):
            browser = self.browser(**{"Sec-WebSocket-Extensions": offer})
            self.assertNotIn(b"sec-websocket-extensions", browser.head.lower())
            browser.lose()

    def test_little_that_would_be_much(self) -> None:
        """51 kB that inflate to 50 MiB: not inflated at all."""
        bomb = compressed(50 * MiB)
        self.assertLess(len(bomb), 55_000)
        for headers in ({}, OFFER):
            browser = self.browser(**headers)
            browser.send("40")
            browser.feed(bomb)
            self.assertCutOff(browser)
        browser = self.joined()
        browser.feed(compressed(10))
        self.assertCutOff(browser)

    def test_frame(self) -> None:
        """One that is too long is refused by its header, before anything of it is kept."""
        for length in (FRAME + 1, 1 << 31, 1 << 62):
            browser = self.joined()
            browser.feed(b"\x81\xff" + length.to_bytes(8, "big") + bytes(4))
            self.assertCutOff(browser)
        browser = self.joined()
        browser.send('42["' + "x" * (FRAME - 6) + '"]')
        self.assertEqual(len(self.recorder.heard[-1][2]), FRAME - 6)
        browser.lose()

    def test_message_of_many_frames(self) -> None:
        """Frames that are short enough make no message that is not."""
        browser = self.joined()
        browser.feed(masked_frame(TEXT, b'42["' + b"x" * (FRAME - 100), final=False))
        browser.feed(masked_frame(0, b"x" * 90, final=False))
        self.assertFalse(browser.transport.disconnected)
        browser.feed(masked_frame(0, b'xxxxxxxxxxx"]'))
        self.assertCutOff(browser)


class SocketIoLimitTests(SmallCase):
    def test_as_the_daemon_has_them(self) -> None:
        limits = Limits()
        self.assertLessEqual((limits.max_payload, limits.max_frame), (1_000_000, 16 * MiB))
        self.assertLessEqual((MOST_ATTACHMENTS, sio_server.MOST_ATTACHED), (10, 16 * MiB))

    def test_attachments(self) -> None:
        """One more than may be is refused by its count, before any has come (CVE-2026-48804)."""
        for count in (11, 100, 9999):
            browser = self.joined()
            browser.send(f'45{count}-["x"]')
            self.assertCutOff(browser)

    def test_attachments_together(self) -> None:
        self.patch(sio_server, "MOST_ATTACHED", FRAME)
        browser = self.joined()
        browser.send('453-["x",{"_placeholder":true,"num":0}]')
        browser.feed(masked_frame(BINARY, b"x" * (FRAME - 1)))
        browser.feed(masked_frame(BINARY, b"xx"))
        self.assertCutOff(browser)


class PollLimitTests(SiteCase):
    def test_poll_body(self) -> None:
        """413, by its length or by the chunk that is too much; the session ends (CVE-2020-36048)."""
        for chunked in (False, True):
            target = self.begin()
            wire, body = self.wire(), b"4" * (PAYLOAD + 1)
            head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n" % target.encode()
            if chunked:
                wire.send(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body))
            else:
                wire.send(head + b"Content-Length: %d\r\n\r\n" % len(body))
            self.assertEqual(wire.answer().status, 413)
            wire.lose()
            self.assertEqual(len(self.server), 0)

    def test_just_as_long(self) -> None:
        target = self.begin()
        self.ask("POST", target, body=b"40")
        body = b'42["' + b"x" * (PAYLOAD - 6) + b'"]'
        self.assertEqual((len(body), self.ask("POST", target, body=body).status), (PAYLOAD, 200))
        self.assertEqual(len(self.recorder.heard[-1][2]), PAYLOAD - 6)
