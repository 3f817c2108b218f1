"""
What strangers do, counted by where they come from: wrong tokens and passwords, and requests without one.

Sans I/O. Who asks from one IPv6 network of 64 bits is one: a host has all of its addresses to choose from.
The tables are bounded: when one is full, the address that has been quiet the longest is forgotten.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Generic, TypeVar

MOST = 10
"""Wrong tokens and passwords of an address in ``PERIOD`` seconds."""
MOST_REQUESTS = 600
"""Requests without a token, likewise."""
PERIOD = 60.0
MOST_ADDRESSES = 10_000

Entry = TypeVar("Entry")


class Addresses(Generic[Entry]):
    """A table by address, of the ``MOST_ADDRESSES`` that were looked for last."""

    def __init__(self, make: Callable[[], Entry]) -> None:
        self._make = make
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, address: str) -> Entry:
        """What there is of an address; made, if there is nothing."""
        key = network_of(address)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = self._make()
            if len(self._entries) > MOST_ADDRESSES:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        return entry


class Attempts:
    """
    Wrong tokens and passwords; each is forgotten when it is ``period`` seconds old.

    :param seconds: a steady clock; :param most: that an address may have.
    """

    def __init__(self, seconds: Callable[[], float], *, most: int = MOST, period: float = PERIOD) -> None:
        self._seconds = seconds
        self._most = most
        self._period = period
        self._wrong: Addresses[deque[float]] = Addresses(lambda: deque(maxlen=most))

    def __len__(self) -> int:
        return len(self._wrong)

    def wrong(self, address: str) -> int:
        """
        Count a wrong one.

        :return: seconds to wait, at least 1, if there were too many already; this one isn't counted then.
        """
        now = self._seconds()
        times = self._wrong.entry(address)
        while times and now - times[0] >= self._period:
            times.popleft()
        if len(times) >= self._most:
            return max(1, ceil(self._period - (now - times[0])))
        times.append(now)
        return 0

    def take_back(self, address: str) -> None:
        """One that was counted was not wrong: the newest goes."""
        times = self._wrong.entry(address)
        if times:
            times.pop()


class Rate:
    """
    Requests of one address; ``seconds`` are a steady clock's.

    A count of this period and one of the last, which weighs the less the older it gets: a sliding window for
    three numbers, that errs where requests come in bursts.
    """

    __slots__ = ("_before", "_count", "_since")

    def __init__(self) -> None:
        self._before = self._count = 0
        self._since = 0.0

    def wait(self, now: float) -> int:
        """Count a request; seconds to wait, at least 1, if there were too many already: it isn't counted."""
        age = now - self._since
        if age >= PERIOD:
            self._before = self._count if age < 2 * PERIOD else 0
            self._since = now - age % PERIOD if age < 2 * PERIOD else now
            self._count, age = 0, now - self._since
        room = MOST_REQUESTS - self._count - self._before * (1 - age / PERIOD)
        if room >= 1:
            self._count += 1
            return 0
        if self._count >= MOST_REQUESTS or not self._before:
            return max(1, ceil(PERIOD - age))
        return max(1, ceil((1 - room) * PERIOD / self._before))


class Strangers:
    """
    Requests without a token; an address may make ``MOST_REQUESTS`` in ``PERIOD`` seconds.

    :param seconds: a steady clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._rates: Addresses[Rate] = Addresses(Rate)

    def wait(self, address: str) -> int:
        """As ``Rate.wait``."""
        return self._rates.entry(address).wait(self._seconds())


def network_of(address: str) -> str:
    """What an address counts as: itself, or its IPv6 network; something else than an address as it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
