"""
Info-hashes in every form that people paste.

A torrent has a v1 hash (SHA-1, 20 bytes), a v2 hash (SHA-256, 32 bytes) or, a hybrid, both. Its key here is
v1 if there is one, else v2 cut to 20 bytes, and stays what it was when the torrent was added.

Source: BEP 3, BEP 9 (base32 in magnet links), BEP 52 (v2, truncation).
"""

import base64
import binascii
import re
from dataclasses import dataclass

import libtorrent as lt

_HEX = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BASE32 = re.compile(r"[a-z2-7]{32}")

EXPECTED = "an info-hash: 40 or 64 hex digits, or 32 base32 characters"


def normalise(text: str) -> str:
    """
    The hash in lower-case hex, 40 or 64 digits.

    :raises ValueError: if it is none.
    """
    # some letters of other scripts have ASCII ones as their lower case
    text = text.lower() if text.isascii() else ""
    if _HEX.fullmatch(text):
        return text
    if _BASE32.fullmatch(text):
        try:
            return base64.b32decode(text.upper()).hex()
        except binascii.Error:
            pass
    raise ValueError(EXPECTED)


def key_of(hashes: lt.info_hash_t) -> str:
    """The key of a torrent that is added with these hashes."""
    return str(hashes.v1) if hashes.has_v1() else str(hashes.v2)[:40]


@dataclass(frozen=True, slots=True)
class Identity:
    """The hashes of one torrent, in lower-case hex; ``v1`` or ``v2`` may be ``None``, not both."""

    v1: str | None
    v2: str | None

    @classmethod
    def of(cls, hashes: lt.info_hash_t) -> "Identity":
        """
        From libtorrent's pair.

        :raises ValueError: if both are missing or zero.
        """
        v1 = str(hashes.v1) if hashes.has_v1() else None
        v2 = str(hashes.v2) if hashes.has_v2() else None
        if not (v1 or v2):
            raise ValueError("no info-hash")
        return cls(v1, v2)

    @property
    def key(self) -> str:
        """The torrent's key, if it is added with these hashes."""
        return self.v1 or (self.v2 or "")[:40]

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every form by which it may be asked for."""
        return tuple(h for h in (self.v1, self.v2, self.v2 and self.v2[:40]) if h)
