"""Names to addresses, a bounded number at a time."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from twisted.internet import address as twisted_address
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from .addresses import Address

CONCURRENT_LOOKUPS = 4
"""
A lookup that hangs keeps a thread of the reactor's pool until the system's resolver gives up, however long
ago its asker did: more than these few would starve whatever else needs that pool.
"""


class Lookup:
    """
    Resolve names with a Twisted resolver.

    :param resolver: an ``IHostnameResolver``, such as the reactor's.
    """

    def __init__(self, resolver: IHostnameResolver) -> None:
        self._resolver = resolver
        self._slots = DeferredSemaphore(CONCURRENT_LOOKUPS)

    async def addresses(self, name: str, port: int) -> Sequence[Address]:
        """
        All addresses of a name, in the resolver's order of preference; none if it has none.

        Cancelling stops the waiting; the slot is free again when the resolver has ended.
        """
        await self._slots.acquire()
        receiver = _Receiver(self._slots)
        try:
            self._resolver.resolveHostName(receiver, name, portNumber=port)
        except Exception:
            receiver.give_up()
            raise
        return await receiver.result


@implementer(IResolutionReceiver)
class _Receiver:
    def __init__(self, slots: DeferredSemaphore) -> None:
        # a canceller that does nothing else lets resolutionComplete arrive later, unheard
        self.result: Deferred[Sequence[Address]] = Deferred()
        self._addresses: list[Address] = []
        self._slots = slots

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """Part of the interface; nothing to note."""

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, twisted_address.IPv4Address):
            self._addresses.append(IPv4Address(address.host))
        elif isinstance(address, twisted_address.IPv6Address):
            self._addresses.append(IPv6Address(address.host))

    def resolutionComplete(self) -> None:
        self._slots.release()
        self.result.callback(list(dict.fromkeys(self._addresses)))

    def give_up(self) -> None:
        self._slots.release()
