"""The quick way for frames: it says nothing but what the whole protocol would."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio.short_frame import short_text

from .wire import BINARY, TEXT, masked_frame

ASCII = st.text(st.characters(max_codepoint=127))
SIZES = (0, 1, 3, 4, 125, 126, 127, 65_535)


class ShortTextTests(SynchronousTestCase):
    @given(ASCII)
    def test_ascii(self, text: str) -> None:
        self.assertEqual(short_text(masked_frame(TEXT, text.encode())), text.encode())

    def test_sizes(self) -> None:
        for size in SIZES:
            payload = (b"0123456789" * (size // 10 + 1))[:size]
            self.assertEqual(short_text(masked_frame(TEXT, payload)), payload)
        self.assertIsNone(short_text(masked_frame(TEXT, bytes(65_536))))

    @given(ASCII, st.data())
    def test_not_whole_or_more(self, text: str, data: st.DataObject) -> None:
        frame = masked_frame(TEXT, text.encode())
        cut = data.draw(st.integers(0, len(frame) - 1))
        self.assertIsNone(short_text(frame[:cut]))
        self.assertIsNone(short_text(frame + frame[: cut + 1]))

    def test_others(self) -> None:
        whole = masked_frame(TEXT, b"text")
        others = {
            "not final": masked_frame(TEXT, b"text", final=False),
            "binary": masked_frame(BINARY, b"text"),
            "a reserved bit": bytes((whole[0] | 0x40,)) + whole[1:],
            "not masked": bytes((0x81, 4)) + b"text",
            "not masked, as long": bytes((0x81, 4)) + b"text" * 2,
            "not ASCII": masked_frame(TEXT, "é".encode()),
            "not UTF-8": masked_frame(TEXT, b"\xff"),
            "a length that is too long": bytes((0x81, 0xFE, 0, 4)) + whole[2:],
            "64 bits of length": bytes((0x81, 0xFF)) + (4).to_bytes(8, "big") + whole[2:],
        }
        for name, frame in others.items():
            self.assertIsNone(short_text(frame), name)

    @given(st.binary(max_size=300))
    def test_anything(self, data: bytes) -> None:
        text = short_text(data)
        if text is not None:
            self.assertTrue(text.isascii())
