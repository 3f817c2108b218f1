"""Engine.IO packets, byte for byte and there and back again."""

from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio.eio_packet import (
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    UPGRADE,
    EioVersion,
    MalformedPacket,
    Packet,
    decode_binary,
    decode_inline,
    decode_text,
    encode_base64,
    encode_binary,
    encode_text,
)

VERSIONS = cast("tuple[EioVersion, ...]", (3, 4))
versions = st.sampled_from(VERSIONS)
texts = st.text().map(str.encode)
text_packets = st.builds(Packet, st.integers(OPEN, NOOP), texts)
binary_packets = st.builds(Packet, st.just(MESSAGE), st.binary(), st.just(True))


class TextTests(SynchronousTestCase):
    FRAMES = (
        (b"0{}", Packet(OPEN, b"{}")),
        (b"1", Packet(CLOSE)),
        (b"2probe", Packet(PING, b"probe")),
        (b"3probe", Packet(PONG, b"probe")),
        ("4é€𝄞".encode(), Packet(MESSAGE, "é€𝄞".encode())),
        (b"5", Packet(UPGRADE)),
        (b"6", Packet(NOOP)),
        (b'42["v1",{"t_id":"1"}]', Packet(MESSAGE, b'2["v1",{"t_id":"1"}]')),
    )

    def test_frames(self) -> None:
        for raw, packet in self.FRAMES:
            self.assertEqual(decode_text(raw), packet)
            self.assertEqual(encode_text(packet), raw)

    @given(text_packets)
    @settings(deadline=None)
    def test_there_and_back(self, packet: Packet) -> None:
        self.assertEqual(decode_text(encode_text(packet)), packet)

    def test_malformed(self) -> None:
        for raw in (b"", b"7", b"9hello", b"-1", b" 4", b"\x04", b"b", "٤".encode(), b"a4"):
            with self.assertRaises(MalformedPacket):
                decode_text(raw)


class BinaryTests(SynchronousTestCase):
    def test_frames(self) -> None:
        packet = Packet(MESSAGE, b"\x01\x02\x03", binary=True)
        self.assertEqual(decode_binary(b"\x04\x01\x02\x03", 3), packet)
        self.assertEqual(encode_binary(packet.data, 3), b"\x04\x01\x02\x03")
        self.assertEqual(decode_binary(b"\x01\x02\x03", 4), packet)
        self.assertEqual(encode_binary(packet.data, 4), b"\x01\x02\x03")

    @given(binary_packets, versions)
    @settings(deadline=None)
    def test_there_and_back(self, packet: Packet, eio: EioVersion) -> None:
        self.assertEqual(decode_binary(encode_binary(packet.data, eio), eio), packet)

    def test_other_types_are_text(self) -> None:
        """Only a message can be binary."""
        for raw in (b"", b"\x02", b"\x05\x04", b"4abc"):
            with self.assertRaises(MalformedPacket):
                decode_binary(raw, 3)

    def test_nothing_is_a_message_too(self) -> None:
        self.assertEqual(decode_binary(b"", 4), Packet(MESSAGE, b"", binary=True))
        self.assertEqual(decode_binary(b"\x04", 3), Packet(MESSAGE, b"", binary=True))


class InlineTests(SynchronousTestCase):
    def test_frames(self) -> None:
        packet = Packet(MESSAGE, b"\x01\x02\x03", binary=True)
        for eio, raw in ((3, b"b4AQID"), (4, b"bAQID")):
            version = cast("EioVersion", eio)
            self.assertEqual(decode_inline(raw, version), packet)
            self.assertEqual(encode_base64(packet.data, version), raw)

    @given(text_packets, binary_packets, versions)
    @settings(deadline=None)
    def test_there_and_back(self, text: Packet, binary: Packet, eio: EioVersion) -> None:
        self.assertEqual(decode_inline(encode_text(text), eio), text)
        self.assertEqual(decode_inline(encode_base64(binary.data, eio), eio), binary)

    def test_malformed(self) -> None:
        both = (b"", b"b4AQI", b"b4A=Q=", b"b4AQ ID", b"b4AQ_-", "b4AQIé".encode(), b"b4=")
        for raw in both:
            for eio in VERSIONS:
                with self.assertRaises(MalformedPacket):
                    decode_inline(raw.replace(b"b4", b"b") if eio == 4 else raw, eio)
        for raw in (b"b", b"b2AQID", b"bAQID"):
            with self.assertRaises(MalformedPacket):
                decode_inline(raw, 3)

    @given(st.binary(), versions)
    @settings(deadline=None)
    def test_anything(self, raw: bytes, eio: EioVersion) -> None:
        """Whatever comes is a packet that is written down the same way, or malformed."""
        try:
            packet = decode_inline(raw, eio)
        except MalformedPacket:
            return
        if not packet.binary:
            self.assertEqual(encode_text(packet), raw)
        else:
            self.assertEqual(decode_inline(encode_base64(packet.data, eio), eio), packet)
