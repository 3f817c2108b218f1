"""Bytes inside events: taken out, and put back."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio.attachments import put_back, take_out
from resttorrent.socketio.sio_packet import MalformedMessage

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _placeholder(num: object) -> dict[str, object]:
    return {"_placeholder": True, "num": num}


class AttachmentTests(SynchronousTestCase):
    @given(_values)
    @settings(deadline=None)
    def test_there_and_back(self, data: Any) -> None:
        replaced, attachments = take_out(data)
        self.assertEqual(put_back(replaced, attachments), data)

    def test_shape(self) -> None:
        """As the document has it."""
        data = ["baz", b"\1\2", {"deep": [b"\3"]}]
        self.assertEqual(
            take_out(data), (["baz", _placeholder(0), {"deep": [_placeholder(1)]}], [b"\1\2", b"\3"])
        )

    def test_all_kinds_of_bytes(self) -> None:
        data = [bytearray(b"a"), memoryview(b"b"), (b"c",)]
        self.assertEqual(take_out(data)[1], [b"a", b"b", b"c"])

    def test_nothing_to_take_out(self) -> None:
        """What has no bytes in it is not copied: most events have none."""
        data = ["v1", {"a": [1]}]
        replaced, attachments = take_out(data)
        self.assertIs(replaced, data)
        self.assertEqual(attachments, [])

    def test_any_order(self) -> None:
        self.assertEqual(put_back([_placeholder(1), _placeholder(0)], [b"a", b"b"]), [b"b", b"a"])

    def test_misused_numbers(self) -> None:
        """CVE-2022-2421: a number that is none."""
        for num in (-1, 1, 2, "0", 0.0, None, True, False, [0], {"a": 0}, "splice", 10**30):
            with self.assertRaises(MalformedMessage, msg=repr(num)):
                put_back([_placeholder(num)], [b"a"])
        with self.assertRaises(MalformedMessage):
            put_back([{"_placeholder": True}], [b"a"])

    def test_used_twice(self) -> None:
        with self.assertRaises(MalformedMessage):
            put_back([_placeholder(0), _placeholder(0)], [b"a"])

    def test_never_used(self) -> None:
        for data in ([], [_placeholder(1)], [{"_placeholder": 1, "num": 0}], [{"_placeholder": "true"}]):
            with self.assertRaises(MalformedMessage):
                put_back([*data], [b"a", b"b"])

    def test_nesting(self) -> None:
        """What is nested more deeply than Python calls is malformed."""
        data: Any = _placeholder(0)
        for _ in range(100_000):
            data = [data]
        with self.assertRaises(MalformedMessage):
            put_back(data, [b"a"])
        while data:
            data = data[0] if isinstance(data, list) else None
