"""Info-hashes in every form that people paste."""

import base64

import libtorrent as lt
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.infohash import Identity, normalise

V1 = "0123456789abcdef0123456789abcdef01234567"
V2 = "fedcba9876543210" * 4


class NormaliseTests(SynchronousTestCase):
    @given(st.binary(min_size=20, max_size=20))
    @settings(deadline=None)
    def test_v1(self, digest: bytes) -> None:
        written = (digest.hex(), digest.hex().upper(), base64.b32encode(digest).decode())
        for text in (*written, written[2].lower()):
            self.assertEqual(normalise(text), digest.hex())

    @given(st.binary(min_size=32, max_size=32))
    @settings(deadline=None)
    def test_v2(self, digest: bytes) -> None:
        self.assertEqual(normalise(digest.hex().upper()), digest.hex())

    def test_none(self) -> None:
        for text in (
            "",
            V1[:-1],
            V1 + "0",
            V1 + "\n",
            " " + V1,
            "0x" + V1[2:],
            V2[:-1],
            V1[:-1] + "g",
            "1" * 32,
            "a" * 31,
            "a" * 31 + "=",
            # digits and letters of other scripts, one of them with an ASCII letter as its lower case
            "\u0661" * 40,
            "\uff10" * 40,
            "\u212a" * 32,
            "\ud800" * 40,
            "\0" * 40,
            "a" * 100_000,
        ):
            with self.assertRaises(ValueError):
                normalise(text)

    @given(st.text(max_size=70))
    @settings(deadline=None)
    def test_any_text(self, text: str) -> None:
        with self.assertRaises(ValueError):
            normalise(text + "!")


class IdentityTests(SynchronousTestCase):
    def of(self, *hashes: str) -> Identity:
        v1 = [lt.sha1_hash(bytes.fromhex(h)) for h in hashes if len(h) == 40]
        v2 = [lt.sha256_hash(bytes.fromhex(h)) for h in hashes if len(h) == 64]
        return Identity.of(lt.info_hash_t(*v1, *v2))

    def test_v1(self) -> None:
        identity = self.of(V1)
        self.assertEqual((identity.v1, identity.v2, identity.key), (V1, None, V1))
        self.assertEqual(identity.aliases, (V1,))

    def test_v2(self) -> None:
        identity = self.of(V2)
        self.assertEqual((identity.v1, identity.v2, identity.key), (None, V2, V2[:40]))
        self.assertEqual(identity.aliases, (V2, V2[:40]))

    def test_hybrid(self) -> None:
        identity = self.of(V1, V2)
        self.assertEqual((identity.v1, identity.v2, identity.key), (V1, V2, V1))
        self.assertEqual(identity.aliases, (V1, V2, V2[:40]))

    def test_zero_is_none(self) -> None:
        for hashes in ((), ("0" * 40,), ("0" * 64,)):
            with self.assertRaises(ValueError):
                self.of(*hashes)
