"""Gzip for answers: small ones at once, large ones in a thread (zlib lets the others run meanwhile)."""

import zlib

from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

SMALLEST = 1024
"""Bytes; below, the gain is less than a packet."""
LARGEST_INLINE = 64 * 1024
"""Bytes; about a millisecond and a half of the reactor's time."""
LEVEL = 5
_GZIP_WINDOW = 31


def gzipped(body: bytes) -> bytes:
    """``body`` as one gzip member (RFC 1952) without a time, so that the same body gives the same bytes."""
    return zlib.compress(body, LEVEL, _GZIP_WINDOW)


class Compressor:
    """Compresses without holding up the reactor."""

    def __init__(self, reactor: IReactorThreads) -> None:
        self._reactor = reactor

    async def compress(self, body: bytes) -> bytes:
        """``body`` gzipped, after a turn or more of the reactor if it is large."""
        if len(body) <= LARGEST_INLINE:
            return gzipped(body)
        compressed: bytes = await deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), gzipped, body
        )
        return compressed
