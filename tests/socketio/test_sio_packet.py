"""Socket.IO packets in both dialects."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio.sio_packet import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    MOST_ATTACHMENTS,
    RESERVED,
    MalformedMessage,
    SioPacket,
    decode,
    encode,
)

_texts = st.text(st.characters(exclude_categories=["Cs"]))
_scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | _texts
json_values = st.recursive(
    _scalars.filter(lambda v: v not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)
_names = (_texts | st.integers(0, 99)).filter(lambda name: name not in RESERVED)
_namespaces = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=",?")).map("/".__add__)
_ids = st.none() | st.integers(0, 10**18 - 1)
_events = st.builds(lambda name, arguments: [name, *arguments], _names, st.lists(json_values, max_size=3))
_counts = st.integers(0, MOST_ATTACHMENTS)
_packets = st.one_of(
    st.builds(SioPacket, st.just(EVENT), _namespaces, _events, _ids),
    st.builds(SioPacket, st.just(BINARY_EVENT), _namespaces, _events, _ids, _counts),
    st.builds(
        SioPacket, st.just(ACK), _namespaces, st.lists(json_values, max_size=3), st.integers(0, 10**18 - 1)
    ),
    st.builds(
        SioPacket, st.just(BINARY_ACK), _namespaces, st.lists(json_values), st.integers(0, 99), _counts
    ),
    st.builds(SioPacket, st.just(CONNECT), _namespaces, st.none() | st.dictionaries(_texts, json_values)),
    st.builds(SioPacket, st.just(DISCONNECT), _namespaces),
)


class RecordedTests(SynchronousTestCase):
    """Packets as clients and the reference server write them."""

    PLACEHOLDER: Any = {"_placeholder": True, "num": 0}
    BOTH_WAYS: tuple[tuple[str, SioPacket], ...] = (
        ("0", SioPacket(CONNECT)),
        ('0{"token":"…"}', SioPacket(CONNECT, data={"token": "…"})),
        ('0/admin,{"token":"t"}', SioPacket(CONNECT, "/admin", {"token": "t"})),
        ("0/admin,", SioPacket(CONNECT, "/admin")),
        ("1", SioPacket(DISCONNECT)),
        ("1/admin,", SioPacket(DISCONNECT, "/admin")),
        ('2["v1",{"t_id":"1"}]', SioPacket(EVENT, data=["v1", {"t_id": "1"}])),
        ('20["v1",{}]', SioPacket(EVENT, data=["v1", {}], id=0)),
        ('212["v1",{}]', SioPacket(EVENT, data=["v1", {}], id=12)),
        ('2/admin,456["project:delete",123]', SioPacket(EVENT, "/admin", ["project:delete", 123], 456)),
        ("2[1]", SioPacket(EVENT, data=[1])),
        ('30[{"ok":1}]', SioPacket(ACK, data=[{"ok": 1}], id=0)),
        ("3/admin,456[]", SioPacket(ACK, "/admin", [], 456)),
        (
            '51-["add",{"_placeholder":true,"num":0}]',
            SioPacket(BINARY_EVENT, data=["add", PLACEHOLDER], attachments=1),
        ),
        (
            '51-/admin,456["x",{"_placeholder":true,"num":0}]',
            SioPacket(BINARY_EVENT, "/admin", ["x", PLACEHOLDER], 456, 1),
        ),
        (
            '61-/admin,456[{"_placeholder":true,"num":0}]',
            SioPacket(BINARY_ACK, "/admin", [PLACEHOLDER], 456, 1),
        ),
    )

    def test_both_ways(self) -> None:
        for text, packet in self.BOTH_WAYS:
            self.assertEqual(decode(text.encode()), packet)
            self.assertEqual(encode(packet), text.encode())

    def test_from_older_clients(self) -> None:
        self.assertEqual(decode(b"0/admin"), SioPacket(CONNECT, "/admin"))
        self.assertEqual(decode(b"1/admin"), SioPacket(DISCONNECT, "/admin"))
        self.assertEqual(decode(b"0/admin?token=1,"), SioPacket(CONNECT, "/admin", query="token=1"))
        self.assertEqual(decode(b"0/admin?token=1"), SioPacket(CONNECT, "/admin", query="token=1"))
        self.assertEqual(decode(b'2/,["a"]'), SioPacket(EVENT, data=["a"]))

    def test_from_servers(self) -> None:
        refused = SioPacket(
            CONNECT_ERROR, data={"message": "Not authorized", "data": {"code": "unauthorized"}}
        )
        self.assertEqual(encode(refused), b'4{"message":"Not authorized","data":{"code":"unauthorized"}}')
        unknown = SioPacket(CONNECT_ERROR, "/random", {"message": "Invalid namespace"})
        self.assertEqual(encode(unknown), b'4/random,{"message":"Invalid namespace"}')
        self.assertEqual(encode(SioPacket(CONNECT_ERROR, data="Invalid namespace")), b'4"Invalid namespace"')
        raw = SioPacket(EVENT, data=["v1", msgspec.Raw(b'{"rev": 1}')])
        self.assertEqual(encode(raw), b'2["v1",{"rev": 1}]')


class ThereAndBackTests(SynchronousTestCase):
    @given(_packets)
    @settings(deadline=None)
    def test_all_kinds(self, packet: SioPacket) -> None:
        self.assertEqual(decode(encode(packet)), packet)

    @given(_packets, st.text(st.characters(exclude_categories=["Cs"], exclude_characters=",")))
    @settings(deadline=None)
    def test_query(self, packet: SioPacket, query: str) -> None:
        """A namespace's query, in any packet, is no part of its name."""
        written = encode(
            SioPacket(packet.type, f"{packet.namespace}x?{query}", packet.data, packet.id, packet.attachments)
        )
        read = decode(written)
        self.assertEqual((read.namespace, read.query), (packet.namespace + "x", query))
        self.assertEqual((read.type, read.data, read.id), (packet.type, packet.data, packet.id))


class MalformedTests(SynchronousTestCase):
    TEXTS = (
        # no type
        "",
        "7",
        "a",
        "-1",
        '"',
        # JSON
        "2[",
        '2["a"',
        '2["a"]]',
        '2["a"],',
        "2['a']",
        "2[NaN]",
        '2["a",1e999]',
        '2["\\ud800"]',
        "0{",
        "0{}x",
        # what an event is
        "2",
        "2{}",
        "2[]",
        '2"a"',
        "2null",
        "2[{}]",
        "2[[]]",
        "2[null]",
        "2[true]",
        "2[1.5]",
        '2[{"toString":"x"},1]',
        '5["a"]',
        '51-[{"_placeholder":true,"num":0}]',
        # acknowledgements
        "3[]",
        "31",
        '31{"a":1}',
        '31"a"',
        "6[1]",
        '61-["a"]',
        '2-1["a"]',
        '2x["a"]',
        '21.5["a"]',
        '2 1["a"]',
        "2" + "1" * 19 + '["a"]',
        # attachments
        '5-["a"]',
        '5x-["a"]',
        '5-1-["a"]',
        '511-["a"]',
        '51000-["a"]',
        '500000-["a"]',
        '21-["a"]',
        "01-{}",
        # connecting
        "01",
        "0[]",
        '0"a"',
        "01",
        "0/admin,1{}",
        "0,{}",
        # disconnecting
        "1{}",
        "10",
        '1"a"',
        # what only servers send
        "4",
        '4{"message":"x"}',
        '4"x"',
    )

    def test_texts(self) -> None:
        for text in self.TEXTS:
            with self.assertRaises(MalformedMessage, msg=text):
                decode(text.encode())

    def test_reserved_names(self) -> None:
        for name in RESERVED:
            for kind in ("2", "50-"):
                with self.assertRaises(MalformedMessage, msg=name):
                    decode(f'{kind}["{name}",1]'.encode())

    def test_no_utf8(self) -> None:
        for raw in (b'2["\xff"]', b"0/\xff,", b"\xff", b'2["a"]\xff'):
            with self.assertRaises(MalformedMessage, msg=repr(raw)):
                decode(raw)

    def test_nesting(self) -> None:
        """However deep, it is read or malformed."""
        for depth in (100_000, 500_000):
            with self.assertRaises(MalformedMessage):
                decode(b'2["a",' + b"[" * depth + b"]" * depth + b"]")

    @given(st.binary(max_size=40) | st.from_regex(rb'\A[0-6]([0-9]{1,3}-)?(/[a-z]*,?)?[0-9]*[\[{"].*\Z'))
    @settings(deadline=None)
    def test_anything(self, raw: bytes) -> None:
        """Whatever comes is a packet that is written down again, or malformed."""
        try:
            packet = decode(raw)
        except MalformedMessage:
            return
        self.assertEqual(decode(encode(packet)), SioPacket(*_but_query(packet)))


def _but_query(packet: SioPacket) -> tuple[Any, ...]:
    return packet.type, packet.namespace, packet.data, packet.id, packet.attachments
