"""Accept-Encoding and If-None-Match."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.rest.negotiation import accepts_gzip, matches_tag

OPAQUE = st.text(st.sampled_from("abz019-_.,;:/+*!#"), max_size=12).map(str.encode)


class AcceptEncodingTests(SynchronousTestCase):
    def test_asked_for(self) -> None:
        for value in (
            b"gzip",
            b"GZip",
            b"gzip, deflate, br",
            b"deflate,gzip;q=0.8",
            b"br;q=1.0, gzip;q=0.001",
            b"gzip ; q=1.000",
            b"gzip;Q=1",
            b"*",
            b"*;q=0.1",
            b"br, *",
            b"x-gzip",
            b"identity;q=0.5, gzip;q=0.5",
            b" ,, gzip",
        ):
            self.assertTrue(accepts_gzip(value), value)

    def test_not_asked_for(self) -> None:
        for value in (
            b"",
            b"identity",
            b"deflate, br",
            b"gzip;q=0",
            b"gzip;q=0.000",
            b"gzip;q=0, *",
            b"*;q=0",
            b"*;q=0, br",
            b"gzip;q=2",
            b"gzip;q=0.0001",
            b"gzip;q=",
            b"gzip;q",
            b"gzip;q=1;q=1",
            b"gzipped",
            b"identity, gzip;q=0.5",
        ):
            self.assertFalse(accepts_gzip(value), value)

    @settings(deadline=None)
    @given(st.binary(max_size=60))
    def test_anything(self, value: bytes) -> None:
        self.assertIsInstance(accepts_gzip(value), bool)

    @settings(deadline=None)
    @given(st.integers(0, 1000))
    def test_every_weight(self, thousandths: int) -> None:
        weight = f"gzip;q={thousandths / 1000:.3f}".encode()
        self.assertEqual(accepts_gzip(weight), thousandths > 0)


class IfNoneMatchTests(SynchronousTestCase):
    def test_matches(self) -> None:
        for value in (
            b'"7-all"',
            b'W/"7-all"',
            b'"x", W/"7-all"',
            b'"x","y" ,"7-all", "z"',
            b'W/"a,b" , "7-all"',
            b' , "7-all"',
            b"*",
            b" * ",
        ):
            self.assertTrue(matches_tag(value, b"7-all"), value)

    def test_does_not_match(self) -> None:
        for value in (
            b"",
            b'""',
            b"7-all",
            b'"7-al"',
            b'"7-alll"',
            b'w/"7-all"',
            b'"a"7-all"',
            b'"x" "7-all"',
            b'garbage, "7-all"',
            b'"7-all',
            b'*, "x"',
        ):
            self.assertFalse(matches_tag(value, b"7-all"), value)

    @settings(deadline=None)
    @given(st.binary(max_size=60), st.binary(max_size=10))
    def test_anything(self, value: bytes, opaque: bytes) -> None:
        self.assertIsInstance(matches_tag(value, opaque), bool)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.booleans(), OPAQUE), max_size=6), OPAQUE)
    def test_list_is_membership(self, tags: list[tuple[bool, bytes]], opaque: bytes) -> None:
        value = b", ".join((b"W/" if weak else b"") + b'"' + tag + b'"' for weak, tag in tags)
        self.assertEqual(matches_tag(value, opaque), opaque in [tag for _, tag in tags])
