"""Engine.IO payloads: the three ways to write packets into one body."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio.eio_packet import MESSAGE, PING, EioVersion, MalformedPacket, Packet
from resttorrent.socketio.eio_payload import (
    BINARY,
    MOST_PACKETS,
    TEXT,
    decode,
    encode,
    overhead,
    utf16_length,
)

from .test_eio_packet import binary_packets, text_packets, versions

# no control characters: in EIO4 the record separator can't be inside a packet, and JSON escapes it
_characters = st.characters(exclude_categories=("Cc", "Cs"))
_far = st.sampled_from("𝄞😀\U0010ffff￿é€\xff")
_texts = st.text(st.one_of(_characters, _far)).map(str.encode)
_messages = st.builds(Packet, st.integers(0, 6), _texts)
_packets = st.lists(st.one_of(_messages, binary_packets), min_size=1, max_size=20)

SUNG = '2["v1",{"t_id":"é€𝄞","bin":1}]'
RECORDED_4 = b'430[{"ok":1}]\x1e451-["b",{"_placeholder":true,"num":0}]\x1ebAQID'
PACKETS_4 = [
    Packet(MESSAGE, b'30[{"ok":1}]'),
    Packet(MESSAGE, b'51-["b",{"_placeholder":true,"num":0}]'),
    Packet(MESSAGE, b"\x01\x02\x03", binary=True),
]


class RecordedTests(SynchronousTestCase):
    """Bodies that the reference server and its clients exchanged, and those of the protocols' documents."""

    def test_eio4(self) -> None:
        self.assertEqual(decode(RECORDED_4, 4), PACKETS_4)
        self.assertEqual(encode(PACKETS_4, 4), (TEXT, RECORDED_4))

    def test_eio3_counts_utf16(self) -> None:
        body = '33:420["v1",{"t_id":"é€𝄞","bin":1}]'.encode()
        packet = Packet(MESSAGE, '20["v1",{"t_id":"é€𝄞","bin":1}]'.encode())
        self.assertEqual(decode(body, 3), [packet])
        self.assertEqual(encode([packet], 3, base64=True), (TEXT, body))

    def test_eio3_beside_another(self) -> None:
        """From the document: a character beyond ASCII counts as one."""
        packets = [Packet(MESSAGE, "€".encode()), Packet(MESSAGE, b"hello")]
        self.assertEqual(decode("2:4€6:4hello".encode(), 3), packets)
        self.assertEqual(encode(packets, 3, base64=True)[1], "2:4€6:4hello".encode())

    def test_eio3_base64(self) -> None:
        packets = [Packet(MESSAGE, "€".encode()), Packet(MESSAGE, b"\1\2\3\4", binary=True)]
        body = "2:4€10:b4AQIDBA==".encode()
        self.assertEqual(decode(body, 3), packets)
        self.assertEqual(encode(packets, 3, base64=True), (TEXT, body))

    def test_eio3_binary(self) -> None:
        packets = [Packet(MESSAGE, "€".encode()), Packet(MESSAGE, b"\1\2\3\4", binary=True)]
        body = bytes.fromhex("00 04 ff 34 e2 82 ac 01 05 ff 04 01 02 03 04")
        self.assertEqual(decode(body, 3, binary=True), packets)
        self.assertEqual(encode(packets, 3), (BINARY, body))

    def test_eio3_ascii_is_text(self) -> None:
        self.assertEqual(encode([Packet(PING, b"probe"), Packet(MESSAGE)], 3), (TEXT, b"6:2probe1:4"))

    def test_eio3_length_of_many_digits(self) -> None:
        packet = Packet(MESSAGE, b"\0" * 1233, binary=True)
        body = encode([packet], 3)[1]
        self.assertEqual(body[:7], bytes((1, 1, 2, 3, 4, 255, 4)))
        self.assertEqual(decode(body, 3, binary=True), [packet])


class ThereAndBackTests(SynchronousTestCase):
    @given(_packets)
    @settings(deadline=None)
    def test_eio4(self, packets: list[Packet]) -> None:
        content_type, body = encode(packets, 4)
        self.assertEqual(content_type, TEXT)
        self.assertEqual(decode(body, 4), packets)

    @given(_packets)
    @settings(deadline=None)
    def test_eio3(self, packets: list[Packet]) -> None:
        content_type, body = encode(packets, 3)
        self.assertEqual(decode(body, 3, binary=content_type == BINARY), packets)

    @given(st.lists(st.one_of(text_packets, binary_packets), min_size=1, max_size=20))
    @settings(deadline=None)
    def test_eio3_bytes(self, packets: list[Packet]) -> None:
        """Bytes carry everything, control characters too."""
        everything = [*packets, Packet(MESSAGE, b"\xff", binary=True)]
        content_type, body = encode(everything, 3)
        self.assertEqual(content_type, BINARY)
        self.assertEqual(decode(body, 3, binary=True), everything)

    @given(st.lists(st.one_of(text_packets, binary_packets), min_size=1, max_size=20))
    @settings(deadline=None)
    def test_eio3_base64(self, packets: list[Packet]) -> None:
        content_type, body = encode(packets, 3, base64=True)
        self.assertEqual(content_type, TEXT)
        self.assertEqual(decode(body, 3), packets)

    @given(_packets, versions)
    @settings(deadline=None)
    def test_overhead(self, packets: list[Packet], eio: EioVersion) -> None:
        """What a body is reckoned to be is never less than what it is."""
        for base64 in (False, True):
            body = encode(packets, eio, base64=base64)[1]
            self.assertLessEqual(len(body), sum(len(p.data) + overhead(p) for p in packets))

    @given(st.text(st.one_of(_characters, _far)))
    @settings(deadline=None)
    def test_utf16_length(self, text: str) -> None:
        self.assertEqual(utf16_length(text.encode()), sum(2 if c > "\uffff" else 1 for c in text))


class OldestClientsTests(SynchronousTestCase):
    """Clients of Socket.IO 1 without binary encode UTF-8 twice, and count the characters that makes."""

    def test_encoded_twice(self) -> None:
        twice = SUNG.encode().decode("latin-1")
        body = f"{len(twice) + 1}:4{twice}".encode()
        self.assertEqual(decode(body, 3, base64=True), [Packet(MESSAGE, SUNG.encode())])
        self.assertEqual(decode(body, 3), [Packet(MESSAGE, twice.encode())])

    def test_encoded_once(self) -> None:
        """What is no UTF-8 of UTF-8 is left as it came."""
        for text in (SUNG, "naïve", "€", "Ã", "plain"):
            packet = Packet(MESSAGE, text.encode())
            self.assertEqual(decode(encode([packet], 3, base64=True)[1], 3, base64=True), [packet])

    def test_binary_stays(self) -> None:
        packet = Packet(MESSAGE, "Ã©".encode(), binary=True)
        self.assertEqual(decode(encode([packet], 3, base64=True)[1], 3, base64=True), [packet])


class MalformedTests(SynchronousTestCase):
    def assertMalformed(self, body: bytes, eio: EioVersion, *, binary: bool = False) -> None:
        with self.assertRaises(MalformedPacket, msg=repr(body)):
            decode(body, eio, binary=binary)

    def test_eio4(self) -> None:
        for body in (
            b"",
            b"\x1e",
            b"4a\x1e",
            b"\x1e4a",
            b"4a\x1e\x1e4b",
            b"abc",
            b"4\xff",
            b"bA",
            b"4a\x1eb",
        ):
            if body == b"4a\x1eb":
                self.assertEqual(decode(body, 4)[1], Packet(MESSAGE, b"", binary=True))
            else:
                self.assertMalformed(body, 4)

    def test_eio3_text(self) -> None:
        bodies = "", "4a", ":4a", "2:", "3:4a", "2:4a1", "2:4a:", "-2:4a", "+2:4a", " 2:4a", "2 :4a", "٢:4a"
        more = "0:", "2:4a0:", "1:9", "1_0:4aaaaaaaaa", "2.0:4a", "99999999999:4a", "1:b", "3:b4A", "2:4aa"
        for text in (*bodies, *more):
            self.assertMalformed(text.encode(), 3)
            self.assertMalformed(("3:4𝄞" + text).encode() if text else b"", 3)
        self.assertMalformed(b"2:4\xff", 3)
        self.assertMalformed("2:4𝄞".encode(), 3)
        self.assertMalformed("4:4𝄞".encode(), 3)
        self.assertMalformed("3:4€𝄞2:4a".encode(), 3)

    def test_eio3_binary(self) -> None:
        bodies = "", "00", "00 02", "00 ff", "00 ff 34", "00 02 ff 34", "02 01 ff 34", "00 0a ff 34", "34 61"
        more = "00 01 ff 39", "01 01 ff 34", "01 01 ff 02", "00 00 ff", "00 02 ff 34 ff", "00 01 ff 34 00"
        long = "00 " + "09 " * 11 + "ff 34"
        for text in (*bodies, *more, long):
            self.assertMalformed(bytes.fromhex(text), 3, binary=True)

    def test_too_many(self) -> None:
        for eio, one, separator in ((3, b"1:6", b""), (4, b"6", b"\x1e")):
            version: EioVersion = 3 if eio == 3 else 4
            self.assertEqual(len(decode(separator.join([one] * MOST_PACKETS), version)), MOST_PACKETS)
            self.assertMalformed(separator.join([one] * (MOST_PACKETS + 1)), version)
        self.assertMalformed(b"\0\1\xff6" * (MOST_PACKETS + 1), 3, binary=True)

    @given(st.binary(max_size=60), versions, st.booleans(), st.booleans())
    @settings(deadline=None)
    def test_anything(self, body: bytes, eio: EioVersion, binary: bool, base64: bool) -> None:
        """Whatever comes is packets that make a body again, or malformed."""
        try:
            packets = decode(body, eio, binary=binary, base64=base64)
        except MalformedPacket:
            return
        content_type, again = encode(packets, eio)
        self.assertEqual(decode(again, eio, binary=content_type == BINARY), packets)

    @given(st.text(st.sampled_from("0123456789:4b𝄞€=A"), max_size=30))
    @settings(deadline=None)
    def test_anything_with_lengths(self, text: str) -> None:
        """The two readers of EIO3's text agree: the one for code units and the one for characters."""
        try:
            packets = decode(text.encode(), 3)
        except MalformedPacket:
            packets = []
        try:
            beyond = decode((text + "3:4𝄞").encode(), 3)
        except MalformedPacket:
            beyond = []
        if packets:
            self.assertEqual(beyond, [*packets, Packet(MESSAGE, "𝄞".encode())])
