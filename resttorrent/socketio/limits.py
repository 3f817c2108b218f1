"""What clients can't exceed, and the counts that hold them to it."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What a client can't exceed. A *guest* is one that is in no namespace, so that nobody knows who it is.

    :ivar max_payload: bytes of a POST's body, and of a GET's answer with more than one packet.
    :ivar max_frame: bytes of what comes in one WebSocket message.
    :ivar guest: both for a guest, and the bytes that may wait for one.
    :ivar sockets: sessions in all; :ivar per_address: from one address, which may be a proxy's.
    :ivar guests: sessions that are guests, and likewise WebSockets of such; :ivar guests_per_address: from
        one address.
    :ivar held: bytes of all clients together, in messages that have not come whole and that wait to be sent.
    """

    max_payload: int = 1_000_000
    max_frame: int = 16 * 1024 * 1024
    guest: int = 16 * 1024
    sockets: int = 10_000
    per_address: int = 2_000
    guests: int = 2_000
    guests_per_address: int = 100
    held: int = 512 * 1024 * 1024

    def body(self, *, joined: bool) -> int:
        """Bytes of a POST's body from a client that is in a namespace, or in none."""
        return self.max_payload if joined else min(self.max_payload, self.guest)

    def message(self, *, joined: bool) -> int:
        """Bytes of a message by WebSocket, likewise."""
        return self.max_frame if joined else min(self.max_frame, self.guest)


class Room:
    """Counts who is in it, in all and by address; the address of nobody in particular is empty."""

    def __init__(self) -> None:
        self._in_all = 0
        self._from: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._in_all

    def is_full(self, address: str, *, in_all: int, per_address: int) -> bool:
        """Whether one more from ``address`` would be too many."""
        return self._in_all >= in_all or (bool(address) and self._from[address] >= per_address)

    def enter(self, address: str) -> None:
        self._in_all += 1
        if address:
            self._from[address] += 1

    def leave(self, address: str) -> None:
        self._in_all -= 1
        if address:
            self._from[address] -= 1
            if not self._from[address]:
                del self._from[address]


class Tally:
    """:ivar total: bytes that are held for all clients of a server."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0
