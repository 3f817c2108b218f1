"""
Wrong tokens, counted by where they came from. Sans I/O.

An address may have ``MOST`` of them in ``PERIOD`` seconds; each is forgotten when it is older. Who asks from
one IPv6 network of 64 bits is one: a host has all of its addresses to choose from. The table is bounded: when
it is full, the address that has been quiet the longest is forgotten.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil

MOST = 10
PERIOD = 60.0
MOST_ADDRESSES = 10_000


class Attempts:
    """
    :param seconds: a steady clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._wrong)

    def wrong(self, address: str) -> int:
        """
        Count a wrong token.

        :return: seconds to wait, at least 1, if there were too many already; this one isn't counted then.
        """
        now = self._seconds()
        key = network_of(address)
        times = self._wrong.get(key)
        if times is None:
            times = self._wrong[key] = deque(maxlen=MOST)
            if len(self._wrong) > MOST_ADDRESSES:
                self._wrong.popitem(last=False)
        self._wrong.move_to_end(key)
        while times and now - times[0] >= PERIOD:
            times.popleft()
        if len(times) >= MOST:
            return max(1, ceil(PERIOD - (now - times[0])))
        times.append(now)
        return 0


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
